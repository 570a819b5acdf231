"""The study's loop: virtual time, budgets, failures, continued trials."""

from __future__ import annotations

import random

import pytest
from scripted import Scripted, diverged, value

from harness.errors import ProtocolError, SearcherError, TaskError
from harness.events import Asked, Done, Told
from harness.study import Study
from harness.trial import Budget, Evaluation, Status


def run(
    study: Study, evaluate=lambda asked: value(asked.proposal.config["x"], asked.proposal.epochs), rng=None
):
    """Drive a study to its end, delivering in the order asked or, with a generator, in any order."""
    events, waiting = [], []
    while study.done is None:
        for event in study.advance():
            events.append(event)
            if isinstance(event, Asked):
                waiting.append(event)
        if waiting and study.done is None:
            asked = waiting.pop(rng.randrange(len(waiting)) if rng else 0)
            study.deliver(asked.number, evaluate(asked))
    return events


def story(events):
    return [
        (e.proposal.config["x"], e.start) if isinstance(e, Asked) else (e.number, e.finish)
        for e in events
        if not isinstance(e, Done)
    ]


def cost(config):
    return config["x"] / 27


def at_cost(amount):
    return Budget("cost", amount, full_cost=27.0)


def end(done):
    """How and with what a study ended."""
    assert isinstance(done, Done)
    return done.reason, done.evaluations, done.epochs


def test_one_worker_asks_and_tells_in_turn():
    searcher = Scripted([5, 3, 8], Budget("evaluations", 2))
    events = run(Study(searcher, workers=1, cost=cost))
    assert [type(e) for e in events] == [Asked, Told, Asked, Told, Done]
    assert searcher.log == [("ask", 5.0), ("tell", 5.0), ("ask", 3.0), ("tell", 3.0)]
    assert end(events[-1]) == ("budget", 2, 54)


def test_tells_come_in_virtual_finishing_order_whatever_finished_first():
    script = [9.0, 2.0, 4.0, 1.0, 6.0]
    reference = None
    for seed in range(20):
        searcher = Scripted(script, Budget("evaluations", 5))
        events = run(Study(searcher, workers=2, cost=cost), rng=random.Random(seed))
        reference = reference or (story(events), searcher.log)
        assert (story(events), searcher.log) == reference
    # Worker 1 has 9 until t = 9; worker 2 has 2 until 2, then 4 until 6, then 1 until 7, then 6 until 13.
    told = [round(e.loss) for e in events if isinstance(e, Told)]
    finish = [pytest.approx(e.finish) for e in events if isinstance(e, Told)]
    assert told == [2, 4, 1, 9, 6]
    assert finish == [2, 6, 7, 9, 13]


def test_what_finishes_together_is_told_before_anything_is_asked():
    searcher = Scripted([1, 2, 3, 4], Budget("evaluations", 4))
    run(Study(searcher, workers=2, cost=lambda _: 1.0), rng=random.Random(0))
    assert [kind for kind, _ in searcher.log] == ["ask", "ask", "tell", "tell", "ask", "ask", "tell", "tell"]
    assert [x for kind, x in searcher.log if kind == "tell"] == [1, 2, 3, 4]


def test_workers_are_asked_before_an_evaluation_is_needed():
    study = Study(Scripted([1, 2, 3], Budget("evaluations", 3)), workers=3, cost=cost)
    assert [e.number for e in study.advance()] == [0, 1, 2]
    assert list(study.advance()) == []
    study.deliver(2, value(3))  # the latest in virtual time: nothing can be told yet
    assert list(study.advance()) == []
    study.deliver(0, value(1))
    assert [e.number for e in study.advance()] == [0]


def test_an_exhausted_searcher_ends_the_study():
    events = run(Study(Scripted([1, 2], Budget("evaluations", 50)), workers=1, cost=cost))
    assert end(events[-1]) == ("exhausted", 2, 54)


def test_none_means_wait_while_something_runs():
    searcher = Scripted([1, None, 2], Budget("evaluations", 2))
    events = run(Study(searcher, workers=2, cost=cost))
    assert story(events) == [(1, 0.0), (0, pytest.approx(1)), (2, pytest.approx(1)), (1, pytest.approx(3))]


def test_a_continued_trial_is_charged_for_its_new_epochs_only():
    script = [(5, 3), (6, 3), ("more", 0, 9), ("more", 0, 27)]
    events = run(Study(Scripted(script, Budget("epochs", 1000)), workers=1, cost=lambda _: 1.0))
    assert [e.epochs for e in events if isinstance(e, Told)] == [3, 3, 6, 18]
    assert [e.finish for e in events if isinstance(e, Told)] == [3, 6, 12, 30]
    assert [e.seconds for e in events if isinstance(e, Told)] == [3, 3, 6, 18]
    assert [e.proposal.trial for e in events if isinstance(e, Asked)] == [0, 1, 0, 0]
    assert end(events[-1]) == ("exhausted", 4, 30)


def test_an_epoch_budget_is_never_exceeded():
    events = run(Study(Scripted([1, 2, 3], Budget("epochs", 60)), workers=1, cost=cost))
    assert end(events[-1]) == ("budget", 2, 54)
    cheaper = run(Study(Scripted([1, 2, (3, 6), 4], Budget("epochs", 60)), workers=1, cost=cost))
    assert end(cheaper[-1]) == ("budget", 3, 60)


def test_what_is_running_is_reserved():
    study = Study(Scripted([1, 2, 3], Budget("epochs", 60)), workers=3, cost=cost)
    assert [event.number for event in study.advance()] == [0, 1]
    for number in (0, 1):
        study.deliver(number, value(1))
    assert end(list(study.advance())[-1]) == ("budget", 2, 54)


def per_epoch(config):
    return config["x"]


def test_a_cost_budget_counts_the_epochs_of_each_configuration_at_its_own_cost():
    # 27 epochs of 1, 3 of 10, and 27 of 2: 27 + 30 + 54 = 111.
    events = run(Study(Scripted([1, (10, 3), 2, 1], at_cost(111)), workers=1, cost=per_epoch))
    assert [e.cost for e in events if isinstance(e, Asked)] == [1, 10, 2]
    assert end(events[-1]) == ("budget", 3, 57)
    assert events[-1].cost == 111


def test_a_proposal_that_costs_more_than_is_left_is_not_evaluated_and_ends_the_study_by_its_budget():
    searcher = Scripted([1, 2, 3, 0.1], at_cost(100))
    events = run(Study(searcher, workers=1, cost=per_epoch))
    assert [x for kind, x in searcher.log if kind == "ask"] == [1, 2, 3]  # 3 would cost 81 of the 19 left
    assert end(events[-1]) == ("budget", 2, 54)
    assert events[-1].cost == 81


def test_a_continued_trial_costs_its_new_epochs_only():
    script = [(5, 3), ("more", 0, 9), ("more", 0, 27)]
    events = run(Study(Scripted(script, at_cost(45)), workers=1, cost=per_epoch))
    assert [e.epochs for e in events if isinstance(e, Told)] == [3, 6]
    assert end(events[-1]) == ("budget", 2, 9)
    assert events[-1].cost == 45


@pytest.mark.parametrize(
    ("budget", "charges"),
    [
        (Budget("evaluations", 3), [1, 1, 1]),
        (Budget("epochs", 60), [3, 6, 27]),
        (at_cost(99), [15, 30, 54]),
    ],
)
def test_a_searcher_is_told_what_an_evaluation_was_charged_in_the_budgets_unit(budget, charges):
    class Frugal(Scripted):
        name = "frugal"

        def _tell(self, suggestion, loss):
            charged.append(self.told_cost)

    charged = []
    run(Study(Frugal([(5, 3), ("more", 0, 9), 2], budget), workers=1, cost=per_epoch))
    assert charged == charges


@pytest.mark.parametrize(
    ("budget", "usual"),
    [(Budget("evaluations", 3), 1), (Budget("epochs", 60), 9), (Budget("cost", 99, full_cost=54.0), 18)],
)
def test_one_told_outside_a_study_takes_the_average_charge(budget, usual):
    searcher = Scripted([(5, 9)], budget)
    searcher.tell(searcher.ask(), value(5, 9))
    assert searcher.told_cost == usual


def test_a_searcher_is_not_asked_once_a_cost_budget_is_spent():
    # Else one with nothing more to propose would end as exhausted, and be named as short of its budget.
    events = run(Study(Scripted([(1, 10)] * 3, at_cost(3)), workers=1, cost=lambda _: 0.1))
    assert end(events[-1]) == ("budget", 3, 30)
    script = [(1, 1)] * 30
    events = run(Study(Scripted(script, at_cost(3)), workers=1, cost=lambda _: 0.1))
    assert end(events[-1]) == ("budget", 30, 30)  # 0.1 thirty times is 2.9999999999999996


def test_sums_that_rounding_puts_above_a_cost_budget_fit():
    events = run(Study(Scripted([(1, 1)] * 4, at_cost(0.3)), workers=1, cost=lambda _: 0.1))
    assert 0.1 + 0.1 + 0.1 > 0.3
    assert end(events[-1]) == ("budget", 3, 3)
    events = run(Study(Scripted([(1, 1)] * 4, at_cost(0.2999)), workers=1, cost=lambda _: 0.1))
    assert end(events[-1]) == ("budget", 2, 2)


def test_cost_that_is_running_is_reserved_and_a_divergence_gives_it_back():
    outcomes = {0: diverged(2), 1: value(2), 2: value(3, 25)}
    searcher = Scripted([1, 2, (3, 25)], at_cost(2 + 54 + 75))
    study = Study(searcher, workers=2, cost=per_epoch)
    events = run(study, evaluate=lambda asked: outcomes[asked.number])
    # At first 27 + 54 are reserved, and 75 more do not fit; then 2 + 54 are, and they do.
    assert [e.start for e in events if isinstance(e, Asked)] == [0, 0, 27]
    assert [e.epochs for e in events if isinstance(e, Told)] == [2, 27, 25]
    assert end(events[-1]) == ("budget", 3, 54)
    assert events[-1].cost == 2 + 54 + 75


@pytest.mark.parametrize("status", [Status.CRASHED, Status.TIMEOUT])
def test_what_the_machine_stopped_costs_all_that_was_asked(status):
    failed = Evaluation(status, value(0, 2).curve, 2, message="why")
    events = run(Study(Scripted([2], at_cost(100)), workers=1, cost=per_epoch), lambda _: failed)
    assert events[-1].cost == 54


def test_the_order_in_which_evaluations_arrive_is_no_part_of_what_a_cost_budget_pays_for():
    script = [random.Random(0).uniform(0.1, 3) for _ in range(40)]
    reference = None
    for seed in range(10):
        study = Study(Scripted(script, at_cost(500)), workers=4, cost=lambda config: config["x"] / 3)
        events = run(study, rng=random.Random(seed))
        reference = reference or events
        assert story(events) == story(reference)
        assert events[-1] == reference[-1]
    assert 0.8 * 500 < events[-1].cost <= 500


def test_a_cost_budget_that_pays_for_no_evaluation_is_said():
    study = Study(Scripted([3], at_cost(80)), workers=1, cost=per_epoch)
    with pytest.raises(
        SearcherError, match=r"needs 27 epochs of \{'x': 3.0\}, at a cost of 81, and .* 80 cost"
    ):
        run(study)


def test_costs_beyond_what_a_float_holds_are_a_fault_of_the_task():
    study = Study(Scripted([1, 2], Budget("evaluations", 2)), workers=2, cost=lambda _: 1e307)
    with pytest.raises(TaskError, match="cost adds up to more than a float holds after"):
        run(study)
    events = run(Study(Scripted([(0, 1), 1], at_cost(1)), workers=1, cost=lambda c: 1e307 if c["x"] else 1))
    assert end(events[-1]) == ("budget", 1, 1)


def test_epochs_a_divergence_did_not_use_are_given_back():
    outcomes = iter([diverged(2), value(2), value(3)])
    events = run(
        Study(Scripted([1, 2, 3], Budget("epochs", 56)), workers=1, cost=cost),
        evaluate=lambda _: next(outcomes),
    )
    assert [e.epochs for e in events if isinstance(e, Told)] == [2, 27, 27]
    assert end(events[-1]) == ("budget", 3, 56)


def test_a_proposal_that_does_not_fit_waits_for_epochs_given_back():
    # Two workers, 54 epochs: the third proposal only fits once the first has diverged.
    outcomes = {0: diverged(2), 1: value(2), 2: value(3, 25)}
    study = Study(Scripted([1, 2, (3, 25)], Budget("epochs", 54)), workers=2, cost=cost)
    events = run(study, evaluate=lambda asked: outcomes[asked.number])
    assert [e.epochs for e in events if isinstance(e, Told)] == [2, 27, 25]
    assert end(events[-1]) == ("budget", 3, 54)


@pytest.mark.parametrize("status", [Status.DIVERGED, Status.CRASHED, Status.TIMEOUT])
def test_every_failure_is_told_as_the_failure_value(status):
    searcher = Scripted([1], Budget("evaluations", 1))
    failed = Evaluation(status, value(0, 2).curve, 3, message="why")
    told = next(
        e for e in run(Study(searcher, workers=1, cost=cost), lambda _: failed) if isinstance(e, Told)
    )
    assert searcher.log[-1] == ("tell", 1e6)
    assert (told.status, told.value, told.test, told.loss) == (status, None, None, 1e6)
    assert told.epochs == (3 if status is Status.DIVERGED else 27)


def test_a_failing_searcher_stops_the_study_after_the_events_before_it():
    study = Study(Scripted([1, RuntimeError("no more")], Budget("evaluations", 5)), workers=1, cost=cost)
    events = list(study.advance())
    study.deliver(0, value(1))
    with pytest.raises(
        SearcherError, match="'scripted' failed to propose.*after 1 trial: RuntimeError: no more"
    ):
        for event in study.advance():
            events.append(event)
    assert [type(e) for e in events] == [Asked, Told]


def test_a_trial_cannot_be_continued_to_where_it_is():
    study = Study(Scripted([(1, 9), ("more", 0, 9)], Budget("evaluations", 5)), workers=1, cost=cost)
    with pytest.raises(SearcherError, match="continues trial 0 up to 9 epochs, but"):
        run(study)


def test_deliveries_are_checked():
    study = Study(Scripted([1, 2], Budget("evaluations", 2)), workers=1, cost=cost)
    list(study.advance())
    with pytest.raises(ProtocolError, match="7 is not waiting"):
        study.deliver(7, value(1))
    with pytest.raises(ProtocolError, match="asked for 27 epochs, got 3"):
        study.deliver(0, value(1, 3))
    study.deliver(0, value(1))
    with pytest.raises(ProtocolError, match="0 is not waiting"):
        study.deliver(0, value(1))


def test_several_workers_need_a_parallel_searcher():
    class OneAtATime(Scripted):
        name = "one_at_a_time"
        parallel = False

    with pytest.raises(ProtocolError, match="workers = 1"):
        Study(OneAtATime([1], Budget("evaluations", 1)), workers=2, cost=cost)


def test_the_study_has_no_io_no_clock_and_no_executor():
    import ast
    import inspect

    import harness.study

    tree = ast.parse(inspect.getsource(harness.study))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    allowed = {"__future__", "collections.abc", "dataclasses", "math", "typing"} | {
        f"harness.{name}" for name in ("errors", "events", "plurals", "space", "trial")
    }
    assert modules <= allowed
