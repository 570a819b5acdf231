"""An evaluation belongs to the data it was made on: other data are never mixed into a sweep, and are said so."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from harness import registry
from harness.errors import SweepError
from harness.launch import Placement, launch
from harness.sweep import parse_sweep
from tasks.fashion_mlp import FashionMlp
from tasks.fig import FigHead


@pytest.fixture
def measured(plugin, tmp_path):
    """Return a function that runs a sweep on what a file holds, and returns what it said and the values told."""
    file, results = tmp_path / "numbers.txt", tmp_path / "results"

    def run(numbers=None, evaluations=2, threads=1):
        if numbers is not None:
            file.write_text(numbers)
        text = (
            f"name: measured\nrepetitions: 1\nthreads: {threads}\nbudget: {{evaluations: {evaluations}}}\n"
            f"tasks: [{{name: measured, options: {{file: {file}}}}}]\nsearchers: [random]\n"
        )
        said = io.StringIO()
        sweep = parse_sweep(text, "sweep.yaml")
        progress = launch(sweep, results, Placement(), Console(file=said, width=500))
        journal = results / "studies" / f"{sweep.studies[0].key.id}.jsonl"
        events = [json.loads(line) for line in journal.read_text().splitlines()]
        return progress, said.getvalue(), [event["value"] for event in events if event["event"] == "told"]

    run.file = file
    return run


def test_other_data_are_evaluated_anew_and_said_so(measured):
    _, said, values = measured("1 2 3", evaluations=1)
    assert values == [2.0]
    assert "others than when" not in said
    progress, said, values = measured("1 2 6", evaluations=3)
    assert values == [3.0] * 3  # none of those of the former data
    assert progress.reused == 0
    note = "the data of task 'measured,file="
    assert note in said
    assert "are others than when this sweep was run before (digest " in said
    assert said.index(note) < said.index("3/3" if "3/3" in said else note) or "3/3" not in said
    progress, said, values = measured("1 2 3", evaluations=3)
    assert values == [2.0] * 3
    assert progress.reused == 1  # what was evaluated on these very data
    assert note in said
    progress, said, values = measured(evaluations=3)
    assert (progress.complete, progress.trained) == (1, 0)
    assert note not in said


def test_other_threads_are_evaluated_anew(measured):
    measured("1 2 3")
    progress, _, _ = measured(threads=2)
    assert (progress.reused, progress.trained) == (0, 2)


def test_another_version_of_a_plug_in_is_evaluated_anew(measured, monkeypatch):
    measured("1 2 3")
    kind = registry.task("measured")
    assert kind.package == "derby-test-plugin 1.0"
    assert registry.searcher("breaking").origin() == {"derby-test-plugin": "1.0"}
    monkeypatch.setattr(kind, "package", "derby-test-plugin 1.1")
    progress, _, _ = measured()
    assert (progress.reused, progress.trained) == (0, 2)


def test_data_that_change_while_a_sweep_runs_fail_its_studies(measured, monkeypatch):
    kind = registry.task("measured")
    original = kind.load

    def changing(self):
        loaded = original(self)
        measured.file.write_text("4 5 6")
        return loaded

    monkeypatch.setattr(kind, "load", changing)
    progress, _, values = measured("1 2 3")
    assert not values
    (message,) = progress.failed.values()
    assert "changed while the sweep ran" in message


def test_data_that_are_missing_are_missed_before_anything_runs(measured):
    with pytest.raises(
        SweepError, match=r"sweep\.yaml, line 5, tasks\[0\]: task 'measured' cannot be used: .*not found"
    ):
        measured()


def test_documented_tasks_know_their_data_without_loading_them(monkeypatch):
    from tasks import datasets, fig, images

    def refuse(*_, **__):
        raise AssertionError("it loads data")

    for module in (datasets, images, fig):
        for name in ("load_full", "load_small", "load_folder", "load_stand_in", "imagenet_weights"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, refuse)
    for kind in registry.tasks().values():
        assert kind().key.data
    assert FashionMlp(variant="small").key.data != FashionMlp().key.data
    # What is trained on besides images is part of it.
    weights = FigHead(variant="small", backbone_weights="imagenet").key.data
    assert weights.startswith(FigHead(variant="small", backbone_weights="none").key.data + " ")


def test_what_is_recorded_is_found_by_its_file_where_the_data_are_gone(measured, monkeypatch, capsys):
    from harness.commands import running

    _, _, values = measured("1 2 3")
    assert values == [2.0, 2.0]
    recorded = measured.file.parent / "results" / "sweeps" / "measured" / "sweep.yaml"
    file = measured.file.with_name("measured.yaml")
    file.write_text(recorded.read_text())
    measured.file.unlink()
    running.status(str(file), results=measured.file.parent / "results")
    assert "random" in capsys.readouterr().out
