"""The conformance suite can fail: broken searchers, and the test that catches each."""

import itertools
import random
from typing import ClassVar

import numpy as np
import pytest

pytest.register_assert_rewrite("searchers.conformance")

from harness.errors import SearcherError  # noqa: E402
from harness.searcher import Searcher, Suggestion  # noqa: E402
from harness.space import Choice, Float, Int  # noqa: E402
from searchers.basic import Random  # noqa: E402
from searchers.conformance import Case, SearcherConformance  # noqa: E402

SUITE = SearcherConformance()
SERIAL = itertools.count()


class Good(Random):
    """A searcher without faults."""

    name = "good"


class OutOfRange(Good):
    """Proposes what is out of range by more than rounding."""

    def _ask(self):
        config = super()._ask().config
        return Suggestion({k: v * 1.001 if isinstance(v, float) else v for k, v in config.items()})


class Truthy(Good):
    """Gives the first category that is equal, as a lookup with == would."""

    def _ask(self):
        config, domains = super()._ask().config, self.problem.space.parameters
        return Suggestion(
            {
                k: next(c for c in domains[k].values if c == v) if isinstance(domains[k], Choice) else v
                for k, v in config.items()
            }
        )


class Unseeded(Good):
    """Ignores the seed."""

    def _start(self):
        self._generator = np.random.default_rng(0)


class ProcessDependent(Good):
    """Depends on what the process did before."""

    def _start(self):
        self._generator = np.random.default_rng([self.seed, next(SERIAL)])


class HashDependent(Good):
    """Depends on the hash seed of the process."""

    def _start(self):
        self._generator = np.random.default_rng([self.seed, hash("name") % 2**32])


class GlobalReader(Good):
    """Draws from numpy's global generator."""

    def _ask(self):
        return Suggestion(self.problem.space.from_unit(np.random.random(len(self.problem.space)).tolist()))


class GlobalWriter(Good):
    """Seeds Python's global generator."""

    def _tell(self, suggestion, loss):
        random.seed(loss)


class Loud(Good):
    """Prints."""

    def _ask(self):
        print("here is another one")
        return super()._ask()


class NoRepeats(Good):
    """Fails where its space is exhausted, instead of ending."""

    def _ask(self):
        suggestion = super()._ask()
        for _ in range(200):
            if suggestion.config not in self.__dict__.setdefault("seen", []):
                self.seen.append(suggestion.config)
                return suggestion
            suggestion = super()._ask()
        raise RuntimeError("search space exhausted")


class Fragile(Good):
    """Fails on a failed evaluation's loss."""

    def _tell(self, suggestion, loss):
        if loss > 10:
            raise ValueError("that is no loss")


class OneAtATime(Good):
    """Declares parallel, and is not."""

    def _ask(self):
        return None if self._pending else super()._ask()


class Resurrected(Good):
    """Goes on after it has ended."""

    def _ask(self):
        self.asked = getattr(self, "asked", 0) + 1
        return None if self.asked == 3 else super()._ask()


class LearnsNothing(Good):
    """Declares that it learns."""

    learns: ClassVar[bool] = True


class NoConditions(Good):
    """Declares fewer capabilities than its `incompatibilities` enforces."""

    conditional: ClassVar[bool] = False
    domains: ClassVar = (Float, Int)

    @classmethod
    def incompatibilities(cls, problem, budget, settings):
        return []


class StartsElsewhere(Good):
    """Begins as always, whatever it is given."""

    def _ask_at(self, config):
        return self._ask()


class StartsOnce(Good):
    """Depends, after its start, on what the process did before."""

    def _ask_at(self, config):
        self._points = self._spread(np.random.default_rng([self.seed, next(SERIAL)]))
        return super()._ask_at(config)


class StopsAtTheStart(Good):
    """Ends after the starting point."""

    def _ask(self):
        return super()._ask() if self.starting_point is None else None


class StartsAnyway(Good):
    """Declares that it can begin at a reference that there isn't."""

    @classmethod
    def incompatibilities(cls, problem, budget, settings):
        return []

    def __init__(self, problem, **options):
        super().__init__(problem, **{**options, "start_at_reference": bool(problem.space.references)})


class Undescribed(Searcher):
    name = "undescribed"

    def _ask(self):
        return None

    def _tell(self, suggestion, loss):
        pass


BROKEN = [
    (OutOfRange, "test_proposals_are_in_the_space_and_plain"),
    (Truthy, "test_every_category_can_come_back"),
    (Unseeded, "test_other_seed_other_sequence"),
    (ProcessDependent, "test_same_seed_same_sequence_here_and_in_another_process"),
    (ProcessDependent, "test_replay_of_a_prefix"),
    (ProcessDependent, "test_replay_of_a_parallel_search"),
    (HashDependent, "test_same_seed_same_sequence_here_and_in_another_process"),
    (GlobalReader, "test_global_random_state_is_kept_apart"),
    (GlobalWriter, "test_global_random_state_is_kept_apart"),
    (Loud, "test_prints_nothing"),
    (NoRepeats, "test_repeated_configurations"),
    (Fragile, "test_failed_evaluations"),
    (OneAtATime, "test_parallel_asks"),
    (Resurrected, "test_ends_cleanly"),
    (LearnsNothing, "test_beats_random_search"),
    (StartsElsewhere, "test_starting_point"),
    (StopsAtTheStart, "test_starting_point"),
    (StartsOnce, "test_starting_point_is_deterministic"),
    (StartsAnyway, "test_no_reference_to_start_at_is_refused"),
    (NoConditions, "test_unsupported_space_is_refused"),
    (Undescribed, "test_describes_itself"),
]


@pytest.mark.parametrize(("searcher", "test"), BROKEN, ids=lambda x: getattr(x, "__name__", x))
def test_broken_searcher_is_caught(searcher, test, capfd):
    run = getattr(SUITE, test)
    extra = {"capfd": capfd} if test == "test_prints_nothing" else {}
    run(Case(Good), **extra)
    with pytest.raises((AssertionError, SearcherError, pytest.fail.Exception)):
        run(Case(searcher), **extra)
