"""What is to be compared, said before there are results; and repetitions added after a look at some."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from harness.commands import running
from harness.errors import RecordError, SweepError
from harness.launch import Placement, launch
from harness.plan import Compare
from harness.sweep import parse_sweep
from results.layout import Layout
from results.merge import merged
from results.tables import export, read_exported, read_tables

SWEEP = """\
name: plans
repetitions: {repetitions}
budget: {{evaluations: 3}}
tasks: [branin, hartmann6]
searchers: [random, {{name: grid, label: by grid}}, optuna_tpe]
"""
COMPARE = "compare: {method: optuna_tpe, against: [random], measure: anytime, level: 0.01}\n"
STATED = Compare(("random", "optuna_tpe"), "optuna_tpe", "anytime", 0.01)


def run(root: Path, compare: str = "", repetitions: int = 2, name: str = "plans") -> str:
    said = io.StringIO()
    text = SWEEP.format(repetitions=repetitions).replace("name: plans", f"name: {name}") + compare
    launch(parse_sweep(text, "sweep.yaml"), root, Placement(), Console(file=said, width=500))
    return said.getvalue()


def compared(root: Path, name: str = "plans"):
    tables = read_tables(root, name)
    return tables.compared


@pytest.mark.parametrize(
    ("given", "stated", "pairs"),
    [
        (
            "{methods: [optuna_tpe, random]}",
            Compare(("random", "optuna_tpe"), None, "final", 0.05),
            [("random", "optuna_tpe")],
        ),
        (
            "{methods: [by grid, optuna_tpe, random]}",
            Compare(("random", "by grid", "optuna_tpe"), None, "final", 0.05),
            [("random", "by grid"), ("random", "optuna_tpe"), ("by grid", "optuna_tpe")],
        ),
        (
            "{method: by grid}",
            Compare(("random", "by grid", "optuna_tpe"), "by grid", "final", 0.05),
            [("by grid", "random"), ("by grid", "optuna_tpe")],
        ),
        (COMPARE.removeprefix("compare: "), STATED, [("optuna_tpe", "random")]),
    ],
)
def test_what_is_to_be_compared_is_planned(given, stated, pairs):
    sweep = parse_sweep(SWEEP.format(repetitions=1) + f"compare: {given}\n", "s.yaml")
    assert sweep.compare == sweep.as_plan().compare == stated
    assert list(stated.pairs) == pairs
    plain = parse_sweep(SWEEP.format(repetitions=1), "s.yaml")
    assert plain.compare is None
    assert [study.key.id for study in plain.studies] == [study.key.id for study in sweep.studies]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "{methods: [randon, optuna_tpe]}",
            r"compare.methods\[0\]: no searcher .* called 'randon'.*'random'",
        ),
        ("{methods: [random, random]}", r"compare.methods\[1\]: 'random' is named twice"),
        ("{methods: [random]}", r"compare.methods: list should have at least 2 items"),
        ("{method: grid}", r"compare.method: no searcher of this sweep is called 'grid'.*'by grid'"),
        ("{method: random, against: [random]}", r"compare.*'random' is named twice"),
        ("{method: random, against: []}", r"compare.against: list should have at least 1 item"),
        (
            "{methods: [random, by grid], against: [optuna_tpe]}",
            r"compare: give methods, such as .*or method and against",
        ),
        ("{methods: [random, by grid], method: random}", r"compare: give methods, such as"),
        ("{}", r"compare: give methods, such as"),
        ("{method: random, level: 0.7}", r"compare.level: .*0.5, got 0.7"),
        ("{method: random, measure: best}", r"compare.measure: .*'final' or 'anytime', got 'best'"),
        ("{method: random, agianst: [by grid]}", r"compare.agianst: unknown field; .*'against'"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_its_line(given, message):
    with pytest.raises(SweepError, match=rf"^sweep.yaml, line 6, {message}"):
        parse_sweep(SWEEP.format(repetitions=1) + f"compare: {given}\n", "sweep.yaml")


def test_a_method_alone_has_nothing_to_be_compared_with():
    text = SWEEP.format(repetitions=1).replace(", {name: grid, label: by grid}, optuna_tpe", "")
    with pytest.raises(SweepError, match="line 6, compare: 'random' is the only searcher"):
        parse_sweep(text + "compare: {method: random}\n", "sweep.yaml")


def test_what_was_stated_before_the_first_evaluation_stays_so(tmp_path):
    assert "to be compared" not in run(tmp_path, COMPARE)
    assert read_tables(tmp_path, "plans").compared.stated == STATED
    assert read_tables(tmp_path, "plans").compared.beforehand
    run(tmp_path, COMPARE)  # all done
    run(tmp_path, COMPARE, repetitions=3)
    assert compared(tmp_path).beforehand
    runs = [json.loads(path.read_text()) for path in (tmp_path / "sweeps/plans/runs").glob("*.json")]
    assert [each["compare"]["method"] for each in runs] == ["optuna_tpe"] * 3


def test_what_was_stated_or_changed_after_results_is_not_beforehand(tmp_path):
    run(tmp_path)
    assert compared(tmp_path) is None
    said = run(tmp_path, COMPARE)
    assert "what is to be compared is said, or said otherwise, after 32 evaluations were told" in said
    assert compared(tmp_path).stated == STATED
    assert not compared(tmp_path).beforehand

    run(tmp_path / "changed", COMPARE)
    run(tmp_path / "changed", COMPARE.replace("0.01", "0.05"))
    assert not compared(tmp_path / "changed").beforehand
    run(tmp_path / "changed", COMPARE)  # back to what was said first: others had been tried
    assert not compared(tmp_path / "changed").beforehand


def test_results_of_another_name_or_budget_count_as_results(tmp_path):
    run(tmp_path)
    run(tmp_path, COMPARE, name="other")  # the same studies
    assert not compared(tmp_path, "other").beforehand
    text = SWEEP.format(repetitions=2).replace("evaluations: 3", "evaluations: 4") + COMPARE
    launch(parse_sweep(text, "s.yaml"), tmp_path, Placement(), Console(file=io.StringIO()))
    assert not compared(tmp_path).beforehand  # of the sweep's first budget


def test_an_interrupted_first_run_is_none_that_had_seen_results(tmp_path):
    run(tmp_path, COMPARE)
    for path in (tmp_path / "studies").glob("*.jsonl"):
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:4]))
    run(tmp_path, COMPARE)
    assert compared(tmp_path).beforehand
    assert read_tables(tmp_path, "plans").looks == ()


def test_repetitions_that_were_added_after_a_look_are_told(tmp_path):
    run(tmp_path, repetitions=2)
    said = run(tmp_path, repetitions=5)
    assert "repetitions are added (2 → 5) after results of 2 existed: the report says so" in said
    run(tmp_path, repetitions=5)
    (look,) = read_tables(tmp_path, "plans").looks
    assert (look.complete, look.before, look.after, look.folder) == (2, 2, 5, "")
    assert look.when.endswith("+00:00")
    run(tmp_path, repetitions=6)
    assert [(each.complete, each.after) for each in read_tables(tmp_path, "plans").looks] == [(2, 5), (5, 6)]


def test_what_was_complete_is_counted_and_no_more(tmp_path):
    run(tmp_path, repetitions=3)
    last = [study.study for study in Layout(tmp_path).plan("plans").studies if study.repetition == 2]
    (tmp_path / "studies" / f"{last[0]}.jsonl").unlink()
    run(tmp_path, repetitions=4)
    (look,) = read_tables(tmp_path, "plans").looks
    assert (look.complete, look.before, look.after) == (2, 3, 4)
    for path in (tmp_path / "studies").glob("*.jsonl"):
        path.unlink()
    run(tmp_path, repetitions=5)
    assert len(read_tables(tmp_path, "plans").looks) == 1  # nothing was there to be looked at


def test_both_survive_export_publication_and_comparison(tmp_path):
    from results.published import publish, verify

    for folder in "ab":
        run(tmp_path / folder, COMPARE)
        run(tmp_path / folder, COMPARE, repetitions=3)
    tables = read_tables(tmp_path / "a", "plans")
    export(tables, tmp_path / "tidy")
    again = read_exported(tmp_path / "tidy")
    assert (again.compared, again.looks) == (tables.compared, tables.looks)
    assert again.compared.stated == STATED

    def draw(tables, folder):
        (folder / "tables").mkdir()
        (folder / "tables" / "plan.txt").write_text(f"{tables.compared} {tables.looks}")

    publish(tables, tmp_path / "published", "plans", draw)
    assert verify(tmp_path / "published", "plans", draw).true
    both = merged({name: read_tables(tmp_path / name, "plans") for name in "ab"})
    assert both.compared == tables.compared
    assert [(look.folder, look.complete) for look in both.looks] == [("a", 2), ("b", 2)]
    run(tmp_path / "c", repetitions=3)
    assert merged({name: read_tables(tmp_path / name, "plans") for name in "ac"}).compared is None
    run(tmp_path / "c", COMPARE, repetitions=3)
    late = merged({name: read_tables(tmp_path / name, "plans") for name in "ac"}).compared
    assert not late.beforehand


def test_a_provenance_that_says_something_else_is_refused_by_file(tmp_path):
    run(tmp_path, COMPARE)
    export(read_tables(tmp_path, "plans"), tmp_path / "tidy")
    path = tmp_path / "tidy" / "provenance.json"
    about = json.loads(path.read_text())
    about["compare"]["method"] = "somebody"
    path.write_text(json.dumps(about))
    with pytest.raises(RecordError, match=r"provenance.json: 'somebody' is none of the methods compared"):
        read_exported(tmp_path / "tidy")


def test_the_plan_is_shown(tmp_path, capsys):
    (tmp_path / "s.yaml").write_text(SWEEP.format(repetitions=1) + COMPARE)
    running.plan(tmp_path / "s.yaml", results=tmp_path)
    said = capsys.readouterr().out
    assert "To be compared: optuna_tpe with random; by anytime values, at the level 0.01." in said
