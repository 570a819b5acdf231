"""Whatever a task or searcher hands over is a valid value of its contract afterwards, or a fault that names it."""

from __future__ import annotations

import json
import math
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from fuzzing import fuzzed
from hypothesis import given
from hypothesis import strategies as st

from harness.checks import checked_cost
from harness.errors import SearcherError, TaskError
from harness.evaluator import Bug, Evaluated, Evaluator, Job
from harness.keys import EvaluationKey, TaskKey
from harness.searcher import Searcher, Suggestion
from harness.space import Choice, Condition, Float, Int, Space
from harness.study import Study
from harness.task import Task, checked_data, data_digest
from harness.trial import Budget, Curve, Evaluation, Fidelity, Objective, Problem, Status
from results.schema import EVALUATIONS, EvaluationLine, encoded

NUMBERS = st.one_of(
    st.integers(),
    st.floats(allow_nan=True, allow_infinity=True),
    st.booleans(),
    st.sampled_from(
        [np.int64(1), np.float32(0.5), np.float64(0.5), np.float64("nan"), 10**400, -0.0, 5e-324]
    ),
)
ANYTHING = st.recursive(
    st.one_of(
        st.none(),
        NUMBERS,
        st.text(max_size=5),
        st.binary(max_size=3),
        st.sampled_from([object(), np.zeros(2), np.array("a"), Status.OK, Ellipsis, int, "\ud800", 1j]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.one_of(st.text(max_size=3), st.integers()), inner, max_size=3),
    ),
    max_leaves=6,
)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def mostly(likely, otherwise=ANYTHING):
    """Mostly what is allowed, so that a single fault meets values that are sound."""
    return st.integers(0, 11).flatmap(lambda place: likely if place else otherwise)


@st.composite
def curves(draw):
    """Curves, most of them with the columns that the task needs."""
    epochs = draw(st.integers(0, 4))
    names = draw(st.sets(st.sampled_from(["val_loss", "test_loss", "seconds", "more", "step", ""])))
    if draw(st.integers(0, 3)):
        names |= {"val_loss", "test_loss", "seconds"}
    values = {"seconds": st.floats(0, 10)}
    return Curve(
        {name: draw(st.lists(values.get(name, FINITE), min_size=epochs, max_size=epochs)) for name in names}
    )


@st.composite
def evaluations(draw):
    """Evaluations, with fields set behind the back of their class."""
    curve = draw(mostly(curves()))
    length = curve.epochs if isinstance(curve, Curve) else 1
    fields = {
        "status": mostly(st.sampled_from(Status)),
        "epochs": mostly(st.just(length), NUMBERS),
        "setup_seconds": mostly(st.floats(0, 10)),
        "lost_seconds": mostly(st.floats(0, 10)),
        "message": mostly(st.text(max_size=20)),
        "deadline": mostly(st.one_of(st.none(), st.floats(0.1, 10))),
        "machine": mostly(st.just("")),
        "confusion": mostly(st.one_of(st.just({}), st.just({"val": ((3, 0), (1, 2))}))),
    }
    made = Evaluation(Status.CRASHED, Curve(), 0)
    for name, value in {
        **{name: draw(strategy) for name, strategy in fields.items()},
        "curve": curve,
    }.items():
        object.__setattr__(made, name, value)
    return made


class Handed(Task):
    """A task that hands over what the fuzzer made."""

    name = "handed"
    source = "a test"
    returned = None

    def _define(self):
        self.space = Space({"x": Float(0, 1)})
        self.fidelity = Fidelity(1, 4)
        self.objective = Objective("val_loss", "min", failure=10.0, test_metric="test_loss")

    def load(self):
        return {}

    def evaluate(self, config, **rest):
        return self.returned

    def cost(self, config):
        return 1.0


@pytest.fixture(scope="module")
def evaluator():
    """An evaluator that knows the task, and counts of what came of what it handed over."""
    made = Evaluator(1, lambda key: {})
    counts: Counter[str] = Counter()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.evaluator.task_of", lambda key: Handed())
        yield SimpleNamespace(evaluate=made.evaluate, counts=counts)
    print(dict(counts))
    assert counts["taken"] > sum(counts.values()) / 100 < counts["refused"]


@fuzzed
@given(returned=st.one_of(evaluations(), evaluations(), ANYTHING), epochs=st.integers(1, 4))
def test_an_evaluation_is_valid_or_refused(evaluator, returned, epochs):
    Handed.returned = returned
    outcome = evaluator.evaluate(Job(EvaluationKey(TaskKey("handed", 1), {"x": 0.5}, 0), epochs))
    evaluator.counts["taken" if isinstance(outcome, Evaluated) else "refused"] += 1
    if isinstance(outcome, Bug):
        assert outcome.message.startswith("task 'handed' on {'x': 0.5}, seed 0: ")
        outcome.message.encode()
        return
    made = outcome.evaluation
    assert type(made) is Evaluation
    assert type(made.epochs) is int and made.epochs >= made.curve.epochs
    for seconds in (made.setup_seconds, made.lost_seconds, *made.curve.get("seconds", ())):
        assert type(seconds) is float and 0 <= seconds < math.inf
    reached = made.at(epochs)
    assert reached is not None
    if reached.status is Status.OK:
        assert reached.epochs == reached.curve.epochs == epochs
        assert {"val_loss", "test_loss"} <= set(reached.curve)
    if made.status is Status.DIVERGED:
        assert made.epochs >= 1  # or an epoch budget would never end
    # What is recorded is read back as it was.
    key = EvaluationKey(TaskKey("handed", 1), {"x": 0.5}, 0)
    assert EVALUATIONS.decode(encoded(EvaluationLine.of(key, made), EVALUATIONS)).evaluation() == made


@fuzzed
@given(cost=ANYTHING)
def test_a_cost_is_positive_and_finite_or_refused(cost):
    try:
        checked = checked_cost(cost)
    except TaskError as error:
        assert "positive, finite number" in str(error)
    else:
        assert type(checked) is float and 0 < checked < math.inf


ARRAYS = st.sampled_from(
    [
        np.zeros((2, 3)),
        np.zeros(0),
        np.array(3),
        np.array(["a", "bc"]),
        np.array([b"a"]),
        np.array([object()]),
        np.array([np.datetime64("2020-01-01")]),
        np.zeros(4)[::2],
        np.zeros(2, dtype=[("a", int)]),
        np.zeros(3, np.float16),
    ]
)


@fuzzed
@given(
    data=st.one_of(
        st.dictionaries(mostly(st.text(max_size=3), st.integers()), mostly(ARRAYS), max_size=3), ANYTHING
    )
)
def test_data_have_a_digest_or_are_refused(data):
    try:
        checked = checked_data(data)
    except TaskError as error:
        assert "load must return" in str(error)
    else:
        assert data_digest(checked) == data_digest({name: array.copy() for name, array in checked.items()})


PROBLEM = Problem(
    Space(
        {"x": Float(0, 1), "n": Int(1, 3), "kind": Choice(("a", "b")), "rate": Float(1e-3, 1, log=True)},
        conditions={"rate": Condition("kind", ("b",))},
    ),
    Fidelity(2, 6),
    Objective("val_loss", "min", failure=10.0),
)
CONFIGS = st.fixed_dictionaries(
    {
        "x": mostly(st.floats(0, 1)),
        "n": mostly(st.integers(1, 3)),
        "kind": mostly(st.sampled_from(["a", "b"])),
    },
    optional={"rate": mostly(st.floats(1e-3, 1)), "other": ANYTHING},
)


class Guided(Searcher):
    """A searcher that proposes what the fuzzer made, and continues what it says."""

    name = "guided"
    multi_fidelity = True
    conditional = True

    def _start(self):
        self.made = []
        self.todo = []

    def _ask(self):
        if not self.todo:
            return None
        kind, *rest = self.todo.pop(0)
        if kind == "anything":
            return rest[0]
        config, epochs, place = rest
        before = self.made[place % len(self.made)] if kind == "more" and self.made else None
        if before is not None and config is None:
            config = before.config
        self.made.append(Suggestion(config, epochs=epochs, continues=before))
        return self.made[-1]

    def _tell(self, suggestion, loss):
        pass


EPOCHS = mostly(st.one_of(st.none(), st.integers(2, 6)))
MOVES = st.one_of(
    st.tuples(st.just("new"), mostly(CONFIGS), EPOCHS, st.integers(0, 9)),
    st.tuples(st.just("more"), mostly(st.none(), CONFIGS), EPOCHS, st.integers(0, 9)),
    st.tuples(st.just("anything"), ANYTHING),
)


@fuzzed
@given(moves=st.lists(MOVES, min_size=1, max_size=8), unit=st.sampled_from(["evaluations", "epochs"]))
def test_proposals_are_valid_or_refused(moves, unit):
    searcher = Guided(PROBLEM, seed=0, budget=Budget(unit, 12))
    searcher.todo = list(moves)
    study = Study(searcher, workers=1, cost=lambda config: 1.0)
    configs: dict[int, dict] = {}
    reached: Counter[int] = Counter()
    try:
        while study.done is None:
            for event in study.advance():
                proposal = getattr(event, "proposal", None)
                if proposal is None:
                    continue
                assert PROBLEM.space.validate(proposal.config) == proposal.config
                json.dumps(proposal.config, allow_nan=False)
                assert type(proposal.epochs) is int and 2 <= proposal.epochs <= 6
                assert proposal.epochs > reached[proposal.trial]
                assert configs.setdefault(proposal.trial, proposal.config) == proposal.config
                reached[proposal.trial] = proposal.epochs
                curve = Curve({"val_loss": (0.5,) * proposal.epochs})
                study.deliver(event.number, Evaluation(Status.OK, curve, proposal.epochs))
    except SearcherError as error:
        assert "searcher 'guided'" in str(error)
        str(error).encode()
