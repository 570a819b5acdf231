"""Several results folders together: shared sweeps, versions, refusals."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest
from records import lines_of, rewrite

from analysis.notebook import read
from harness.errors import RecordError
from results import merge
from results.sources import Source, source_names, source_of
from results.tables import export, read_tables

SWEEP = """\
name: shared
seed: 3
repetitions: 2
budget: {evaluations: 4}
tasks: [branin, hartmann6]
searchers: [random, {name: random, label: other, settings: {design: sobol}}]
"""


@pytest.fixture
def folders(run_sweep, tmp_path):
    """Two folders with the same finished sweep."""
    a, b = tmp_path / "a", tmp_path / "b"
    run_sweep(SWEEP, a)
    shutil.copytree(a, b)
    return a, b


def together(*paths):
    return merge.merged({path.name: read(path) for path in paths})


def journals(root):
    return sorted((root / "studies").glob("*.jsonl"))


def sorted_trials(tables):
    return tables.trials.sort_values(["study", "step"]).reset_index(drop=True)


def change_value(path, step=2, by=0.5):
    lines = lines_of(path)
    told = [line for line in lines if line["event"] == "told"][step - 1]
    told["value"] += by
    told["loss"] += by
    rewrite(path, lines)


def test_a_sweep_shared_by_two_clusters_is_one(folders):
    a, b = folders
    whole = read_tables(a, "shared")
    for index, (one, other) in enumerate(zip(journals(a), journals(b), strict=True)):
        (one if index % 2 else other).unlink()
    tables = together(a, b)
    pd.testing.assert_frame_equal(sorted_trials(tables), sorted_trials(whole))
    assert set(tables.studies["state"]) == {"done"}
    assert set(tables.studies["searcher"]) == {"random", "other"}
    keys = ["study", "step", "epoch"]
    pd.testing.assert_frame_equal(
        tables.epochs.sort_values(keys).reset_index(drop=True),
        whole.epochs.sort_values(keys).reset_index(drop=True),
    )
    assert any("one method, its studies from a" in note for note in tables.provenance["merged"])


def test_the_copy_that_got_furthest_is_used(folders):
    a, b = folders
    path = journals(a)[0]
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:4]))
    for order in ((a, b), (b, a)):
        tables = together(*order)
        assert set(tables.studies["state"]) == {"done"}
        assert len(tables.trials) == 8 * 4


def test_a_method_that_gave_other_numbers_is_shown_once_per_folder(folders):
    a, b = folders
    tables = read_tables(a, "shared")
    study = tables.studies.query("searcher == 'random' and task == 'branin' and repetition == 1")[
        "study"
    ].item()
    change_value(b / "studies" / f"{study}.jsonl")
    both = together(a, b)
    assert set(both.studies["searcher"]) == {"random (a)", "random (b)", "other"}
    assert both.studies["study"].is_unique
    assert both.studies.groupby(["task", "searcher"]).size().eq(2).all()
    note = next(note for note in both.provenance["merged"] if note.startswith("random"))
    assert "on branin, repetition 1, step 2, its value is" in note
    means = both.trials[both.trials["task"] == "branin"].groupby("searcher")["value"].sum()
    assert means["random (b)"] == pytest.approx(means["random (a)"] + 0.5)
    assert len(both.epochs) == len(both.trials)
    assert set(both.epochs["study"]) == set(both.trials["study"])


def test_other_settings_under_one_label_are_shown_once_per_folder(run_sweep, folders, tmp_path):
    run_sweep(SWEEP.replace("design: sobol", "design: lhs"), tmp_path / "c")
    both = together(folders[0], tmp_path / "c")
    assert set(both.studies["searcher"]) == {"random", "other (a)", "other (c)"}
    assert "its settings differ between a and c" in " ".join(both.provenance["merged"])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("seed: 3", "seed: 4", r"task branin: root seed is 3 in a and 4 in c"),
        ("{evaluations: 4}", "{evaluations: 5}", r"task branin: budget_amount is 4 in a and 5 in c"),
        ("[branin, hartmann6]", "[branin]", r"only a has the task hartmann6"),
        ("repetitions: 2", "repetitions: 2\ndeadline: 9", r"deadline is null in a and 9.0 in c"),
        ("repetitions: 2", "repetitions: 2\nworkers: 2", r"workers is 1 in a and 2 in c"),
    ],
)
def test_other_protocols_are_refused_with_the_difference(run_sweep, folders, tmp_path, old, new, words):
    assert old in SWEEP
    run_sweep(SWEEP.replace(old, new), tmp_path / "c")
    with pytest.raises(RecordError, match=words) as caught:
        together(folders[0], tmp_path / "c")
    assert "cannot be compared" in str(caught.value)


def test_other_data_are_refused(folders):
    a, b = (read(folder) for folder in folders)
    a.provenance["data"]["branin"], b.provenance["data"]["branin"] = "aa", "bb"
    with pytest.raises(RecordError, match="data digest is 'aa' in a and 'bb' in b"):
        merge.merged({"a": a, "b": b})


def test_versions_and_machines_are_told_apart(folders):
    a, b = (read(folder) for folder in folders)
    a.provenance["versions"]["numpy"] = "1"
    b.provenance["versions"]["numpy"] = "2"
    a.provenance["versions"]["scipy"] = b.provenance["versions"]["scipy"] = "3"
    versions = merge.merged({"a": a, "b": b}).provenance["versions"]
    assert versions == {"numpy": {"a": "1", "b": "2"}, "scipy": "3"}


def test_what_can_be_given(run_sweep, folders, tmp_path):
    a, _ = folders
    export(read_tables(a, "shared"), tmp_path / "exported")
    pd.testing.assert_frame_equal(read(tmp_path / "exported").trials, read(a).trials)
    run_sweep(SWEEP.replace("name: shared", "name: second"), a)
    with pytest.raises(RecordError, match="holds 2 sweeps; give the folder of one of them"):
        read(a)
    assert read(a / "sweeps" / "second").name == "second"
    with pytest.raises(RecordError, match="holds no sweep: expected"):
        read(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        ([("x/a", "shared"), ("x/b", "shared")], ["a", "b"]),
        ([("x/local", "shared"), ("y/local", "shared")], ["x/local", "y/local"]),
        ([("local", "first"), ("local", "second")], ["first", "second"]),
        ([("local", "first"), ("other", "second")], ["first", "second"]),
        ([("local", "demo"), ("published/demo", None)], ["local/demo", "published/demo"]),
        ([("local", "demo"), ("published/other", None)], ["demo", "other"]),
        ([("a/export", None), ("b/export", None)], ["a/export", "b/export"]),
    ],
)
def test_sources_have_short_names(tmp_path, sources, names):
    assert source_names([Source(tmp_path / folder, sweep) for folder, sweep in sources]) == names


def test_no_source_is_given_twice(folders):
    a, b = folders
    for again in (a, a / "sweeps" / "shared"):
        with pytest.raises(RecordError, match=r"the sweep 'shared' in .*a is given twice"):
            source_names([source_of(path) for path in (a, b, again)])


def test_sweeps_of_one_folder_are_called_by_their_names(run_sweep, tmp_path):
    local = tmp_path / "local"
    run_sweep(SWEEP, local)
    other = SWEEP.replace("name: shared", "name: second").replace("{design: sobol}", "{design: uniform}")
    run_sweep(other, local)
    tables = read(local / "sweeps" / "shared", local / "sweeps" / "second")  # as `derby compare` does
    assert set(tables.studies["searcher"]) == {"random", "other (shared)", "other (second)"}
    assert all("local" not in note for note in tables.provenance["merged"])


def test_folders_of_different_tasks_merge_where_that_is_asked_for(run_sweep, tmp_path):
    for name, tasks, searcher in (("one", "[branin, mixed]", "random"), ("two", "[branin]", "grid")):
        run_sweep(
            f"{{name: {name}, repetitions: 1, budget: {{evaluations: 3}}, tasks: {tasks}, searchers: [{searcher}]}}",
            tmp_path / name,
        )
    sources = {name: read(tmp_path / name) for name in ("one", "two")}
    with pytest.raises(RecordError, match="only one has the task mixed"):
        merge.merged(sources)
    found = merge.merged(sources, same_tasks=False)
    assert list(found.tasks.index) == ["branin", "mixed"]
    assert found.tasks.index.name == "task"
    pairs = found.studies[["task", "searcher"]].drop_duplicates()
    assert sorted(map(tuple, pairs.to_numpy())) == [
        ("branin", "grid"),
        ("branin", "random"),
        ("mixed", "random"),
    ]
    assert len(found.trials) == sum(len(tables.trials) for tables in sources.values()) > 3


def test_folders_of_different_tasks_must_agree_on_those_they_share(run_sweep, tmp_path):
    for name, tasks, budget in (("one", "[branin, mixed]", 3), ("two", "[branin]", 4)):
        run_sweep(
            f"{{name: {name}, repetitions: 1, budget: {{evaluations: {budget}}}, tasks: {tasks}, searchers: [random]}}",
            tmp_path / name,
        )
    sources = {name: read(tmp_path / name) for name in ("one", "two")}
    with pytest.raises(RecordError, match="task branin: budget.amount is 3 in one and 4 in two"):
        merge.merged(sources, same_tasks=False)
