"""DEHB: Hyperband whose configurations come from differential evolution, by the library of its authors."""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, ClassVar, Final, Literal
from unittest import mock

from pydantic import Field

from harness.options import Options
from harness.searcher import Searcher, SearcherOptions, Suggestion
from harness.space import Config
from harness.trial import Budget, Problem
from searchers import _adapt, _configspace

Strategy = Literal[
    "rand1_bin",
    "rand2_bin",
    "rand2dir_bin",
    "best1_bin",
    "best2_bin",
    "currenttobest1_bin",
    "randtobest1_bin",
    "rand1_exp",
    "rand2_exp",
    "rand2dir_exp",
    "best1_exp",
    "best2_exp",
    "currenttobest1_exp",
    "randtobest1_exp",
]


@cache
def quiet_dehb() -> Any:
    """Return the library's class as one that writes no log, and takes points on a bound.

    That of DEHB 0.1.1 opens a log file in the working directory, with a process of its own to write it, and on import
    puts a handler that prints into the place of all handlers that loguru has. It fails at a point on the bound of a
    range, where its arithmetic puts the value just outside: such a point is moved inside by as little, see `inside`.
    Nothing else differs.
    """
    import loguru

    with mock.patch.object(loguru.logger, "configure", lambda **_: []), _adapt.ignored_warnings():
        import dehb

    class Quiet(dehb.DEHB):  # type: ignore[misc]
        def _setup_logger(self, kwargs: dict[str, Any]) -> None:
            self.output_path = Path(tempfile.gettempdir())  # where nothing is written, but which must exist
            self.logger = logging.getLogger("dehb")
            self.log_filename = ""

        def _init_subpop(self) -> None:
            super()._init_subpop()
            for population in self.de.values():
                convert = population.vector_to_configspace
                population.vector_to_configspace = partial(_converted, convert, self.cs)

    return Quiet


def _converted(convert: Callable[[Any], Any], space: Any, vector: Any) -> Any:
    """Return the configuration of a point, by the library, once it is inside."""
    return convert(inside(space, vector))


def inside(space: Any, vector: Any) -> Any:
    """Return a point of the unit cube that the library's arithmetic puts into a space; usually the same.

    Args:
        space: A ``ConfigurationSpace`` of n parameters.
        vector: Shape (n,), each coordinate in [0, 1].
    """
    import numpy as np
    from ConfigSpace import CategoricalHyperparameter, UniformFloatHyperparameter

    moved = np.array(vector)
    for i, parameter in enumerate(space.values()):
        if isinstance(parameter, CategoricalHyperparameter):
            moved[i] = min(moved[i], _LAST_CATEGORY)
        if not isinstance(parameter, UniformFloatHyperparameter):
            continue
        step = np.finfo(float).eps
        while (value := _value(parameter, moved[i])) > parameter.upper or value < parameter.lower:
            moved[i] += step if value < parameter.lower else -step
            step *= 2  # one rounding error of the value may be many of the coordinate
    return moved


_LAST_CATEGORY: Final = 1 - 2.0**-40
"""A coordinate of the last category: 1 is beyond it for some numbers of categories (49, for one)."""


def _value(parameter: Any, coordinate: float) -> float:
    """Return the value of a real parameter at a coordinate, as the library computes it."""
    import numpy as np

    if parameter.log:
        low, high = np.log(parameter.lower), np.log(parameter.upper)
        return float(np.exp(low + coordinate * (high - low)))
    return float(parameter.lower + (parameter.upper - parameter.lower) * coordinate)


class DEHB(Searcher):
    """Differential evolution with Hyperband, by its authors' ``DEHB``.

    Brackets of successive halving as in Hyperband, between ``min_fidelity`` and full fidelity, each rung with a
    population of its own. In the first round of brackets the best of a rung are evaluated at the next. Else, and from
    the second round on everywhere, a rung's evaluations are offspring of its population: a mutant of the best of the
    rung below (``strategy``, ``mutation_factor``), crossed with the parent, whose place it takes if it is not worse.

    It proposes exactly what the library's ask and tell do with the same seed, in a space that is seeded with it:
    configurations, fidelities, and the order of brackets. A fidelity is trained for as many whole epochs as it has,
    which is what the library's example does: with R = 50 and ``eta`` = 3, fidelities 1.85, 5.6, 16.7 and 50 are 1, 5,
    16 and 50 epochs. With ``start_at_reference`` the reference configuration takes the place of the first offspring,
    in the library as well: the first evaluation at the lowest fidelity of the first bracket.

    The library trains each evaluation from scratch, also that of a configuration that goes on to a higher fidelity:
    it is a new trial here, and all of its epochs are charged. So a bracket costs more than one of
    ``optuna_hyperband`` or ``kerastuner_hyperband``, which continue trials.

    With several workers it is the library's ask before tell: a bracket whose rung is not complete waits, and the next
    one begins, so that no worker ever does.

    Surprises of the library:

    * It knows no failure: told NaN it keeps the place of a parent that was never evaluated, and where all of a rung
      is infinite it fails. It is told the task's failure value, and where too few of a rung succeed, one that failed
      goes on to the next fidelity, as a new trial.
    * The random populations themselves are never evaluated: the first evaluations are already offspring of them.
    * Brackets begin with as many configurations as ⌊rounds / (s + 1)⌋ · etaˢ: with R = 81 and ``eta`` = 3 these are
      81, 27, 9, 6 and 5, where the paper of Hyperband has 81, 34, 15, 8 and 5.
    * The number of brackets comes of floating-point logarithms: R = 243 with ``eta`` = 3 may have five, not six.
    * Whole numbers are rounded reals: the two ends of a range are proposed half as often as the others. Categories
      are intervals of a real number, and so have an order.
    * A point on the bound of a range, where ``boundary_fix_type: clip`` puts many, can be a rounding error outside as
      the library computes it, and it fails. Here it is moved inside by as little.
    * Exponential crossover (``_exp``) writes into the parent: the population changes even if the offspring is worse.
    * Inactive parameters evolve, too.
    * Its ``max_age`` and ``async_strategy`` have no effect, and ``min_clip`` and ``max_clip`` fail with today's
      ConfigSpace: these are left out.
    * Reals are rounded to 13 decimals. The order of parameters is ConfigSpace's, by name: renaming one gives another
      search.

    Reference: N. Awad, N. Mallik and F. Hutter, "DEHB: Evolutionary Hyperband for Scalable, Robust and Efficient
    Hyperparameter Optimization", IJCAI 2021. Defaults are those of DEHB 0.1.1, but for ``min_fidelity``.
    """

    name = "dehb"
    libraries: ClassVar[dict[str, str]] = {"dehb": "dehb", "ConfigSpace": "ConfigSpace"}
    conditional: ClassVar[bool] = True
    parallel: ClassVar[bool] = True
    multi_fidelity: ClassVar[bool] = True

    class Settings(SearcherOptions):
        """Settings of ``DEHB``, under its names; ``max_fidelity`` is the task's full fidelity."""

        min_fidelity: int | None = Field(
            None, ge=1, description="epochs of the lowest rung, at least; null: the task's lowest fidelity"
        )
        eta: int = Field(3, ge=2, description="how many times fewer trials, and more epochs, each rung")
        mutation_factor: float = Field(0.5, gt=0, le=1, description="how far a mutant is from its origin")
        crossover_prob: float = Field(
            0.5, ge=0, le=1, description="part of the parameters that come from the mutant"
        )
        strategy: Strategy = Field("rand1_bin", description="how mutants are made, and crossed")
        boundary_fix_type: Literal["random", "clip"] = Field(
            "random", description="what becomes of a value outside its range: drawn anew, or put at the bound"
        )

    settings: Settings

    @classmethod
    def incompatibilities(cls, problem: Problem, budget: Budget, settings: Options) -> list[str]:
        """Refuse, besides, ranges that ConfigSpace cannot take, and fidelities without room for a rung."""
        reasons = super().incompatibilities(problem, budget, settings) + _configspace.limits(problem.space)
        if isinstance(settings, cls.Settings):
            lowest = settings.min_fidelity or problem.fidelity.low
            reasons += _configspace.halving(problem.fidelity, "min_fidelity", lowest, settings.eta)
        return reasons

    @classmethod
    def least_epochs(cls, problem: Problem, budget: Budget, settings: Options) -> int:
        """Return the epochs of the first rung of the first bracket, as the library computes them."""
        if not isinstance(settings, cls.Settings):
            return super().least_epochs(problem, budget, settings)
        import numpy as np

        low, high = settings.min_fidelity or problem.fidelity.low, problem.fidelity.high
        if low * settings.eta > high:
            return high
        rounds = -int(np.log(low / high) / np.log(settings.eta))
        return _epochs(high * float(np.power(float(settings.eta), -float(rounds))))

    def _start(self) -> None:
        self._space = _configspace.configuration_space(self.problem.space, self.seed)
        self._library: Any = None
        if not len(self._space):  # the space is a single point
            return
        fidelity, settings = self.problem.fidelity, self.settings.own()
        lowest = settings.pop("min_fidelity") or fidelity.low
        with _adapt.ignored_warnings():
            self._library = quiet_dehb()(
                cs=self._space,
                dimensions=len(self._space),
                min_fidelity=lowest,
                max_fidelity=fidelity.high,
                seed=self.seed,
                n_workers=1,
                save_freq="end",  # never, without its own loop
                **settings,
            )

    def _ask(self) -> Suggestion:
        if self._library is None:
            return Suggestion(_configspace.decoded(self.problem.space, {}))
        with _adapt.ignored_warnings():
            job = self._library.ask()
        config = _configspace.decoded(self.problem.space, job["config"])
        return Suggestion(config, epochs=_epochs(job["fidelity"]), handle=job)

    def _ask_at(self, config: Config) -> Suggestion:
        suggestion = self._ask()
        if self._library is None:
            return suggestion
        job = suggestion.handle
        with _adapt.ignored_warnings():
            # What the library does when it is told evaluations of an earlier run.
            job["config"] = _configspace.encoded(self.problem.space, self._space, config)
            vector = self._library.configspace_to_vector(job["config"])
            self._library.config_repository.configs[job["config_id"]].config = vector
        return Suggestion(config, epochs=suggestion.epochs, handle=job)

    def _tell(self, suggestion: Suggestion, loss: float) -> None:
        if self._library is None:
            return
        with _adapt.ignored_warnings():
            self._library.tell(suggestion.handle, {"fitness": loss, "cost": float(suggestion.epochs or 0)})
            self._library.clean_inactive_brackets()  # as its own loop does


def _epochs(fidelity: float) -> int:
    """Return the whole epochs of one of the library's fidelities, which come with rounding errors."""
    return math.floor(fidelity * (1 + _adapt.ROUNDING))
