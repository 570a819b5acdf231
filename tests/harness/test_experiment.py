"""What a report published, as declared, and that every declaration can be run."""

from __future__ import annotations

import pytest

from harness import registry, reproduce
from harness.experiment import Experiment, Search, rounding

SEARCH = Search("random", {"evaluations": 3})
DECLARED = [(kind, e) for kind in registry.tasks().values() for e in kind.experiments]


@pytest.mark.parametrize(
    ("text", "half"), [("0.89", 0.005), ("0.8534", 0.00005), ("1.17e9", 5e6), ("102e6", 5e5), ("108", 0.5)]
)
def test_rounding_is_half_a_unit_of_the_last_digit(text, half):
    assert rounding(text) == pytest.approx(half)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"reference": "a", "search": SEARCH},
        {"reference": "a", "retrain": 3},
        {"search": SEARCH, "retrain": 0},
        {"reference": "a", "options": {"variant": "tiny"}},
        {"reference": "a", "published": {"test_loss": "about 2"}},
        {"reference": "a", "published": {"test_loss": "inf"}},
        {"reference": "a", "label": "x" * 41},
    ],
)
def test_contradictions_are_refused(wrong):
    with pytest.raises(ValueError, match="report 'R'"):
        Experiment(**{"report": "R", "label": "one", **wrong})


def test_every_report_is_declared():
    assert {"S0", "S1", "S2", "S3", "S4"} <= set(registry.reports())
    published = {(e.report, e.label): dict(e.published) for _, e in DECLARED}
    assert published["S1", "SGD with momentum"] == {"test_accuracy": "0.89", "test_macro_f1": "0.90"}
    assert published["S2", "rmsprop_l1_dropout"] == {"test_accuracy": "0.8226", "test_loss": "1.49"}
    assert published["S2", "Hyperband on val_accuracy"] == {
        "test_accuracy": "0.9829",
        "test_macro_f1": "0.9831",
    }
    assert published["S4", "given point"] == {"test_accuracy": "0.8534"}
    assert published["S4", "GP-EI, best of 60"] == {"test_accuracy": "0.9098"}
    assert all(not figures for (report, _), figures in published.items() if report == "S3")


@pytest.mark.parametrize("report", sorted(registry.reports()))
@pytest.mark.parametrize("variant", ["full", "tiny"])
def test_every_declared_experiment_can_be_run(report, variant):
    prepared = reproduce.prepare(report, reproduce.Setting(variant, repetitions=2))
    declared = [e.label for _, e in DECLARED if e.report == report]
    assert [entry.experiment.label for entry in prepared.entries] == declared
    assert len(prepared.sweep.studies) == 2 * len(declared)
    for entry in prepared.entries:
        search = entry.experiment.search
        if search is not None and search.found:
            known = entry.task.space.parameters
            assert set(search.found) <= set(known)
            for name, value in search.found.items():
                assert known[name].canonical(value) == value


def test_a_report_that_tunes_on_its_test_set_is_run_as_it_was():
    entries = reproduce.prepare("S4", reproduce.Setting()).entries
    assert {entry.task.objective.metric for entry in entries} == {"test_accuracy"}
    assert [entry.studies[0].key.budget.amount for entry in entries] == [1, 1, 60]
