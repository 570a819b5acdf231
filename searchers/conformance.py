"""The tests that every searcher must pass, so that plug-ins can run them, too.

One module, because it is one class that a plug-in's tests derive from.
"""
# ruff: noqa: S101 - these are tests

from __future__ import annotations

import json
import math
import multiprocessing
import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Final, TypeVar

import numpy as np
from pydantic import ValidationError
from threadpoolctl import threadpool_limits

from harness.errors import IncompatibleError, ProtocolError, SearcherError
from harness.history import Followed
from harness.searcher import Searcher, SearcherOptions
from harness.space import Choice, Condition, Config, Domain, Float, Int, Space
from harness.trial import Budget, Curve, Evaluation, Fidelity, Objective, Problem, Proposal, Status

FAILURE: Final = 50.0
"""The metric value that stands for a failed evaluation in the test problems."""


def _with_references(space: Space) -> Space:
    """Return the space with 16 reference configurations: in the unit cube's corners and spread through it."""
    points = [[float((i >> j % 2) & 1) for j in range(len(space))] for i in range(4)]
    points += np.random.default_rng(5).random((12, len(space))).tolist()
    references = {f"reference {i}": space.from_unit(point) for i, point in enumerate(points)}
    return replace(space, references=references)


_SPACES: Final[Mapping[str, Space]] = {
    "continuous": Space({"rate": Float(1e-5, 1e-1, log=True), "share": Float(-2.0, 3.0)}),
    "mixed": Space(
        {
            "rate": Float(3e-5, 0.7, log=True),
            "units": Int(5, 512, log=True),
            "layers": Int(1, 5),
            "optimizer": Choice(("sgd", "adam", "rmsprop")),
            "lookalike": Choice((1, 1.0, True, "1", "True")),
            "nesterov": Choice((False, True)),
            "momentum": Choice((0.9, 0.99)),
        }
    ),
    "categorical": Space({"a": Choice(("x", "y", "z")), "b": Choice((3, 1, 2)), "c": Choice((True, False))}),
    "conditional": Space(
        {
            "optimizer": Choice(("sgd", "momentum", "rmsprop")),
            "momentum": Float(0.5, 0.99),
            "rho": Float(0.8, 0.999),
            "nesterov": Choice((False, True)),
            "lookahead": Int(1, 9),
            "rate": Float(1e-4, 1e-1, log=True),
        },
        conditions={
            "momentum": Condition("optimizer", ("momentum",)),
            "rho": Condition("optimizer", ("rmsprop",)),
            "nesterov": Condition("optimizer", ("sgd", "momentum")),
            "lookahead": Condition("nesterov", (True,)),
        },
    ),
    "tiny": Space({"a": Choice(("x", "y")), "b": Int(1, 2)}),
    "single point": Space({"a": Float(0.1, 0.1, log=True), "b": Int(3, 3), "c": Choice(("only",))}),
    "partly fixed": Space({"a": Float(0.25, 0.25), "b": Float(0.0, 1.0), "c": Choice((7,)), "d": Int(1, 9)}),
    "one float": Space({"a": Float(1e-3, 1e3, log=True)}),
    "one int": Space({"a": Int(-3, 4)}),
    "one choice": Space({"a": Choice(("x", "y", "z"))}),
    "wide": Space({f"x{i}": Float(0.0, 1.0) if i % 3 else Int(0, 10) for i in range(30)}),
}
SPACES: Final[Mapping[str, Space]] = {name: _with_references(space) for name, space in _SPACES.items()}
"""Search spaces that between them have every kind of parameter, and the awkward cases; with references."""

RACE_SPACE: Final = Space({"rate": Float(1e-5, 1e-1, log=True), "share": Float(-2.0, 3.0)})
RACE_ERROR: Final = 1e-3
"""How likely a method no better than random would be to win the race, over choices of seeds."""


@dataclass(frozen=True)
class Case:
    """A searcher under test.

    Args:
        searcher: Its class; importable by name, because it is also run in another process.
        settings: Settings to test it with.
        steps: Evaluations of one test search: enough to get beyond any initial random design.
        race: Evaluations after which it must have beaten random search on a smooth function of two
            real parameters. Only methods that declare ``learns`` are raced; 0 leaves it out.
        race_seeds: How many searches are raced: the more there are, the smaller an advantage counts.
        spaces: Names of the `SPACES` to test; those that the searcher cannot handle are left out anyway.
        seeded: Whether the seed matters with these settings; ``None``: as the class declares.
    """

    searcher: type[Searcher]
    settings: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 16
    race: int = 40
    race_seeds: int = 6
    spaces: tuple[str, ...] = tuple(SPACES)
    seeded: bool | None = None

    @property
    def can_begin(self) -> bool:
        """Whether it can be given a starting point: its settings derive from those that every method has."""
        return issubclass(self.searcher.Settings, SearcherOptions)

    @property
    def parallel(self) -> bool:
        """Whether it can be asked again before it was told, with these settings."""
        return self.searcher.asks_ahead(self.searcher.Settings(**self.settings))

    def problem(self, space: Space | str) -> Problem:
        """Return a test problem on a space, with several fidelities for a method that wants them."""
        space = SPACES[space] if isinstance(space, str) else space
        fidelity = Fidelity(1, 9 if self.searcher.multi_fidelity else 2)
        return Problem(space, fidelity, Objective("error", "min", failure=FAILURE))

    def start(
        self,
        space: Space | str = "continuous",
        seed: int = 1,
        steps: int | None = None,
        workers: int = 1,
    ) -> Searcher:
        """Return a fresh searcher with a budget of ``steps`` evaluations, for a study of so many workers."""
        budget = Budget("evaluations", self.steps if steps is None else steps)
        problem = self.problem(space)
        return self.searcher(problem, seed=seed, budget=budget, workers=workers, **self.settings)

    def supported(self) -> dict[str, Space]:
        """Return the test spaces that the searcher says it can handle."""
        return {name: SPACES[name] for name in self.spaces if self.handles(name)}

    def handles(self, space: Space | str) -> bool:
        """Whether the searcher says that it can handle a space, with these settings."""
        budget = Budget("evaluations", self.steps)
        settings = self.searcher.Settings(**self.settings)
        return not self.searcher.incompatibilities(self.problem(space), budget, settings)

    def space(self) -> str:
        """Return the name of the richest test space that the searcher can handle."""
        supported = self.supported()
        assert supported, f"{self.searcher.name} handles none of the test spaces"
        return next(name for name in ("mixed", "continuous", "categorical", *supported) if name in supported)


def begun(case: Case, space: str, start: float) -> tuple[Case, Space, dict[str, Any]]:
    """Return a case that begins at a reference, the space that has it, and the reference configuration.

    Args:
        case: The case.
        space: Name of the test space.
        start: Where in each parameter's range the reference configuration is, 0 … 1.
    """
    own = SPACES[space]
    # In the middle of a range, each parameter at another place.
    unit = [start if start in (0.0, 1.0) else (start + 0.17 * i) % 1 for i in range(len(own))]
    first = own.from_unit(unit)
    references = {"zeta": first, "alpha": own.from_unit([0.5] * len(own))}
    settings = {**case.settings, "start_at_reference": True}
    return replace(case, settings=settings), Space(own.parameters, own.conditions, references), first


def loss(space: Space, config: Config) -> float:
    """Return a smooth function of a configuration: 0 at best, about 1 at worst."""
    unit = space.to_unit(config)
    return math.fsum((u - 0.3 - 0.4 * (i % 2)) ** 2 for i, u in enumerate(unit)) / len(unit)


def evaluated(searcher: Searcher, proposal: Proposal, status: Status = Status.OK) -> Evaluation:
    """Return a proposal's evaluation: longer training is better, by ever less."""
    value = loss(searcher.problem.space, proposal.config)
    errors = [value + 0.1 / epoch for epoch in range(1, proposal.epochs + 1)]
    if status is Status.OK:
        return Evaluation(status, Curve({"error": errors}), proposal.epochs)
    return Evaluation(status, Curve(), 1, message="made to fail")


@contextmanager
def one_thread() -> Iterator[None]:
    """Run linear algebra on one thread: the number of threads changes last digits, and these grow.

    A limit only reaches the libraries already loaded, and scipy brings its own.
    """
    import scipy.linalg
    import sklearn.utils

    del scipy, sklearn
    with threadpool_limits(1):
        yield


def search(
    searcher: Searcher, steps: int, status: Callable[[int], Status] = lambda _: Status.OK
) -> list[Proposal]:
    """Ask and tell by turns, until there are no more proposals or ``steps`` were evaluated."""
    proposals: list[Proposal] = []
    with one_thread():
        while len(proposals) < steps:
            proposal = searcher.ask()
            if proposal is None:
                break
            searcher.tell(proposal, evaluated(searcher, proposal, status(len(proposals))))
            proposals.append(proposal)
    return proposals


def interleaved(searcher: Searcher, steps: int, workers: int, schedule: int) -> list[Proposal]:
    """Search with several proposals waiting at a time, told in an order drawn from a seeded schedule."""
    proposals: list[Proposal] = []
    waiting: list[Proposal] = []
    order = random.Random(schedule)  # noqa: S311 - a schedule, not a secret
    with one_thread():
        while len(proposals) < steps:
            proposal = searcher.ask() if len(waiting) < workers else None
            if proposal is not None:
                proposals.append(proposal)
                waiting.append(proposal)
            elif waiting:
                told = waiting.pop(order.randrange(len(waiting)))
                searcher.tell(told, evaluated(searcher, told))
            else:
                break
    return proposals


def sequence(case: Case, space: str, seed: int) -> str:
    """Return the JSON of a whole search's proposals; runs in any process."""
    return as_json(search(case.start(space, seed), case.steps))


def as_json(proposals: Sequence[Proposal]) -> str:
    """Return proposals as text, in which 1, 1.0 and True differ."""
    return json.dumps([[p.trial, dict(p.config), p.epochs] for p in proposals])


_SEARCHED: Final[dict[tuple[type[Searcher], str], list[Proposal]]] = {}


def searched(case: Case, space: str) -> list[Proposal]:
    """Return what a whole search with seed 1 proposes; run once, for all tests that look at it or repeat it."""
    key = case.searcher, repr((dict(case.settings), case.steps, space))
    if key not in _SEARCHED:
        _SEARCHED[key] = search(case.start(space), case.steps)
    return list(_SEARCHED[key])


@cache
def _other_process() -> ProcessPoolExecutor:
    """Return one other process with another hash seed, kept, so that a library is imported there once."""
    own = os.environ.get("PYTHONHASHSEED")
    os.environ["PYTHONHASHSEED"] = "1" if own != "1" else "2"
    try:
        executor = ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn"))
        executor.submit(int).result()  # starts it
    finally:
        del os.environ["PYTHONHASHSEED"]
        if own is not None:
            os.environ["PYTHONHASHSEED"] = own
    return executor


@cache
def _random_bests(evaluations: int, runs: int = 2000) -> np.ndarray:
    """Return what random search reaches on the race's function, sorted, shape (runs,)."""
    points = np.random.default_rng(0).random((runs, evaluations, 2))
    return np.sort(np.mean((points - [0.3, 0.7]) ** 2, axis=-1).min(axis=-1))


def race_margin(seeds: int, error: float = RACE_ERROR) -> float:
    """Return the mean percentile that a method no better than random stays above, but for ``error``.

    Its percentiles are uniform, and the distribution of a sum of uniforms is Irwin and Hall's.

    Example:
        >>> round(race_margin(6), 3), round(race_margin(16), 3)
        (0.158, 0.282)
    """

    def probability(mean: float) -> float:
        total = mean * seeds
        terms = ((-1) ** k * math.comb(seeds, k) * (total - k) ** seeds for k in range(math.floor(total) + 1))
        return math.fsum(terms) / math.factorial(seeds)

    low, high = 0.0, 0.5
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if probability(middle) > error else (middle, high)
    return low


@contextmanager
def _global_random_untouched(seed: int) -> Iterator[None]:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the global generator is what is watched
    before = random.getstate(), np.random.get_state()  # noqa: NPY002
    yield
    after = random.getstate(), np.random.get_state()  # noqa: NPY002
    assert before[0] == after[0], "Python's global random state changed"
    assert all(np.array_equal(a, b) for a, b in zip(before[1], after[1], strict=True)), (
        "numpy's global random state changed"
    )


_Test = TypeVar("_Test", bound=Callable[..., None])


def of_the_class(test: _Test) -> _Test:
    """Mark a test of what settings have no part in: where a class has several cases, one of them is enough."""
    test.of_the_class = True  # type: ignore[attr-defined]
    return test


class SearcherConformance:
    """Subclass it with a fixture ``case``, and pytest runs the contract over that searcher.

    Example:
        .. code-block:: python

            class TestMine(SearcherConformance):
                @pytest.fixture
                def case(self) -> Case:
                    return Case(MySearcher, settings={"n_initial_points": 4})

    Put ``pytest.register_assert_rewrite("searchers.conformance")`` before the import for messages
    that show the compared values.
    """

    # What a searcher says of itself.

    @of_the_class
    def test_describes_itself(self, case: Case) -> None:
        """It has a name fit for files, a docstring, and a description of each setting."""
        searcher = case.searcher
        assert searcher.name.isidentifier(), searcher.name
        assert searcher.name == searcher.name.lower()
        assert searcher.__doc__, "needs a docstring: method, source, settings, surprises"
        assert searcher.__doc__ != Searcher.__doc__
        for name, info in searcher.Settings.model_fields.items():
            assert info.description, f"setting {name!r} needs a description"

    def test_settings_survive_json(self, case: Case) -> None:
        """Settings written to a record and read back are the same."""
        settings = case.searcher.Settings(**case.settings)
        again = case.searcher.Settings(**json.loads(json.dumps(settings.as_json())))
        assert again == settings

    @of_the_class
    def test_unknown_setting_is_refused(self, case: Case) -> None:
        """A misspelt setting is an error, not a default."""
        import pytest

        with pytest.raises(ValidationError, match="no_such_setting"):
            case.searcher(
                case.problem(case.space()),
                seed=1,
                budget=Budget("evaluations", 5),
                **case.settings,
                no_such_setting=1,
            )

    @of_the_class
    def test_unsupported_space_is_refused(self, case: Case) -> None:
        """A space that it does not declare is refused when it is constructed."""
        import pytest

        examples: dict[type[Domain], Domain] = {
            Float: Float(0, 1),
            Int: Int(1, 9),
            Choice: Choice(("a", "b")),
        }
        for kind, domain in examples.items():
            if kind not in case.searcher.domains:
                with pytest.raises(IncompatibleError, match="p"):
                    case.start(Space({"p": domain}))
        if not (case.searcher.conditional or case.searcher.drops_inactive):
            with pytest.raises(IncompatibleError, match="conditional"):
                case.start("conditional")

    # What it proposes.

    def test_proposals_are_in_the_space_and_plain(self, case: Case) -> None:
        """In each space, proposals are valid, of exact Python types, and survive JSON unchanged."""
        for name, space in case.supported().items():
            proposals = searched(case, name)
            assert proposals, f"no proposal at all in space {name!r}"
            for proposal in proposals:
                again = space.validate(json.loads(json.dumps(dict(proposal.config))))
                assert list(again.items()) == list(proposal.config.items()), name
                for key, value in proposal.config.items():
                    assert type(value) is type(again[key]), (name, key, value)
                    assert type(value) in (bool, int, float, str), (name, key, value)
                assert type(proposal.trial) is int
                assert type(proposal.epochs) is int

    @of_the_class
    def test_every_category_can_come_back(self, case: Case) -> None:
        """Categories that look alike (1, 1.0, True, "1") are told apart."""
        values = (1, 1.0, True, "1", 0.0, False)
        space = _with_references(Space({"lookalike": Choice(values)}))
        if not case.handles(space):
            return
        seen: set[tuple[type, Any]] = set()
        for seed in range(1, 7):  # one that goes on from the best may stay with the first that it tried
            proposals = search(case.start(space, seed, steps=20), 20)
            seen |= {(type(p.config["lookalike"]), p.config["lookalike"]) for p in proposals}
            if len(seen) >= len(values) - 2:
                break
        assert len(seen) >= min(len(values) - 2, len(proposals)), f"only {seen} were ever proposed"

    def test_fidelities(self, case: Case) -> None:
        """Only a multi-fidelity method trains for less than full; a continued trial keeps its configuration."""
        searcher = case.start(case.space(), steps=60)
        full = searcher.problem.fidelity.high
        steps = 60 if case.searcher.multi_fidelity else case.steps
        trials: dict[int, Proposal] = {}
        for proposal in search(searcher, steps):
            before = trials.get(proposal.trial)
            if before is None:
                assert proposal.trial == len(trials), "a new trial takes the next number"
            else:
                assert proposal.config == before.config
                assert proposal.epochs > before.epochs, "a trial is continued with more epochs"
            trials[proposal.trial] = proposal
            assert case.searcher.multi_fidelity or proposal.epochs == full
        if case.searcher.multi_fidelity:
            reached = {proposal.epochs for proposal in trials.values()}
            assert full in reached, f"never trained in full: {reached}"
            assert min(reached) < full, "declares multi_fidelity, and always trained in full"

    def test_starting_point(self, case: Case) -> None:
        """Started at the space's first reference configuration, it proposes exactly that first, and goes on."""
        if not case.can_begin:
            return
        for name in case.supported():
            without = searched(case, name)[:3]
            for start in (0.0, 0.35, 1.0):
                started, space, first = begun(case, name, start)
                proposals = search(started.start(space), 3)
                assert repr(dict(proposals[0].config)) == repr(first), (name, start)
                assert proposals[0].trial == 0
                assert len(proposals) in {3, len(without)}, (name, start)

    def test_starting_point_is_deterministic(self, case: Case) -> None:
        """The same seed gives the same search from the same start, one by one or several at a time."""
        if not case.can_begin:
            return
        started, space, first = begun(case, case.space(), 0.35)
        runs = [search(started.start(space, seed=3), case.steps) for _ in range(2)]
        assert runs[0] == runs[1]
        if case.parallel:
            runs = [
                interleaved(started.start(space, seed=3, workers=3), case.steps, workers=3, schedule=8)
                for _ in range(2)
            ]
            assert runs[0] == runs[1]
            assert dict(runs[0][0].config) == first

    @of_the_class
    def test_no_reference_to_start_at_is_refused(self, case: Case) -> None:
        """A space without reference configurations is refused when it is constructed."""
        import pytest

        if not case.can_begin:
            return
        started, space, _ = begun(case, case.space(), 0.35)
        with pytest.raises(IncompatibleError, match="reference"):
            started.start(Space(space.parameters, space.conditions))

    # Same seed, same search.

    def test_same_seed_same_sequence_here_and_in_another_process(self, case: Case) -> None:
        """The seed decides everything: not the process, its hash seed, or the time."""
        for name in case.supported():
            once = as_json(searched(case, name))
            if name in {"continuous", "mixed", "conditional", "categorical"}:
                assert _other_process().submit(sequence, case, name, 1).result() == once, name
            if name not in {"continuous", "conditional", "categorical"} - {case.space()}:
                assert sequence(case, name, 1) == once, name

    def test_other_seed_other_sequence(self, case: Case) -> None:
        """Seeds matter, unless the searcher says that they don't."""
        name = case.space()
        different = len(
            {as_json(searched(case, name)), *(sequence(case, name, seed) for seed in (2, 2**32 - 1))}
        )
        seeded = case.searcher.seeded if case.seeded is None else case.seeded
        assert different == (3 if seeded else 1)

    def test_replay_of_a_prefix(self, case: Case) -> None:
        """A fresh searcher told the same beginning proposes the same next: what resuming relies on."""
        name = case.space()
        full = searched(case, name)
        for length in sorted({0, 1, len(full) // 2, len(full) - 1}):
            fresh = case.start(name)
            assert search(fresh, length) == full[:length]
            with one_thread():
                assert fresh.ask() == full[length], f"after {length}"

    def test_replay_of_a_parallel_search(self, case: Case) -> None:
        """With several proposals waiting, the same order of asks and tells gives the same search."""
        if not case.parallel:
            return
        name = case.space()
        runs = [
            interleaved(case.start(name, seed=3, workers=3), case.steps, workers=3, schedule=8)
            for _ in range(2)
        ]
        assert runs[0] == runs[1]

    def test_goes_on_from_recorded_trials(self, case: Case) -> None:
        """Told trials that it did not propose, it goes on after them; or it says that it cannot."""
        import pytest

        if not case.searcher.takes():
            with pytest.raises(SearcherError, match=f"{case.searcher.name!r} cannot be told trials"):
                Followed([], case.start(case.space()))
            return
        for name, space in case.supported().items():
            recorded = searched(case, name)[: case.steps // 2]
            fresh = case.start(name, seed=6)
            for proposal in recorded:
                fresh.take(proposal, evaluated(fresh, proposal))
            rest = search(fresh, case.steps - len(recorded))
            assert [proposal.trial for proposal in rest] == list(
                range(len(recorded), len(recorded) + len(rest))
            )
            ended = space.size() is not None or len(recorded) < case.steps // 2
            assert rest or ended, f"{name}: nothing more to propose"

    def test_learns_from_recorded_trials(self, case: Case) -> None:
        """What it proposes next depends on the losses that it was told of trials that it did not propose."""
        if not (case.searcher.takes() and case.searcher.learns):
            return
        name = case.space()
        recorded = searched(case, name)

        def after(worst: float) -> list[Proposal]:
            fresh = case.start(name, seed=6)
            for proposal in recorded:
                error = abs(worst - loss(SPACES[name], proposal.config))
                fresh.take(proposal, Evaluation(Status.OK, Curve({"error": [error, error]}), 2))
            return search(
                fresh, 8
            )  # the first ones of some are drawn without a model, or vary what is best by chance

        with one_thread():
            once, again, otherwise = after(0.0), after(0.0), after(1.0)
        assert once == again
        assert once != otherwise or not once  # the library may see no reason to go on

    def test_global_random_state_is_kept_apart(self, case: Case) -> None:
        """It neither reads nor moves the process's global generators."""
        name = case.space()
        alone = searched(case, name)
        with _global_random_untouched(11):
            searcher = case.start(name)
        proposals = []
        for step in range(len(alone)):
            with _global_random_untouched(step):
                proposals += search(searcher, 1)
        assert as_json(proposals) == as_json(alone)

    def test_prints_nothing(self, case: Case, capfd: Any) -> None:
        """The display belongs to the command line. What a library prints when it is imported is not counted."""
        search(case.start(case.space()), 1)
        capfd.readouterr()
        search(case.start(case.space()), case.steps)
        out, err = capfd.readouterr()
        assert (out, err) == ("", "")

    # What it is told.

    def test_failed_evaluations(self, case: Case) -> None:
        """It goes on after failures of every kind, alone or among successes, until it tried all that there is."""
        kinds = (Status.OK, Status.DIVERGED, Status.OK, Status.CRASHED, Status.OK, Status.TIMEOUT)
        patterns: Sequence[Callable[[int], Status]] = (
            lambda step: kinds[step % len(kinds)],
            lambda _: Status.DIVERGED,
        )
        for pattern in patterns:
            for name in {case.space(), "tiny"} & set(case.supported()):
                searcher = case.start(name)
                proposals = search(searcher, case.steps, pattern)
                assert proposals, name
                distinct = {repr(dict(proposal.config)) for proposal in proposals}
                if len(searched(case, name)) == case.steps and len(distinct) != SPACES[name].size():
                    assert len(proposals) == case.steps, f"gave up in space {name!r} after failures"

    def test_failed_trials_are_not_continued(self, case: Case) -> None:
        """A trial whose evaluation failed, in whatever way, at whatever rung, is never proposed again."""
        if not case.searcher.multi_fidelity:
            return
        kinds = (Status.DIVERGED, Status.CRASHED, Status.TIMEOUT)
        for every in (1, 2):
            searcher = case.start(case.space(), steps=60)
            failed: set[int] = set()
            for step in range(60):
                proposal = searcher.ask()
                assert proposal is not None
                assert proposal.trial not in failed, f"continues trial {proposal.trial}, which failed"
                status = kinds[step // every % len(kinds)] if step % every == 0 else Status.OK
                if status is not Status.OK:
                    failed.add(proposal.trial)
                searcher.tell(proposal, evaluated(searcher, proposal, status))

    def test_goes_on_from_recorded_failures(self, case: Case) -> None:
        """Told trials that it did not propose and that failed, it goes on after them."""
        if not case.searcher.takes():
            return
        name = case.space()
        recorded, kinds = (
            searched(case, name)[: case.steps // 2],
            (Status.OK, Status.DIVERGED, Status.TIMEOUT),
        )

        def after() -> list[Proposal]:
            fresh = case.start(name, seed=6)
            for step, proposal in enumerate(recorded):
                fresh.take(proposal, evaluated(fresh, proposal, kinds[step % len(kinds)]))
            return search(fresh, case.steps - len(recorded))

        once = after()
        assert once == after()
        assert once or SPACES[name].size() is not None, "nothing more to propose"

    def test_repeated_configurations(self, case: Case) -> None:
        """In a space of four configurations it repeats itself or ends, and does not fail."""
        if "tiny" not in case.supported():
            return
        proposals = searched(case, "tiny")
        assert len({tuple(p.config.items()) for p in proposals}) <= 4
        assert len(proposals) >= 4

    def test_parallel_asks(self, case: Case) -> None:
        """A parallel method proposes before it was told; any other waits, and then goes on."""
        searcher = case.start(case.space(), workers=4 if case.parallel else 1)
        with one_thread():
            first = searcher.ask()
            assert first is not None
            if not case.parallel:
                assert searcher.ask() is None
                searcher.tell(first, evaluated(searcher, first))
                assert searcher.ask() is not None
                return
            waiting = [first]
            while len(waiting) < 4 and (proposal := searcher.ask()) is not None:
                waiting.append(proposal)
            assert len(waiting) > 1, "declares parallel, and proposes one at a time"
            assert [p.trial for p in waiting] == list(range(len(waiting)))
            for proposal in sorted(waiting, key=lambda p: (p.trial * 3 + 2) % 5):
                searcher.tell(proposal, evaluated(searcher, proposal))
        assert len(interleaved(searcher, case.steps - 4, workers=3, schedule=2)) > 0

    @of_the_class
    def test_telling_what_was_not_asked(self, case: Case) -> None:
        """Telling twice, or something never asked, is the caller's error and changes nothing."""
        import pytest

        name = case.space()
        searcher, reference = case.start(name), case.start(name)
        with one_thread():
            for _ in range(2):
                proposal, expected = searcher.ask(), reference.ask()
                assert proposal is not None
                assert expected is not None
                assert proposal == expected
                evaluation = evaluated(searcher, proposal)
                stranger = Proposal(proposal.trial + 7, proposal.config, proposal.epochs)
                with pytest.raises(ProtocolError):
                    searcher.tell(stranger, evaluation)
                searcher.tell(proposal, evaluation)
                reference.tell(expected, evaluation)
                with pytest.raises(ProtocolError):
                    searcher.tell(proposal, evaluation)

    def test_ends_cleanly(self, case: Case) -> None:
        """Past its budget, and in a space of one point, it goes on or ends; once it ended it stays so."""
        for name, budget in (
            (case.space(), Budget("evaluations", 1)),
            (case.space(), Budget("epochs", 1)),
            ("tiny", Budget("epochs", 40)),
            ("single point", Budget("evaluations", 5)),
        ):
            if name not in case.supported():
                continue
            searcher = case.searcher(case.problem(name), seed=1, budget=budget, **case.settings)
            proposals = search(searcher, case.steps)
            assert proposals, (name, budget)
            if len(proposals) < case.steps:
                assert searcher.ask() is None
                assert searcher.ask() is None

    # What it is good for.

    def test_beats_random_search(self, case: Case) -> None:
        """On a smooth function of two real parameters, a method that learns beats random search.

        Its best of ``case.race`` evaluations is ranked among 2000 random searches of the same length.
        The mean percentile over its seeds must be below `race_margin`, which a method no better than
        random would reach with one choice of seeds in 1000.
        """
        budget = Budget("evaluations", max(case.race, 1))
        settings = case.searcher.Settings(**case.settings)
        problem = case.problem(RACE_SPACE)
        if (
            not (case.searcher.learns and case.race)
            or case.searcher.multi_fidelity
            or case.searcher.incompatibilities(problem, budget, settings)
        ):
            return
        randoms = _random_bests(case.race)
        percentiles = []
        for seed in range(case.race_seeds):
            proposals = search(case.start(RACE_SPACE, seed, case.race), case.race)
            best = min(loss(RACE_SPACE, proposal.config) for proposal in proposals)
            percentiles.append(float(np.searchsorted(randoms, best) / len(randoms)))
        assert math.fsum(percentiles) / case.race_seeds < race_margin(case.race_seeds), percentiles
