"""Reports reproduced in parts and published: what was finished stays, and what is published can be drawn again."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.command import derby

from analysis.reproduction import kept
from harness import registry, reproduce
from harness.experiment import Experiment, Search
from harness.launch import InterruptedRunError
from harness.space import Float, Space
from harness.task import Inspection, Task
from harness.trial import Curve, Evaluation, Fidelity, Objective, Status


class Dish(Task):
    """A function of known values, a network with one layer in name; its loss at x is x²."""

    name = "dish"
    source = "P1, a test"
    scoring_options = frozenset({"epochs"})
    experiments = (
        Experiment("P1", "middle", reference="middle", published={"test_accuracy": "0.75"}, per_class=True),
        Experiment("P1", "edge", reference="edge", published={"test_accuracy": "0.3"}),
        Experiment("P1", "searched", search=Search("random", {"evaluations": 4}), retrain=2),
    )

    class Options(Task.Options):
        epochs: int | None = None

    def _define(self):
        self.space = Space({"x": Float(-1, 1)}, references={"middle": {"x": 0.5}, "edge": {"x": 1.0}})
        self.fidelity = Fidelity(1, 2)
        self.objective = Objective("val_loss", "min", failure=9.0, test_metric="test_accuracy")

    def load(self):
        return {}

    def evaluate(self, config, *, epochs, seed, data, checkpoint=None, deadline=None):
        loss = config["x"] ** 2
        accuracy = 1 - loss + (seed % 1000 - 500) / 5e5
        curve = {"val_loss": [loss] * epochs, "test_accuracy": [accuracy] * epochs, "seconds": [0.0] * epochs}
        return Evaluation(Status.OK, Curve(curve), epochs, confusion={"test": ((3, 1), (0, 4))})

    def inspect(self, config, *, seed, data, checkpoint):
        random = np.random.default_rng(seed % 1000)
        before, after = ({"a/kernel": random.normal(size=(9, 5))} for _ in range(2))
        images = random.integers(0, 255, (3, 4, 4)).astype(np.uint8)
        return Inspection(before, after, images, np.array([0, 1, 1]), np.array([0, 1, 0]), ("ä", "b"))

    def cost(self, config):
        return 1.0


@pytest.fixture(autouse=True)
def dish(monkeypatch):
    monkeypatch.setattr(registry, "tasks", lambda: registry.Found({"dish": Dish}))


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results"


def run(results: Path, *arguments: str):
    ran = derby("reproduce", "P1", "--no-pictures", "--results", results, *arguments)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran


def page(results: Path, name: str = "reproduce-P1-full") -> kept.Outcome:
    return kept.load(results / "sweeps" / name / "reproduction")


def repetitions(outcome: kept.Outcome) -> dict[str, int]:
    counts = outcome.tables.studies.groupby("searcher")["repetition"].count()
    return {str(label): int(count) for label, count in counts.items()}


def trained(results: Path) -> int:
    return sum(len(path.read_text().splitlines()) for path in (results / "evaluations").glob("*/*.jsonl"))


def test_a_report_run_in_parts_is_shown_whole(results):
    first = run(results, "--only", "middle", "--repetitions", "2")
    assert "Not run here, of what the report has: edge and searched." in first.stdout
    second = run(results, "--only", "edge", "--repetitions", "3")
    outcome = page(results)
    assert [line.experiment.label for line in outcome.lines] == ["middle", "edge"]
    assert repetitions(outcome) == {"middle": 2, "edge": 3}
    assert [line.planned for line in outcome.lines] == [2, 3]
    assert "over 2 to 3 repetitions" in second.stdout
    assert trained(results) == 5
    run(results, "--only", "middle", "--repetitions", "4")
    assert repetitions(page(results)) == {"middle": 4, "edge": 3}
    assert trained(results) == 7
    run(results, "--only", "searched")
    outcome = page(results)
    assert repetitions(outcome) == {"middle": 4, "edge": 3, "searched": 1}
    assert outcome.absent == ()
    assert outcome.command == "derby reproduce P1 --repetitions 4"
    count = trained(results)
    run(results)  # with one repetition of each
    assert repetitions(page(results)) == {"middle": 4, "edge": 3, "searched": 1}
    assert trained(results) == count


def test_what_was_begun_and_is_not_named_is_left_alone_and_said(results, monkeypatch):
    def broken(self, config, **rest):
        raise RuntimeError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(Dish, "evaluate", broken)
        failed = derby("reproduce", "P1", "--results", results, "--only", "edge", "--no-pictures")
    assert failed.returncode == 1
    assert "none of ours" in failed.stdout
    assert "One repetition" not in failed.stdout, "there is none"
    ran = run(results, "--only", "middle")
    assert "edge: 0 of 1 repetition planned before are finished; to go on with it, name it" in ran.stdout
    assert repetitions(page(results)) == {"middle": 1}
    assert trained(results) == 1


def test_another_seed_is_another_sweep(results):
    run(results, "--only", "middle", "--seed", "5")
    run(results, "--only", "edge")
    assert repetitions(page(results)) == {"edge": 1}
    outcome = page(results, "reproduce-P1-full-seed-5")
    assert repetitions(outcome) == {"middle": 1}
    assert outcome.command == "derby reproduce P1 --repetitions 1 --only middle --seed 5"


def published(results: Path, root: Path, *arguments: str):
    return derby("publish", "reproduce-P1-full", "--results", results, "--published", root, *arguments)


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """P1 reproduced and published: designs, and a search whose best was trained afresh."""
    place = tmp_path_factory.mktemp("once")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "tasks", lambda: registry.Found({"dish": Dish}))
        run(place / "results", "--repetitions", "3", "--pictures")
        made = published(place / "results", place / "published")
    assert made.returncode == 0, made.stderr
    return place


@pytest.fixture
def folder(once, results, tmp_path):
    """A copy of the published folder, with the results it came from in ``results``."""
    shutil.copytree(once / "published", tmp_path / "published")
    shutil.copytree(once / "results", results)
    return tmp_path / "published" / "reproduce-P1-full"


def test_a_reproduction_is_published_with_its_page_and_verifies(folder, results):
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"reproduction.md", "tables/comparison.csv", "tables/per_class.csv", "trials.parquet"} <= names
    assert {"retrained/trials.parquet", "networks/middle.npz", "figures/weights_searched.webp"} <= names
    assert not any("report.html" in name for name in names)
    text = (folder / "reproduction.md").read_text()
    for name in names:
        if name.startswith("figures/"):
            assert f"]({name})" in text
    assert ".pdf" not in text, "no link leads to what is not published"
    verified = derby("verify", "--published", folder.parent)
    assert verified.returncode == 0, verified.stdout
    assert "every figure drawn again is identical" in verified.stdout
    frame = pd.read_csv(folder / "tables" / "comparison.csv")
    own = kept.load(results / "sweeps" / "reproduce-P1-full" / "reproduction")
    accuracy = own.tables.trials.query("searcher == 'middle'")["test"].mean()
    assert frame.query("experiment == 'middle'")["mean"].item() == pytest.approx(accuracy)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["tables/comparison.csv", "reproduction.md"])
def test_figures_that_the_published_tables_do_not_give_are_found_behind_a_mended_manifest(folder, path):
    text = (folder / path).read_text()
    (folder / path).write_text(text.replace("0.75", "0.85"))
    assert (folder / path).read_text() != text
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][path] = hashlib.sha256((folder / path).read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    verified = derby("verify", "--published", folder.parent)
    assert verified.returncode == 1
    assert f"not as its tables say: {path} is drawn otherwise from the tables" in verified.stdout


@pytest.mark.slow
def test_tables_changed_behind_the_page_are_found(folder):
    for name in ("epochs.parquet", "retrained/epochs.parquet"):
        frame = pd.read_parquet(folder / name)
        frame.assign(test_accuracy=frame["test_accuracy"] - 0.5).to_parquet(folder / name)
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        (folder / "manifest.json").write_text(json.dumps(manifest))
        verified = derby("verify", "--published", folder.parent)
        assert verified.returncode == 1
        assert "tables/comparison.csv is drawn otherwise" in verified.stdout


def test_studies_of_a_reproduction_are_run_again_from_what_was_published(folder):
    again = derby("verify", "--published", folder.parent, "--rerun", "20")
    assert again.returncode == 0, again.stdout
    assert "9 studies, drawn at random and run again, gave the same evaluations" in again.stdout


def test_an_interrupted_reproduction_is_not_published_and_goes_on(results, tmp_path, monkeypatch):
    real = reproduce.launch

    def stopped(*given, **rest):
        real(*given, **rest)
        raise InterruptedRunError("interrupted; everything recorded is safe")

    with monkeypatch.context() as patch:
        patch.setattr(reproduce, "launch", stopped)
        ran = derby("reproduce", "P1", "--results", results, "--only", "middle")
    assert ran.returncode == 130
    refused = published(results, tmp_path / "published")
    assert refused.returncode == 3
    assert "was run by `derby reproduce P1`, which has not written its page" in refused.stderr
    count = trained(results)
    run(results, "--only", "middle")
    assert trained(results) == count
    with monkeypatch.context() as patch:  # now with a page, which is not of what is recorded
        patch.setattr(reproduce, "launch", stopped)
        derby("reproduce", "P1", "--results", results, "--only", "edge")
    refused = published(results, tmp_path / "published")
    assert refused.returncode == 3
    assert "is not of what is recorded now of 'reproduce-P1-full': run `derby reproduce P1" in refused.stderr
    assert not (tmp_path / "published").exists()


def test_a_reproduction_with_a_failure_is_not_published(results, tmp_path, monkeypatch):
    def broken(self, config, **rest):
        if config["x"] == 1.0:
            raise RuntimeError("a bug")
        return evaluate(self, config, **rest)

    evaluate = Dish.evaluate
    monkeypatch.setattr(Dish, "evaluate", broken)
    derby("reproduce", "P1", "--results", results, "--only", "edge", "--only", "searched")
    refused = published(results, tmp_path / "published")
    assert refused.returncode == 3
    assert "report P1 is not finished: of" in refused.stderr
    assert "edge, repetition 1" in refused.stderr


def test_what_is_chosen_of_races_is_refused(folder, results):
    refused = published(results, folder.parent, "--replace", "--only", "middle")
    assert refused.returncode == 2
    assert "a reproduced report is published with the page that `derby reproduce` wrote" in refused.stderr


def test_a_page_written_elsewhere_is_published_by_its_path(results, tmp_path):
    run(results, "--only", "middle", "--out", str(tmp_path / "mine"))
    root = tmp_path / "published"
    made = derby("publish", f"{tmp_path}/mine", "--published", root, "--as", "p1")
    assert made.returncode == 0, made.stderr
    assert derby("verify", "p1", "--published", root).returncode == 0


def test_no_race_is_made_of_a_reproduction(folder, tmp_path):
    refused = derby("site", folder.name, "--published", folder.parent, "--out", tmp_path / "site")
    assert refused.returncode == 3
    assert "is a reproduced report, which is no race" in refused.stderr


def test_a_damaged_file_of_networks_is_named(folder):
    (folder / "networks" / "edge.npz").write_bytes(b"damaged")
    verified = derby("verify", "--published", folder.parent)
    assert verified.returncode == 3
    assert "cannot read" in verified.stderr
    assert "networks/edge.npz" in verified.stderr
