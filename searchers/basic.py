"""What needs no search library: random search, grid search, and configurations given by name or in full."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, ClassVar, Final, Literal

import numpy as np
from pydantic import Field, model_validator

from harness.errors import SpaceError, nearest
from harness.options import Options
from harness.plurals import plural
from harness.searcher import Searcher, SearcherOptions, Suggestion
from harness.space import Config, Float, Int, Scalar, Space
from harness.trial import Budget, Problem
from searchers import _adapt

LARGEST_GRID: Final = 1_000_000
"""Grids of more points than this are refused: they are a mistake, and would not fit in memory."""

LARGEST_SOBOL: Final = 21_201
"""Dimensions for which Sobol' direction numbers are known."""


class Random(Searcher):
    """Random search: points of the unit cube, uniform on each parameter's own scale.

    A log-scaled parameter is uniform in its logarithm, an integer one gives every value the same
    width on its scale, a categorical one gives every category the same probability. A conditional
    parameter is drawn where it is active. In a small finite space configurations repeat.

    The ``design`` says how the points are spread, from a seeded generator:

    * ``uniform``: independent draws, from a numpy ``Generator`` (PCG64) seeded with the study's search seed. Every
      proposal takes one number per parameter of the space, active or not, in the space's order.
    * ``sobol``: a scrambled Sobol' sequence, which fills the space evenly at any length (best at
      powers of two). For 21 201 parameters at most.
    * ``lhs``: a Latin hypercube with as many points as the budget pays for at full fidelity: each parameter
      takes each of as many intervals once. Where evaluations cost less than was foreseen, another
      hypercube follows. A study that stops early has seen an unbiased part of it.

    With ``start_at_reference`` the reference configuration comes first, and the design after it, as it would
    have begun without; a Latin hypercube has one point less, so that the budget still pays for all of it.

    With a ``design_seed`` all repetitions evaluate the same configurations, each with training seeds of its own: what
    a recording is made of.

    References: J. Bergstra and Y. Bengio, "Random Search for Hyper-Parameter Optimization", Journal
    of Machine Learning Research 13 (2012) 281–305; A. Owen, "Scrambling Sobol' and Niederreiter-Xing
    Points", 1998; M. McKay, R. Beckman and W. Conover, "A Comparison of Three Methods for Selecting
    Values of Input Variables", 1979.

    Example:
        >>> from harness.trial import Budget, Fidelity, Objective, Problem
        >>> space = Space({"lr": Float(1e-4, 1e-1, log=True)})
        >>> problem = Problem(space, Fidelity(1, 1), Objective("val_loss", "min", failure=10.0))
        >>> proposal = Random(problem, seed=1, budget=Budget("evaluations", 5)).ask()
        >>> proposal.trial, proposal.epochs, f"{proposal.config['lr']:.6f}"
        (0, 1, '0.003431')
    """

    name = "random"
    conditional: ClassVar[bool] = True
    parallel: ClassVar[bool] = True
    learns: ClassVar[bool] = False

    class Settings(SearcherOptions):
        """Settings of random search."""

        design: Literal["uniform", "sobol", "lhs"] = Field(
            "uniform", description="independent draws, a scrambled Sobol' sequence, or Latin hypercubes"
        )
        design_seed: int | None = Field(
            None,
            ge=0,
            lt=2**32,
            description="seed of the design, so that every repetition proposes the same; null: the search seed",
        )

        def as_json(self) -> dict[str, Any]:
            """Leave out ``design_seed`` where there is none: an identity that it is no part of."""
            settings = super().as_json()
            if self.design_seed is None:
                del settings["design_seed"]
            return settings

    settings: Settings

    @classmethod
    def incompatibilities(cls, problem: Problem, budget: Budget, settings: Options) -> list[str]:
        """Refuse, besides, more parameters than Sobol' sequences have dimensions."""
        reasons = super().incompatibilities(problem, budget, settings)
        parameters = len(problem.space)
        if isinstance(settings, cls.Settings) and settings.design == "sobol" and parameters > LARGEST_SOBOL:
            reasons.append(f"{parameters} parameters are more than the {LARGEST_SOBOL} of a Sobol' sequence")
        return reasons

    def _start(self) -> None:
        own = self.settings.design_seed
        self._points = self._spread(np.random.default_rng(self.seed if own is None else own))

    def _spread(self, generator: np.random.Generator) -> Iterator[list[float]]:
        """Yield points of the unit cube, each of shape (parameters,), without end."""
        dimensions = len(self.problem.space)
        if self.settings.design == "uniform":
            while True:
                yield generator.random(dimensions).tolist()
        from scipy.stats import qmc

        if self.settings.design == "sobol":
            # 62 bits: a sequence of 2³⁰ points, the default, would end within reach of a cheap task.
            sobol = qmc.Sobol(dimensions, scramble=True, bits=62, rng=generator)
            while True:
                yield sobol.random(1)[0].tolist()
        planned = max(_affordable(self.problem, self.budget, self.settings), 1)
        hypercubes = qmc.LatinHypercube(dimensions, rng=generator)
        while True:
            yield from hypercubes.random(min(planned, LARGEST_GRID)).tolist()

    def _ask(self) -> Suggestion:
        return Suggestion(self.problem.space.from_unit(next(self._points)))

    def _take(self, config: Config, loss: float) -> None:
        """Learn nothing: a seed of its own makes the points that follow other ones."""

    def _tell(self, suggestion: Suggestion, loss: float) -> None:
        """Learn nothing: the points are fixed."""


class Grid(Searcher):
    """Grid search: every combination of evenly spaced values, each once, at full fidelity.

    Points are evenly spaced on each parameter's own scale, ends included; a parameter with a
    single point gets its middle. A `Choice` always enters with every category, a conditional
    parameter only where it is active. When every point has been proposed, the search ends.

    With ``resolution: null`` the grid is fitted to the budget: it starts at one point per numeric
    parameter, and the one with the fewest points (the first of them, where several tie) gets one
    more for as long as the grid still has no more points than the evaluations that the budget pays
    for at full fidelity. So no numeric parameter is ever more than one point ahead of another,
    except where an integer one has no more values (or, on a log scale, where rounding merges two
    points). Where even the coarsest grid is larger than the budget, that grid is started and not
    finished.

    The ``shuffled`` order is a permutation from the study's search seed. A study that stops early has
    then seen an unbiased sample of the grid, and its anytime curve doesn't depend on the order in
    which parameters happen to be listed. In the ``lexicographic`` order the last parameter varies
    fastest, whatever the seed.

    With ``start_at_reference`` the reference configuration comes first. Where it is a point of the grid,
    up to rounding, it is not proposed again in its turn. A grid fitted to the budget is fitted to one
    evaluation less.

    It searches at most `LARGEST_GRID` points. The shuffled order holds them all in memory (about
    250 MB for the largest).
    """

    name = "grid"
    conditional: ClassVar[bool] = True
    parallel: ClassVar[bool] = True
    learns: ClassVar[bool] = False

    class Settings(SearcherOptions):
        """Settings of grid search."""

        resolution: int | None = Field(
            None,
            ge=1,
            le=LARGEST_GRID,
            description="points per numeric parameter; null: as many as the budget pays for",
        )
        order: Literal["shuffled", "lexicographic"] = Field(
            "shuffled", description="shuffled by the search seed, or last parameter fastest"
        )

    settings: Settings

    @classmethod
    def incompatibilities(cls, problem: Problem, budget: Budget, settings: Options) -> list[str]:
        """Refuse, besides, a grid of more than `LARGEST_GRID` points."""
        reasons = super().incompatibilities(problem, budget, settings)
        assert isinstance(settings, cls.Settings)  # noqa: S101 - tells the type checker; the base built it
        points = problem.space.grid_size(_resolution(problem, budget, settings))
        if points > LARGEST_GRID:
            coarsest = "" if settings.resolution is not None else " at its coarsest"
            reasons.append(
                f"this grid has {plural(points, 'point')}{coarsest}, more than {LARGEST_GRID}: "
                "lower the resolution, or search another way"
            )
        return reasons

    def _start(self) -> None:
        space = self.problem.space
        grid = space.grid(_resolution(self.problem, self.budget, self.settings))
        self._points: Iterator[dict[str, Scalar]] = grid
        if self.settings.order == "shuffled":
            points = list(grid)
            order = np.random.default_rng(self.seed).permutation(len(points)).tolist()
            self._points = (points[i] for i in order)
        self._left_out = [] if self.starting_point is None else [self.starting_point]

    def _ask(self) -> Suggestion | None:
        space, left_out = self.problem.space, self._left_out
        for point in self._points:
            if not any(_adapt.coincide(space, point, other) for other in left_out):
                return Suggestion(point)
        return None

    def _take(self, config: Config, loss: float) -> None:
        """Leave the configuration out of what is still to be proposed."""
        self._left_out.append(config)

    def _tell(self, suggestion: Suggestion, loss: float) -> None:
        """Learn nothing: the grid is fixed."""


class References(Searcher):
    """The task's named reference configurations, each once, in the task's order.

    It searches nothing: it evaluates what a source published, or any other configurations that are given in full.
    When all have been proposed, the search ends. A configuration given twice is proposed twice.

    It needs a space with reference configurations, unless ``configurations`` are given.
    """

    name = "references"
    conditional: ClassVar[bool] = True
    parallel: ClassVar[bool] = True
    seeded: ClassVar[bool] = False
    learns: ClassVar[bool] = False

    class Settings(Options):
        """Which configurations."""

        names: list[str] | None = Field(
            None, min_length=1, description="names of reference configurations, in this order; null: all"
        )
        configurations: list[dict[str, Scalar]] | None = Field(
            None, min_length=1, description="configurations in full, instead of named ones"
        )
        epochs: int | None = Field(None, ge=1, description="epochs of each; null: full fidelity")

        def as_json(self) -> dict[str, Any]:
            """Leave out ``epochs`` at full fidelity: an identity that it is no part of."""
            settings = super().as_json()
            if self.epochs is None:
                del settings["epochs"]
            return settings

        @model_validator(mode="after")
        def _one_of_them(self) -> References.Settings:
            if self.names is not None and self.configurations is not None:
                raise ValueError("give names or configurations, not both")
            return self

    settings: Settings

    @classmethod
    def incompatibilities(cls, problem: Problem, budget: Budget, settings: Options) -> list[str]:
        """Refuse, besides, names and configurations that the space does not have."""
        reasons = super().incompatibilities(problem, budget, settings)
        assert isinstance(settings, cls.Settings)  # noqa: S101 - tells the type checker; the base built it
        references, fidelity = problem.space.references, problem.fidelity
        if settings.epochs is not None and not fidelity.low <= settings.epochs <= fidelity.high:
            reasons.append(
                f"{plural(settings.epochs, 'epoch is', 'epochs are')} outside {fidelity.low} … {fidelity.high}"
            )
        if settings.configurations is not None:
            for config in settings.configurations:
                try:
                    problem.space.validate(config)
                except SpaceError as error:
                    reasons.append(f"configuration {config}: {error}")
        elif not references:
            reasons.append("this space has no reference configuration; give `configurations`")
        for name in settings.names or ():
            if name not in references:
                reasons.append(f"no reference configuration is called {name!r}; {nearest(name, references)}")
        return reasons

    @classmethod
    def least_epochs(cls, problem: Problem, budget: Budget, settings: Options) -> int:
        """Return the epochs of each configuration."""
        own = settings.epochs if isinstance(settings, cls.Settings) else None
        return own or super().least_epochs(problem, budget, settings)

    def _start(self) -> None:
        references = self.problem.space.references
        names = self.settings.names if self.settings.names is not None else list(references)
        given = self.settings.configurations
        configs = given if given is not None else [dict(references[name]) for name in names]
        self._configs = list(configs)

    def _ask(self) -> Suggestion | None:
        return Suggestion(self._configs.pop(0), self.settings.epochs) if self._configs else None

    def _take(self, config: Config, loss: float) -> None:
        """Leave the configuration out of what is still to be proposed, once."""
        if dict(config) in self._configs:
            self._configs.remove(dict(config))

    def _tell(self, suggestion: Suggestion, loss: float) -> None:
        """Learn nothing: the configurations are given."""


def _affordable(problem: Problem, budget: Budget, settings: SearcherOptions) -> int:
    """Return how many configurations the budget pays for at full fidelity, besides a given starting point."""
    return budget.full_evaluations(problem.fidelity) - settings.start_at_reference


def _resolution(problem: Problem, budget: Budget, settings: Grid.Settings) -> dict[str, int]:
    """Return the grid resolution of each numeric parameter, for `Space.grid`."""
    numeric = {k: d for k, d in problem.space.parameters.items() if isinstance(d, Float | Int)}
    if settings.resolution is not None:
        return dict.fromkeys(numeric, settings.resolution)
    affordable = _affordable(problem, budget, settings)
    return fitted_resolution(problem.space, min(affordable, LARGEST_GRID))


def fitted_resolution(space: Space, affordable: int) -> dict[str, int]:
    """Return the finest balanced grid resolution with at most ``affordable`` points in all.

    It gives, without going there step by step, what this rule does: begin with one point each; as
    long as the grid fits, give the numeric parameter with the fewest points the next resolution
    that has more.

    Args:
        space: The space; its categories always take part in full.
        affordable: How many points fit. Where one point per numeric parameter doesn't, that is
            what is returned nevertheless.

    Example:
        >>> space = Space({"a": Float(0, 1), "b": Int(1, 3), "c": Float(0, 1)})
        >>> fitted_resolution(space, 60)
        {'a': 5, 'b': 3, 'c': 4}
    """
    numeric = {k: d for k, d in space.parameters.items() if isinstance(d, Float | Int)}

    def level(points: int) -> dict[str, int]:
        return {name: _resolution_with(domain, points) for name, domain in numeric.items()}

    # All parameters pass through a common level together, so find the last level that fits by
    # doubling and halving, then take single steps towards the next one.
    low, high = 1, 2
    while high <= affordable and space.grid_size(level(high)) <= affordable and level(high) != level(low):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        fits = middle <= affordable and space.grid_size(level(middle)) <= affordable
        low, high = (middle, high) if fits else (low, middle)
    resolution, following = level(low), level(low + 1)
    for name, domain in sorted(numeric.items(), key=lambda item: len(item[1].grid(resolution[item[0]]))):
        finer = {**resolution, name: following[name]}
        if len(domain.grid(finer[name])) == len(domain.grid(resolution[name])):
            continue
        if space.grid_size(finer) > affordable:
            break
        resolution = finer
    return resolution


@lru_cache(maxsize=1024)
def _resolution_with(domain: Float | Int, points: int) -> int:
    """Return a least resolution at which a domain's grid has ``points`` points, or all it can have."""
    if domain.size is not None:
        points = min(points, domain.size)
    if isinstance(domain, Float) or not domain.log:
        return points
    # Rounding merges neighbours at the low end of a logarithmic scale, so it takes more.
    low, high = points, points
    while len(domain.grid(high)) < points and high < LARGEST_GRID:
        low, high = high, min(2 * high, LARGEST_GRID)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if len(domain.grid(middle)) >= points else (middle, high)
    return high
