"""Tries a searcher out before a sweep is spent on it: short searches of several spaces, and what they must keep.

The conformance suite, `searchers.conformance`, asks for more, and takes longer; this is for the minutes in which a
method is written.
"""

from __future__ import annotations

import contextlib
import math
import pickle
import random
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from harness import files, registry
from harness.checks import folder_kept
from harness.errors import DerbyError, Interruption, UnknownNameError, said
from harness.plurals import plural
from harness.searcher import Searcher
from harness.space import Choice, Condition, Config, Float, Int, Space
from harness.threads import hold_to_one
from harness.trial import Budget, Curve, Evaluation, Fidelity, Objective, Problem, Proposal, Status
from harness.tryout import Check, FailedThereError, in_another_process

STEPS: Final = 20
"""Evaluations of each search."""
FAILURE: Final = 10.0
"""What stands for a failed evaluation."""
MOST_EPOCHS: Final = 9

SPACES: Final[Mapping[str, Space]] = {
    "two real": Space({"rate": Float(1e-5, 1e-1, log=True), "share": Float(-2.0, 3.0)}),
    "mixed": Space(
        {
            "rate": Float(3e-5, 0.7, log=True),
            "units": Int(5, 512, log=True),
            "optimizer": Choice(("sgd", "adam", "rmsprop")),
            "nesterov": Choice((False, True)),
        }
    ),
    "conditional": Space(
        {
            "optimizer": Choice(("sgd", "momentum")),
            "momentum": Float(0.5, 0.99),
            "rate": Float(1e-4, 1e-1, log=True),
        },
        conditions={"momentum": Condition("optimizer", ("momentum",))},
    ),
    "of four": Space({"a": Choice(("x", "y")), "b": Int(1, 2)}),
}
"""What is searched, by name; each with its middle as reference configuration."""


@dataclass(frozen=True, slots=True)
class Searched:
    """A search of one space.

    Attributes:
        space: Its name.
        evaluations: How many were proposed.
        best: The best loss, 0 at best and about 1 at worst; ``None`` without any.
        ask_seconds: Of one proposal, the median.
        tell_seconds: Of one evaluation told, the median.
        slowest: The longest of all these.
        words: Why the method does not search it; empty where it does.
    """

    space: str
    evaluations: int = 0
    best: float | None = None
    ask_seconds: float = 0.0
    tell_seconds: float = 0.0
    slowest: float = 0.0
    words: str = ""


@dataclass(slots=True)
class TriedSearcher:
    """What came of trying a searcher.

    Attributes:
        searches: The searches.
        checks: What was checked.
    """

    searches: list[Searched] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether nothing that was checked is wrong."""
        return all(check.good is not False for check in self.checks)


@dataclass(frozen=True, slots=True)
class _Method:
    kind: type[Searcher]
    settings: Mapping[str, Any]
    steps: int

    @property
    def budget(self) -> Budget:
        return Budget("evaluations", self.steps)

    def problem(self, space: str) -> Problem:
        searched = SPACES[space]
        middle = {"middle": searched.from_unit([0.5] * len(searched))}
        fidelity = Fidelity(1, MOST_EPOCHS if self.kind.multi_fidelity else 1)
        return Problem(
            Space(searched.parameters, searched.conditions, middle),
            fidelity,
            Objective("error", "min", failure=FAILURE),
        )

    def reasons(self, space: str) -> list[str]:
        """Return why it cannot search a space."""
        return list(
            self.kind.incompatibilities(self.problem(space), self.budget, self.kind.Settings(**self.settings))
        )

    def begin(self, space: str, seed: int) -> Searcher:
        return self.kind(self.problem(space), seed=seed, budget=self.budget, **self.settings)


def try_searcher(kind: type[Searcher], settings: Mapping[str, Any], *, steps: int = STEPS) -> TriedSearcher:
    """Let a searcher search a few spaces, and check what searchers must keep.

    Args:
        kind: The searcher.
        settings: Its settings, valid ones.
        steps: Evaluations of each search.

    Returns:
        What came of it; a bug in the searcher is a check that failed.
    """
    tried, method = TriedSearcher(), _Method(kind, settings, steps)
    hold_to_one()
    try:
        with folder_kept():
            for check in _checks(tried, method):
                tried.checks.append(check)
    except Interruption:
        raise
    except BaseException as error:  # noqa: BLE001 - the boundary: code of others
        place = files.place_of(error)
        text = str(error) if isinstance(error, DerbyError) else said(error)
        tried.checks.append(Check("it searches", False, f"{place}: {text}" if place else text))
    return tried


def _checks(tried: TriedSearcher, method: _Method) -> Iterator[Check]:
    searched: dict[str, list[Proposal]] = {}
    for space in SPACES:
        reasons = method.reasons(space)
        if reasons:
            tried.searches.append(Searched(space, words="; ".join(reasons)))
            continue
        state = _random_state()
        searched[space], search = _search(method, space, seed=1)
        tried.searches.append(search)
        if _random_state() != state and not _keeps_random_state(method, space):
            yield Check(
                "global random state stays as it is",
                False,
                f"it is another after the search of {space}: draw from a generator of your own, such as "
                "numpy.random.default_rng(self.seed), or declare global_random",
            )
            return
    if not searched:
        yield Check("it searches one of these spaces", False, tried.searches[0].words)
        return
    empty = [space for space, proposals in searched.items() if not proposals]
    yield Check(
        "what it proposes is in the space",
        not empty,
        f"nothing is proposed of {', '.join(empty)}" if empty else "",
    )
    yield Check("global random state stays as it is", True)
    last = next(reversed(searched))
    rich = next((space for space in ("mixed", "two real") if space in searched), last)
    yield _repeats(method, rich, searched[rich])
    yield _repeats_elsewhere(method, rich, searched[rich])
    yield _seeded(method, rich, searched[rich])
    yield _takes_failures(method, rich)
    if method.kind.asks_ahead(method.kind.Settings(**method.settings)):
        yield _in_parallel(method, rich)
    yield _learns(method, rich, searched[rich])


def _search(
    method: _Method,
    space: str,
    *,
    seed: int,
    at_once: int = 1,
    fails: Callable[[int], bool] = lambda _: False,
    worth: Callable[[float], float] = lambda loss: loss,
) -> tuple[list[Proposal], Searched]:
    """Ask and tell until nothing more is proposed, or so many evaluations were told."""
    searcher = method.begin(space, seed)
    proposals: list[Proposal] = []
    asked: list[float] = []
    told: list[float] = []
    losses: list[float] = []
    while len(proposals) < method.steps:
        waiting: list[Proposal] = []
        while len(waiting) < at_once:
            proposal = searcher.ask()
            asked.append(searcher.ask_seconds)
            if proposal is None:
                break
            waiting.append(proposal)
        if not waiting:
            break
        for proposal in waiting:
            loss = _loss(searcher.problem.space, proposal.config)
            failed = fails(len(proposals))
            searcher.tell(proposal, _evaluated(proposal, worth(loss), failed=failed))
            told.append(searcher.tell_seconds)
            proposals.append(proposal)
            losses.append(loss)
    return proposals, Searched(
        space,
        len(proposals),
        min(losses, default=None),
        statistics.median(asked),
        statistics.median(told or [0.0]),
        max([*asked, *told]),
    )


def _loss(space: Space, config: Config) -> float:
    """Return a smooth function of a configuration: 0 at best, about 1 at worst."""
    unit = space.to_unit(config)
    return math.fsum((u - 0.3 - 0.4 * (i % 2)) ** 2 for i, u in enumerate(unit)) / len(unit)


def _evaluated(proposal: Proposal, loss: float, *, failed: bool) -> Evaluation:
    """Return a proposal's evaluation: longer training is better, by ever less."""
    if failed:
        return Evaluation(Status.DIVERGED, Curve(), 1, message="made to fail")
    errors = [loss + 0.1 / epoch for epoch in range(1, proposal.epochs + 1)]
    return Evaluation(Status.OK, Curve({"error": errors}), proposal.epochs)


def _random_state() -> bytes:
    return pickle.dumps((random.getstate(), np.random.get_state()))  # noqa: NPY002 - the global generator


def _keeps_random_state(method: _Method, space: str) -> bool:
    """Search once more, since what the first search loads may draw while it is loaded, as scikit-optimize does."""
    with _other_random_state():
        state = _random_state()
        _search(method, space, seed=1)
        return _random_state() == state


@contextlib.contextmanager
def _other_random_state() -> Iterator[None]:
    """Put other states of the global generators in, and what was there back afterwards."""
    kept = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        random.seed(99)
        np.random.seed(99)  # noqa: NPY002
        yield
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])  # noqa: NPY002


def _first_difference(expected: list[Proposal], found: list[Proposal]) -> str:
    """Say where proposals first differ; empty where they don't."""
    for number, (one, other) in enumerate(zip(expected, found, strict=False), 1):
        if (dict(one.config), one.epochs) != (dict(other.config), other.epochs):
            return f"proposal {number} is {dict(one.config)} and then {dict(other.config)}"
    if len(expected) != len(found):
        return f"it proposes {len(expected)} and then {len(found)}"
    return ""


def _repeats(method: _Method, space: str, before: list[Proposal]) -> Check:
    """Search again, with other states of the global generators."""
    with _other_random_state():
        words = _first_difference(before, _search(method, space, seed=1)[0])
    return Check("the same seed proposes the same", not words, words)


def _repeats_elsewhere(method: _Method, space: str, before: list[Proposal]) -> Check:
    """Search in another process."""
    what, kind = "so does another process", method.kind
    try:
        registry.searcher(kind.name, files.origin_of(kind))
    except UnknownNameError as error:
        return Check(what, None, f"it cannot be made there: {error}")
    origin, settings = files.origin_of(kind), dict(method.settings)
    try:
        found = in_another_process(
            proposed, files.sources(), kind.name, origin, settings, method.steps, space
        )
    except FailedThereError as error:
        return Check(what, False, str(error))
    words = _first_difference(before, found)
    return Check(what, not words, words)


def proposed(
    sources: tuple[files.Source, ...],
    name: str,
    package: str,
    settings: dict[str, Any],
    steps: int,
    space: str,
) -> list[Proposal]:
    """Search in a process that has just begun; return what is proposed."""
    files.add(sources)
    hold_to_one()
    return _search(_Method(registry.searcher(name, package), settings, steps), space, seed=1)[0]


def _seeded(method: _Method, space: str, before: list[Proposal]) -> Check:
    differs = bool(_first_difference(before, _search(method, space, seed=2)[0]))
    if method.kind.seeded:
        return Check(
            "another seed proposes something else",
            True if differs else None,
            ""
            if differs
            else "it does not, with these settings; where it never does, declare seeded = False",
        )
    return Check(
        "no seed changes what it proposes", not differs, "one does: declare seeded = True" if differs else ""
    )


def _takes_failures(method: _Method, space: str) -> Check:
    """Let every third evaluation fail, and then all of them."""
    what = "it goes on where evaluations fail"
    for fails in (lambda number: number % 3 == 0, lambda _: True):
        try:
            _search(method, space, seed=1, fails=fails)
        except DerbyError as error:
            place = files.place_of(error)
            return Check(what, False, f"{place}: {error}" if place else str(error))
    return Check(what, True)


def _in_parallel(method: _Method, space: str) -> Check:
    what = "it can be asked for three before it is told, as it declares"
    try:
        words = _first_difference(
            _search(method, space, seed=1, at_once=3)[0], _search(method, space, seed=1, at_once=3)[0]
        )
    except DerbyError as error:
        return Check(what, False, str(error))
    return Check(what, not words, words)


def _learns(method: _Method, space: str, before: list[Proposal]) -> Check:
    """Tell it the opposite of every loss."""
    differs = bool(_first_difference(before, _search(method, space, seed=1, worth=lambda loss: 1 - loss)[0]))
    if method.kind.learns:
        return Check(
            "what it is told changes what it proposes",
            True if differs else None,
            ""
            if differs
            else f"not within {plural(method.steps, 'evaluation')}; where it never does, declare learns = False",
        )
    return Check(
        "nothing that it is told changes what it proposes",
        not differs,
        "it does: declare learns = True" if differs else "",
    )
