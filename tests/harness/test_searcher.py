"""What the searcher base class owns: checks, conversion, protocol, isolation, errors."""

from __future__ import annotations

import random

import numpy as np
import pytest
from pydantic import Field, ValidationError
from scripted import PROBLEM, Scripted, value

from harness.errors import IncompatibleError, MissingLibraryError, ProtocolError, SearcherError
from harness.options import Options
from harness.searcher import Searcher, Suggestion
from harness.space import Choice, Condition, Float, Int, Space
from harness.trial import Budget, Problem

BUDGET = Budget("evaluations", 10)


def test_numpy_scalars_become_python_ones():
    space = Space({"x": Float(0, 1), "n": Int(0, 9), "b": Choice((True, False)), "s": Choice(("a", "b"))})

    class Numpy(Searcher):
        name = "numpy"

        def _ask(self):
            return Suggestion(
                {"x": np.float32(0.5), "n": np.int64(3), "b": np.bool_(True), "s": np.str_("a")},
                epochs=np.int64(9),
            )

        def _tell(self, suggestion, loss):
            pass

    problem = Problem(space, PROBLEM.fidelity, PROBLEM.objective)
    proposal = Numpy(problem, seed=0, budget=BUDGET).ask()
    assert {k: type(v) for k, v in proposal.config.items()} == {"x": float, "n": int, "b": bool, "s": str}
    assert (proposal.epochs, type(proposal.epochs)) == (9, int)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (101.0, r"trial 0: it proposed \{'x': 101.0\}: parameter 'x' = 101.0 is not in Float"),
        ((1.0, 28), "proposed 28 epochs, outside Fidelity"),
        ((1.0, 0), "proposed 0 epochs"),
        (KeyError("inner"), "failed to propose a configuration after 0 trials: KeyError: 'inner'"),
    ],
)
def test_a_bad_proposal_is_an_error_and_nothing_else(entry, words):
    with pytest.raises(SearcherError, match=words):
        Scripted([entry], BUDGET).ask()


def test_telling_twice_or_unasked_is_refused():
    searcher = Scripted([1, 2], BUDGET)
    proposal = searcher.ask()
    searcher.tell(proposal, value(1))
    with pytest.raises(ProtocolError, match="trial 0 at 27 epochs.*exactly once"):
        searcher.tell(proposal, value(1))


def test_a_sequential_searcher_waits_for_its_tell():
    class OneAtATime(Scripted):
        name = "one_at_a_time"
        parallel = False

    searcher = OneAtATime([1, 2], BUDGET)
    first = searcher.ask()
    assert searcher.ask() is None
    searcher.tell(first, value(1))
    assert searcher.ask().trial == 1


def test_what_a_method_cannot_search_is_refused_at_construction():
    class ReallyReal(Scripted):
        name = "real"
        domains = (Float,)

    space = Space({"kind": Choice(("a", "b")), "x": Float(0, 1)}, conditions={"x": Condition("kind", ("a",))})
    with pytest.raises(
        IncompatibleError, match="'kind' is a Choice; it searches Float only; .*conditional.*'x'"
    ):
        ReallyReal([], BUDGET, Problem(space, PROBLEM.fidelity, PROBLEM.objective))


def test_a_missing_library_says_what_to_install():
    class Needy(Scripted):
        name = "needy"
        libraries = {"no_such_module": "no-such-distribution"}

    with pytest.raises(MissingLibraryError, match="pip install no-such-distribution"):
        Needy([], BUDGET)


def test_settings_are_checked():
    class Tunable(Searcher):
        name = "tunable"

        class Settings(Options):
            rate: float = Field(0.5, ge=0, le=1)

        def _ask(self):
            return None

        def _tell(self, suggestion, loss):
            pass

    assert Tunable(PROBLEM, seed=0, budget=BUDGET).settings.as_json() == {"rate": 0.5}
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        Tunable(PROBLEM, seed=0, budget=BUDGET, rate=2.0)
    with pytest.raises(ValidationError, match="ratte"):
        Tunable(PROBLEM, seed=0, budget=BUDGET, ratte=0.2)


class GlobalDraws(Searcher):
    """A method that draws from the global generators, as some libraries do."""

    name = "global_draws"
    global_random = True

    def _ask(self):
        return Suggestion({"x": float(np.random.uniform(0, 50) + random.uniform(0, 50))})

    def _tell(self, suggestion, loss):
        np.random.uniform()


def test_global_random_state_is_kept_apart():
    def draw(disturb):
        searcher = GlobalDraws(PROBLEM, seed=7, budget=BUDGET)
        values = []
        for _ in range(5):
            if disturb:
                np.random.seed(99)
                random.seed(99)
            proposal = searcher.ask()
            values.append(proposal.config["x"])
            searcher.tell(proposal, value(1))
        return values

    np.random.seed(1)
    random.seed(1)
    expected = (np.random.uniform(), random.random())
    np.random.seed(1)
    random.seed(1)
    alone = draw(disturb=False)
    assert (np.random.uniform(), random.random()) == expected  # the caller's state was not touched
    assert draw(disturb=True) == alone  # and touching it changes nothing
    other = GlobalDraws(PROBLEM, seed=8, budget=BUDGET).ask().config["x"]
    assert other != alone[0]


def test_ask_and_tell_are_timed():
    import time

    class Slow(Scripted):
        name = "slow"

        def _ask(self):
            time.sleep(0.02)
            return super()._ask()

        def _tell(self, suggestion, loss):
            time.sleep(0.01)

    searcher = Slow([1], BUDGET)
    searcher.tell(searcher.ask(), value(1))
    assert 0.02 <= searcher.ask_seconds < 1
    assert 0.01 <= searcher.tell_seconds < 1
