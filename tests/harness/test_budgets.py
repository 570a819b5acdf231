"""Budgets of cost and of recorded seconds: what a sweep file may say, and what studies then do and show."""

from __future__ import annotations

import json

import pytest
import typer
from records import study_records

from harness.budgets import POINTS, epoch_costs
from harness.errors import SweepError, TaskError
from harness.registry import task
from harness.sweep import parse_sweep
from harness.trial import Budget, Fidelity

SWEEP = """\
name: costly
seed: 5
repetitions: 3
budget: {seconds: 60}
workers: 1
tasks: [recorded]
searchers: [random, optuna_tpe, optuna_hyperband]
"""


def test_a_budget_in_the_counts_of_before_has_the_identity_of_before():
    text = "{name: s, repetitions: 1, budget: {epochs: 12}, tasks: [branin], searchers: [random]}"
    (study,) = parse_sweep(text, "s.yaml").studies
    assert study.key.as_json()["budget"] == {"unit": "epochs", "amount": 12}
    assert type(study.key.budget.amount) is int


def test_recorded_seconds_are_a_spelling_of_cost(plugin):
    seconds = parse_sweep(SWEEP, "s.yaml").studies
    cost = parse_sweep(SWEEP.replace("seconds: 60", "cost: 60.0"), "s.yaml").studies
    assert [study.key for study in seconds] == [study.key for study in cost]
    key = seconds[0].key
    assert type(key).from_json(json.loads(json.dumps(key.as_json()))) == key
    assert key.budget == Budget("cost", 60.0, full_cost=epoch_costs(task("recorded")()).mean * 9)


def test_what_a_full_evaluation_costs_is_judged_all_over_the_space(plugin):
    costs = epoch_costs(task("recorded")())
    assert costs == epoch_costs(task("recorded")())
    assert costs.mean == pytest.approx(0.25 * 1.5 * 2, rel=0.01)  # of x and n, which are independent
    assert 0.25 <= costs.least < 0.25 * 1.05
    network = task("mnist_mlp")(variant="tiny")
    own = [network.cost(config) for config in network.space.grid(1)]
    costs = epoch_costs(network)
    assert (costs.least, costs.mean) == (min(own), pytest.approx(sum(own) / len(own), rel=0.02))


@pytest.mark.parametrize(("amount", "evaluations"), [(9.9, 0), (10, 1), (29.999, 2), (30.0, 3), (100, 10)])
def test_a_budget_of_cost_plans_with_what_it_pays_for_on_average(amount, evaluations):
    budget = Budget("cost", amount, full_cost=10)
    assert budget.full_evaluations(Fidelity(1, 9)) == evaluations
    assert budget.epochs(Fidelity(1, 9)) == pytest.approx(amount / 10 * 9)


@pytest.mark.parametrize(
    "fields",
    [("cost", 1.0), ("cost", 0.0, 1.0), ("cost", float("inf"), 1.0), ("epochs", 3, 1.0), ("evaluations", 0)],
)
def test_a_budget_that_contradicts_itself_is_refused(fields):
    with pytest.raises(ValueError, match="a budget"):
        Budget(*fields)


@pytest.mark.parametrize(
    ("old", "new", "messages"),
    [
        ("seconds: 60", "cost: 0", ["line 4, budget.cost: input should be greater than 0, got 0"]),
        ("seconds: 60", "cost: many", ["line 4, budget.cost: input should be a valid number, got 'many'"]),
        ("seconds: 60", "seconds: 60, cost: 60", ["line 4, budget: give exactly one of"]),
        (
            "[recorded]",
            "[recorded, branin, {name: mnist_mlp/tiny, budget: {seconds: 7}}]",
            [
                "line 4, budget: task 'branin' is no recording: how many seconds it takes depends on the machine",
                "with n in evaluations: an epoch of a configuration in the middle of its space costs 1, and a full "
                "evaluation 1 on average",
                "line 6, tasks[2].budget: task 'mnist_mlp/tiny' is no recording",
                "Give {cost: n} instead, with n in FLOPs: an epoch of its reference configuration 'base' costs 4.5",
            ],
        ),
        (
            "seconds: 60",
            "seconds: 2",
            [
                "line 7, searchers[0]: searcher 'random' cannot search task 'recorded': its budget of 2 recorded "
                f"seconds pays for no evaluation: the first needs 9 epochs, and of {POINTS} configurations all over "
                "its space the cheapest costs 2.2",
            ],
        ),
        (
            "seconds: 60",
            "cost: 1.0e+200",
            ["line 4, budget: it pays for more than 1000000000 full evaluations"],
        ),
    ],
)
def test_a_budget_that_cannot_be_is_refused_with_the_reason(plugin, old, new, messages):
    with pytest.raises(SweepError) as error:
        parse_sweep(SWEEP.replace(old, new), "s.yaml")
    for message in messages:
        assert message in str(error.value)


@pytest.mark.parametrize("unit", ["", " s", "a" * 41, "a\nb", 3])
def test_a_unit_of_cost_is_a_name(plugin, monkeypatch, unit):
    from harness.checks import check_task

    monkeypatch.setattr(task("recorded"), "cost_unit", unit)
    with pytest.raises(TaskError, match="cost_unit must be"):
        check_task(task("recorded")())


@pytest.mark.parametrize("workers", [1, 4])
def test_studies_spend_what_they_are_given_and_no_more(run_sweep, plugin, tmp_path, workers):
    from results.tables import export, read_exported, read_tables

    progress = run_sweep(SWEEP.replace("workers: 1", f"workers: {workers}"))
    assert progress.ended_well
    assert progress.short == {}  # what is left pays for none: that is no study that ended short
    tables = read_tables(run_sweep.root, "costly")
    trials, cost = tables.trials, task("recorded")().cost
    epochs = trials.groupby(["study", "trial"])["epochs"].diff().fillna(trials["epochs"])
    charged = epochs * [cost(json.loads(config)) for config in trials["config"]]
    assert trials["spent_cost"].tolist() == pytest.approx(charged.groupby(trials["study"]).cumsum().tolist())
    assert (tables.studies["reason"] == "budget").all()
    assert tables.studies["spent"].between(60 - 9 * 1.5, 60).all()
    assert tables.studies["evaluations"].nunique() > 1
    about = dict(tables.tasks.iloc[0])
    assert (about["budget_unit"], about["budget_amount"], about["cost_unit"]) == ("cost", 60, "s")
    if workers == 1:
        assert trials["virtual_time"].tolist() == pytest.approx(trials["spent_cost"].tolist())
    export(tables, tmp_path / "exported")
    assert read_exported(tmp_path / "exported").trials.equals(trials)
    before = study_records(run_sweep.root)
    assert run_sweep(SWEEP.replace("workers: 1", f"workers: {workers}")).done == 0
    assert study_records(run_sweep.root) == before


def test_a_study_cut_off_anywhere_goes_on_to_the_same_end(run_sweep, plugin, tmp_path):
    text = SWEEP.replace("repetitions: 3", "repetitions: 1").replace("workers: 1", "workers: 3")
    run_sweep(text, tmp_path / "whole")
    whole = study_records(tmp_path / "whole")
    journals = sorted((tmp_path / "whole" / "studies").glob("*.jsonl"))
    for part in (0.2, 0.5, 0.9):
        root = tmp_path / f"part{part}"
        run_sweep(text, root)
        for path in journals:
            lines = path.read_bytes().splitlines(keepends=True)
            kept = lines[: max(int(part * len(lines)), 1)]
            (root / "studies" / path.name).write_bytes(b"".join(kept))
        assert run_sweep(text, root).trained == 0
        assert study_records(root) == whole


def test_an_exhausted_study_and_its_unit_are_named(run_sweep, plugin, tmp_path, monkeypatch, capsys):
    from analysis import words
    from harness.commands import running
    from results.tables import read_tables

    text = SWEEP.replace(
        "[random, optuna_tpe, optuna_hyperband]", "[random, {name: grid, settings: {resolution: 1}}]"
    )
    (tmp_path / "costly.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(typer.Exit):
        running.run(tmp_path / "costly.yaml", results=run_sweep.root)
    sentence = (
        "short of its budget: grid on recorded, repetition 2: ended after 6.75 of 60 recorded seconds; its"
    )
    assert sentence in capsys.readouterr().out
    running.status("costly", results=run_sweep.root)
    assert sentence in capsys.readouterr().out
    tables = read_tables(run_sweep.root, "costly")
    assert "grid on recorded (6.75 of 60 recorded seconds, 3 repetitions)" in words.short(
        tables, ["recorded"]
    )


@pytest.mark.slow
def test_a_report_reads_in_the_unit_of_the_budget(run_sweep, plugin, tmp_path):
    import pandas as pd

    from analysis.report.page import build
    from analysis.statistics.inputs import prepare
    from analysis.statistics.scores import budget_of
    from results.tables import read_tables

    text = SWEEP.replace("tasks: [recorded]", "tasks: [recorded, {name: mixed, budget: {cost: 40}}]")
    run_sweep(text.replace(", optuna_hyperband", ""))
    tables = read_tables(run_sweep.root, "costly")
    inputs = prepare(tables)
    assert inputs.primary == "spent_cost"
    assert budget_of(inputs, "recorded") == ("spent_cost", 60.0)
    page = build(tables, tmp_path / "report").read_text()
    for text in (
        "Budget: 60 recorded seconds; full fidelity: 9 epochs",
        "Budget: 40 evaluations;",
        "Best so far on recorded over training seconds (recorded) (log axis)",
        "Best so far on mixed over cost (evaluations) (log axis)",
        "the fraction of each task&#39;s largest final cost in cost (each task&#39;s own unit)",
        "Cost (recorded seconds)",
    ):
        assert text in page, text
    drawn = pd.read_csv(tmp_path / "report" / "figures" / "convergence_recorded_spent_cost.csv")
    assert drawn["cost"].max() == pytest.approx(tables.trials.query("task == 'recorded'")["spent_cost"].max())


def test_sweeps_in_different_units_are_not_compared(run_sweep, plugin, tmp_path):
    from harness.errors import RecordError
    from results.merge import merged
    from results.tables import read_tables

    sources = {}
    for name, budget in (("a", "{cost: 30}"), ("b", "{evaluations: 4}")):
        run_sweep(SWEEP.replace("{seconds: 60}", budget), tmp_path / name)
        sources[name] = read_tables(tmp_path / name, "costly")
    with pytest.raises(RecordError) as error:
        merged(sources)
    assert "task recorded: budget_unit is 'cost' in a and 'evaluations' in b" in str(error.value)
    assert "task recorded: budget_amount is 30 in a and 4 in b" in str(error.value)
