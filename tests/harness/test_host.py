"""Study hosts: the study's events whoever answers it, and how slices and replays leave them as they are."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import msgspec
import pytest

from harness import host, registry
from harness.evaluator import Bug, Evaluator, Job
from harness.events import Asked, Done, Told
from harness.host import Step, StudyHost
from harness.study import Study
from harness.sweep import parse_sweep

SWEEP = """\
name: hosted
repetitions: 1
workers: {workers}
budget: {{evaluations: 9}}
tasks: [{task}]
searchers: [{searcher}]
"""


def study_key(task="branin", searcher="random", workers=1):
    text = SWEEP.format(task=task, searcher=searcher, workers=workers)
    return parse_sweep(text, "sweep.yaml").studies[0].key


def unmeasured(events):
    blank = {Asked: {"ask_seconds": 0.0}, Told: {"seconds": 0.0, "tell_seconds": 0.0, "machine": ""}}
    return [msgspec.structs.replace(event, **blank.get(type(event), {})) for event in events]


def all_steps(made, key):
    """Let a cheap task's study run to its end, slice by slice."""
    steps = [made.step(Step(key, begin=True))]
    while steps[-1].more:
        steps.append(made.step(Step(key)))
    return steps


@pytest.fixture
def made(monkeypatch):
    """A host whose slices end with the study, however slow the machine is."""
    monkeypatch.setattr(host, "SLICE_SECONDS", float("inf"))
    return StudyHost(1, lambda key: {})


def test_a_slice_ends_by_the_clock(made, monkeypatch):
    seconds = itertools.count()
    monkeypatch.setattr(host, "SLICE_SECONDS", 4.5)
    monkeypatch.setattr(host, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    steps = all_steps(made, study_key())
    assert [len(step.events) for step in steps[:-1]] == [5] * (len(steps) - 1)
    assert len(steps) == 4


@pytest.mark.parametrize("workers", [1, 3])
def test_a_cheap_study_runs_whole_and_as_one_that_is_answered_from_outside(made, workers):
    key = study_key(workers=workers)
    (step,) = all_steps(made, key)
    assert step.done
    assert step.problem is None
    assert sorted(step.evaluated) == list(range(9))
    task = registry.task("branin")()
    searcher = registry.searcher("random")(task.problem, seed=key.search_seed, budget=key.budget)
    study, evaluator, events = (
        Study(searcher, workers=workers, cost=task.cost),
        Evaluator(1, lambda _: {}),
        [],
    )
    while study.done is None:
        for event in study.advance():
            events.append(event)
            if isinstance(event, Asked):
                outcome = evaluator.evaluate(
                    Job(key.evaluation(event.proposal.config), event.proposal.epochs)
                )
                study.deliver(event.number, outcome.evaluation)
    assert unmeasured(step.events) == unmeasured(events)


@pytest.mark.parametrize("workers", [1, 3])
def test_slices_change_nothing(made, monkeypatch, workers):
    key = study_key(workers=workers)
    (whole,) = all_steps(made, key)
    monkeypatch.setattr(host, "SLICE_SECONDS", 0.0)
    slices = all_steps(made, key)
    assert len(slices) > 9
    assert unmeasured(event for step in slices for event in step.events) == unmeasured(whole.events)
    assert {n: e.evaluation.curve["value"] for step in slices for n, e in step.evaluated.items()} == {
        n: e.evaluation.curve["value"] for n, e in whole.evaluated.items()
    }


def test_a_replay_is_answered_from_what_was_recorded_in_one_step(made, plugin):
    key = study_key("troublesome")
    evaluator = Evaluator(1, lambda _: {})
    steps, recorded = [made.step(Step(key, begin=True))], {}
    while not steps[-1].done:
        (asked,) = [event for event in steps[-1].events if isinstance(event, Asked)]
        wanted = key.evaluation(asked.proposal.config)
        evaluation = evaluator.evaluate(Job(wanted, asked.proposal.epochs)).evaluation
        recorded[asked.number] = (wanted.id, evaluation)
        steps.append(made.step(Step(key, delivered={asked.number: evaluation})))
    again = made.step(Step(key, begin=True, recorded=recorded))
    assert again.recorded == set(range(9))
    assert again.done
    assert unmeasured(again.events) == unmeasured(event for step in steps for event in step.events)


def test_what_was_recorded_of_another_configuration_is_not_taken(made, plugin):
    key = study_key("troublesome")
    first = made.step(Step(key, begin=True))
    (asked,) = first.events
    evaluation = Evaluator(1, lambda _: {}).evaluate(Job(key.evaluation(asked.proposal.config), 9)).evaluation
    again = made.step(Step(key, begin=True, recorded={0: ("another", evaluation)}))
    assert (again.recorded, unmeasured(again.events)) == (frozenset(), unmeasured(first.events))


def test_a_broken_searcher_comes_back_as_a_bug_after_the_events_before_it(made, plugin):
    step = made.step(Step(study_key("branin", "{name: breaking, settings: {at: 2}}"), begin=True))
    assert [type(event) for event in step.events] == [Asked, Told, Asked, Told]
    assert isinstance(step.problem, Bug)
    assert "the library broke" in step.problem.message
    assert "Traceback" in step.problem.details


def test_a_study_that_is_dropped_or_done_is_forgotten(made, plugin):
    key = study_key("troublesome")
    made.step(Step(key, begin=True))
    made.drop(key)
    assert isinstance(made.step(Step(key)).problem, Bug)
    (step,) = all_steps(made, study_key())
    assert isinstance(step.events[-1], Done)
    assert made._hosted == {}
