"""Ray Tune's asynchronous successive halving as a searcher, every decision taken by its own scheduler."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from harness.options import Options
from harness.searcher import Searcher, SearcherOptions, Suggestion
from harness.space import Config
from harness.trial import Budget, Problem, Status
from searchers.raytune import LOSS, STEP, complete_config, nested_names, tune_domains


@dataclass(frozen=True, slots=True)
class _Trial:
    """All that Ray Tune's scheduler looks at in a trial."""

    trial_id: str


class RayTuneASHA(Searcher):
    """Asynchronous successive halving, by Ray Tune's ``AsyncHyperBandScheduler``, over random search.

    Configurations are Ray Tune's own random samples. Each is trained up to the first rung, at
    ``grace_period`` epochs, and the next ones, each ``reduction_factor`` times further. At a rung it is
    compared with those that came there before: below the top 1 / ``reduction_factor`` of them (their
    percentile, by interpolation) it is stopped, and otherwise continued at once, up to full fidelity.
    With several ``brackets``, bracket s leaves out the first s rungs, and a trial's bracket is drawn at
    random, in proportion to the exponential of its number of rungs.

    Every decision is the scheduler's own, told results in virtual finishing order. It takes the decisions
    that it takes for trials that report every epoch, because with a whole ``reduction_factor`` it acts
    at rungs only. With one worker, one bracket and the same seed, it trains the same configurations for the
    same number of epochs as ``tune.Tuner`` with this scheduler, ``BasicVariantGenerator(random_state=seed,
    max_concurrent=1)`` and a trainable without failures. With ``start_at_reference`` the reference
    configuration is that generator's ``points_to_evaluate``: the first to reach the first rung, in the bracket
    that the first trial draws.

    Surprises of the library:

    * This is the stopping variant of ASHA: a stopped trial never comes back. The first to
      arrive at a rung always goes on, so that the first trial of a study is always trained in full.
    * The result at full fidelity decides nothing, and a last rung there changes nothing.
    * A bracket too many has no rungs at all: its trials are all trained in full.
    * The scheduler draws brackets from numpy's global generator, which is isolated here, and which others
      also draw from in a ``tune.Tuner``: with several brackets, that can't be repeated there.
    * A failed trial ends there, by ``on_trial_error``: nothing is recorded at the rung that it did not reach, and
      what it reported before stays to be compared with. So does one that diverged, as of a trainable that raises where
      its loss is NaN: reported, a NaN would go on from every rung, because it isn't below any percentile.
    * A parameter that isn't active is drawn nevertheless, and dropped.

    Reference: L. Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020,
    arXiv:1810.05934. Defaults are those of Ray 2.60.
    """

    name = "raytune_asha"
    version: ClassVar[int] = 2
    libraries: ClassVar[dict[str, str]] = {"ray": "ray[tune]"}
    drops_inactive: ClassVar[bool] = True
    parallel: ClassVar[bool] = True
    multi_fidelity: ClassVar[bool] = True
    global_random: ClassVar[bool] = True
    learns: ClassVar[bool] = False

    class Settings(SearcherOptions):
        """Settings of ``AsyncHyperBandScheduler``, under its names; ``max_t`` is the task's full fidelity."""

        grace_period: int | None = Field(
            None, ge=1, description="epochs of the first rung; null: the task's lowest fidelity"
        )
        reduction_factor: int = Field(
            4, ge=2, description="how much further each rung is, and what part of the trials goes beyond"
        )
        brackets: int = Field(
            1, ge=1, description="number of brackets, each without the first rung of the last"
        )

    settings: Settings

    @classmethod
    def incompatibilities(cls, problem: Problem, budget: Budget, settings: Options) -> list[str]:
        """Refuse, besides, names with a slash, and a first rung that the task can't be trained for."""
        reasons = super().incompatibilities(problem, budget, settings) + nested_names(problem)
        fidelity = problem.fidelity
        if (
            isinstance(settings, cls.Settings)
            and settings.grace_period is not None
            and not fidelity.low <= settings.grace_period <= fidelity.high
        ):
            reasons.append(f"grace_period = {settings.grace_period} is outside {fidelity}")
        return reasons

    @classmethod
    def least_epochs(cls, problem: Problem, budget: Budget, settings: Options) -> int:
        """Return the first rung of the bracket that has all."""
        own = settings.grace_period if isinstance(settings, cls.Settings) else None
        return own or super().least_epochs(problem, budget, settings)

    def _start(self) -> None:
        import numpy as np
        from ray.tune.schedulers import AsyncHyperBandScheduler

        fidelity = self.problem.fidelity
        self._scheduler = AsyncHyperBandScheduler(
            time_attr=STEP,
            metric=LOSS,
            mode="min",
            max_t=fidelity.high,
            grace_period=self.settings.grace_period or fidelity.low,
            reduction_factor=self.settings.reduction_factor,
            brackets=self.settings.brackets,
        )
        self._domains = tune_domains(self.problem.space)
        self._generator = np.random.default_rng(self.seed)  # as `BasicVariantGenerator` makes it of a seed
        self._sampled = 0
        self._going_on: deque[Suggestion] = deque()

    def _ask(self) -> Suggestion:
        if self._going_on:
            return self._going_on.popleft()
        from ray.tune.search.variant_generator import generate_variants

        _, sample = next(generate_variants({"config": self._domains}, random_state=self._generator))
        return self._added(complete_config(self.problem.space, sample["config"]))

    def _ask_at(self, config: Config) -> Suggestion:
        return self._added(config)  # a complete one takes no random number in Ray Tune, either

    def _added(self, config: Config) -> Suggestion:
        """Return a new trial's suggestion, up to its first rung."""
        trial = _Trial(f"{self._sampled:08d}")
        self._sampled += 1
        self._scheduler.on_trial_add(None, trial)
        return Suggestion(config, epochs=self._next_rung(trial, 0), handle=trial)

    def _next_rung(self, trial: _Trial, epochs: int) -> int:
        """Return where a trial is compared next. The scheduler has no public way to ask for its rungs."""
        rungs = (milestone for milestone, _ in self._scheduler._trial_info[trial.trial_id]._rungs)
        return min((rung for rung in rungs if rung > epochs), default=self.problem.fidelity.high)

    def _tell(self, suggestion: Suggestion, loss: float) -> None:
        trial, epochs = suggestion.handle, suggestion.epochs
        assert epochs is not None  # noqa: S101 - always set by _ask
        result = {STEP: epochs, LOSS: loss}
        if self._scheduler.on_trial_result(None, trial, result) == self._scheduler.STOP:
            self._scheduler.on_trial_complete(None, trial, result)
            return
        self._going_on.append(
            Suggestion(
                suggestion.config,
                epochs=self._next_rung(trial, epochs),
                handle=trial,
                continues=suggestion,
            )
        )

    def _fail(self, suggestion: Suggestion, status: Status, loss: float) -> None:
        self._scheduler.on_trial_error(None, suggestion.handle)
