"""Sweeps that leave out what a method cannot search: named wherever the sweep is, and more repetitions reuse all."""

from __future__ import annotations

import pytest
from command import derby

from harness.errors import SweepError
from harness.plan import LeftOut, Plan, StudyPlan
from harness.sweep import parse_sweep
from results.layout import Layout
from results.tables import export, read_exported, read_tables

SWEEP = """\
name: mixed-field
seed: 2
repetitions: 2
budget: {evaluations: 4}
incompatible: leave_out
tasks: [branin, mixed]
searchers: [random, optuna_cmaes, grid]
"""
REASON = "parameter 'kind' is a Choice; it searches Float, Int only"


def test_each_method_has_studies_of_the_tasks_that_it_can_search():
    sweep = parse_sweep(SWEEP, "s.yaml")
    assert [(pair.task, pair.searcher) for pair in sweep.left_out] == [("mixed", "optuna_cmaes")]
    assert sweep.left_out[0].reason.startswith(REASON)
    pairs = {(study.task, study.searcher) for study in sweep.studies}
    assert len(pairs) == 5
    assert ("mixed", "optuna_cmaes") not in pairs
    assert sweep.as_plan().left_out == list(sweep.left_out)


def test_a_study_is_the_same_whether_pairs_are_left_out_or_not():
    alone = SWEEP.replace(", optuna_cmaes", "").replace("incompatible: leave_out\n", "")
    ids = {study.key.id for study in parse_sweep(SWEEP, "s.yaml").studies}
    assert {study.key.id for study in parse_sweep(alone, "s.yaml").studies} < ids


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SWEEP.replace("leave_out", "refuse"), f"'optuna_cmaes' cannot search task 'mixed': {REASON}"),
        (
            SWEEP.replace("[branin, mixed]", "[mixed]"),
            "line 7, searchers[1]: searcher 'optuna_cmaes' cannot search",
        ),
        (
            SWEEP.replace("[random, optuna_cmaes, grid]", "[optuna_cmaes]"),
            "line 6, tasks: no searcher of this sweep can search task 'mixed'; leave it out",
        ),
        (
            SWEEP.replace("leave_out", "skip"),
            "incompatible: input should be 'refuse' or 'leave_out', got 'skip'",
        ),
        (
            SWEEP.replace("[branin, mixed]", "[{name: branin, budget: {full: 1}}, mixed]").replace(
                "[random, optuna_cmaes, grid]",
                "[random, optuna_cmaes, {name: kerastuner_hyperband, label: rungs}]",
            )
            + "compare: {method: random, at: [1, 0.5]}\n",
            "compare: give the parts of the budget in at in ascending order, each once",
        ),
        (
            SWEEP + "compare: {method: random, measure: anytime, at: [0.5, 1]}\n",
            "give at with measure: final only",
        ),
        (
            SWEEP + "compare: {method: random, at: [0]}\n",
            "line 8, compare.at[0]: input should be greater than 0",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(text, message):
    with pytest.raises(SweepError) as refused:
        parse_sweep(text, "s.yaml")
    assert message in str(refused.value)


NARROW = """
from derby import Float, Searcher


class Narrow(Searcher):
    domains = (Float,)

    def _ask(self): ...
    def _tell(self, suggestion, loss): ...
"""


def test_a_method_that_can_search_little_is_refused_in_a_line_for_each_kind_of_reason(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(NARROW)
    tasks = ["branin", "mixed", *(f"hpobench_mlp/{data}" for data in ("car", "kc1", "vehicle"))]
    with pytest.raises(SweepError) as refused:
        parse_sweep(
            f"name: s\nrepetitions: 1\nbudget: {{evaluations: 4}}\ntasks: {tasks}\nsearchers: [mine.py:Narrow]\n",
            "s.yaml",
        )
    place = "s.yaml, line 5, searchers[0]: searcher 'Narrow' cannot search "
    assert str(refused.value).splitlines() == [
        f"{place}mixed, all 3 of hpobench_mlp: on mixed, parameter 'depth' is a Int; it searches Float only; and 16 "
        "more of the kind",
        f"{place}task 'mixed': parameter 'kind' is a Choice; it searches Float only",
    ]


def test_a_plan_does_not_hold_a_study_that_it_leaves_out():
    plan = parse_sweep(SWEEP, "s.yaml").as_plan()
    study = StudyPlan("0" * 16, "mixed", "optuna_cmaes", 0)
    with pytest.raises(ValueError, match="said to be left out"):
        Plan(**{**{name: getattr(plan, name) for name in plan.__struct_fields__}, "studies": [study]})


def test_what_is_left_out_is_named_wherever_the_sweep_is(tmp_path):
    (tmp_path / "s.yaml").write_text(SWEEP)
    said = f"left out, because it cannot be searched: optuna_cmaes on mixed ({REASON}"
    for command in ("plan s.yaml", "run s.yaml", "status mixed-field"):
        done = derby(*command.split(), cwd=tmp_path, COLUMNS="400")
        assert done.returncode == 0, done.stderr
        assert said in done.stdout, command
    assert (
        "2 tasks × 3 searchers, less 1 pair that"
        in derby("plan", "s.yaml", cwd=tmp_path, COLUMNS="400").stdout
    )
    tables = read_tables(tmp_path / "results/local", "mixed-field")
    export(tables, tmp_path / "tables")
    for each in (tables, read_exported(tmp_path / "tables")):
        (pair,) = each.left_out
        assert isinstance(pair, LeftOut)
        assert (pair.task, pair.searcher) == ("mixed", "optuna_cmaes")


def test_more_repetitions_of_a_finished_sweep_run_nothing_again(run_sweep):
    run_sweep(SWEEP)
    journals = {path.name: path.read_bytes() for path in Layout(run_sweep.root).study("0").parent.iterdir()}
    progress = run_sweep(SWEEP.replace("repetitions: 2", "repetitions: 3"))
    assert (progress.studies, progress.complete, progress.done) == (15, 10, 5)
    now = {path.name: path.read_bytes() for path in Layout(run_sweep.root).study("0").parent.iterdir()}
    assert journals.items() <= now.items()
    assert len(now) == 15
