"""SMAC3's Hyperband, with configurations from its random forest, as continued trials."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from pydantic import Field

from harness.options import Options
from harness.searcher import Searcher, Suggestion
from harness.trial import Budget, Problem, Status
from searchers import _adapt, _configspace
from searchers.smac import SmacForestOptions, SmacSearcher, forest_of


class SmacHyperband(SmacSearcher):
    """Hyperband with a random forest that proposes, by SMAC3's ``MultiFidelityFacade``: a relative of BOHB.

    Brackets of successive halving, between ``min_budget`` and full fidelity R: each begins with a number of
    configurations at few epochs, of which the best 1 / ``eta`` are trained for ``eta`` times as many, and so on. The
    first bracket begins with random configurations, and the others with what the random forest of `SmacForest`
    proposes, fitted to the evaluations at the highest fidelity that any has reached.

    It proposes exactly what the facade's ask and tell do with the same seed, for a target function that trains
    ⌈budget⌉ epochs, as the library's example does, and goes on where an earlier evaluation of the same configuration
    ended: budgets of 1.85, 5.6, 16.7 and 50 (R = 50, ``eta`` = 3) are 2, 6, 17 and 50 epochs, of which those already
    trained are not trained, and not charged, again. Its users may as well train from scratch: the losses are the
    same. Each configuration has one seed, which is the facade's default; ``n_trials``, of which the initial random
    design takes a part, is the evaluations that the budget pays for, of epochs as the library's
    ``determine_hyperband_for_multifidelity`` counts them. With ``start_at_reference`` the reference configuration is
    the first one of the first bracket. A failed evaluation is told as ``StatusType.CRASHED`` or ``TIMEOUT``, with the
    task's failure value as ``crash_cost``.

    Surprises of the library, besides those of ``smac_forest``:

    * A failed configuration is promoted where too few of its round succeeded: it is then trained from the beginning
      again, as a new trial.
    * The model sees the highest fidelity only, as soon as one evaluation has reached it: few evaluations, for long.
    * Promoted configurations go before new ones. With several workers, a new bracket begins where the last one has to
      wait, and all of a bracket's configurations are chosen at once, with what is known then.
    * Of R = 81 and ``eta`` = 3, the brackets begin with 81, 34, 15, 8 and 5 configurations, as in the paper. The
      number of brackets comes of floating-point logarithms: R = 243 may have five, not six.
    * Where the space has no new configuration for a bracket, the search ends, and what was chosen for it is lost.

    References: L. Li et al., "Hyperband", Journal of Machine Learning Research 18 (2018) 1–52; S. Falkner, A. Klein
    and F. Hutter, "BOHB", ICML 2018; M. Lindauer et al., "SMAC3", Journal of Machine Learning Research 23 (2022) 1–9.
    Defaults are those of SMAC 2.4.
    """

    name = "smac_hyperband"
    multi_fidelity: ClassVar[bool] = True

    class Settings(SmacForestOptions):
        """Settings of ``MultiFidelityFacade``; ``max_budget`` is the task's full fidelity."""

        eta: int = Field(3, ge=2, description="how many times fewer trials, and more epochs, each round")
        min_budget: int | None = Field(
            None, ge=1, description="epochs of the first round, at least; null: the task's lowest fidelity"
        )

    settings: Settings

    @classmethod
    def incompatibilities(cls, problem: Problem, budget: Budget, settings: Options) -> list[str]:
        """Refuse, besides, fidelities without room for a round."""
        reasons = super().incompatibilities(problem, budget, settings)
        if isinstance(settings, cls.Settings):
            lowest = settings.min_budget or problem.fidelity.low
            reasons += _configspace.halving(problem.fidelity, "min_budget", lowest, settings.eta)
        return reasons

    @classmethod
    def least_epochs(cls, problem: Problem, budget: Budget, settings: Options) -> int:
        """Return the epochs of the first round of the first bracket, as the library computes them."""
        if not isinstance(settings, cls.Settings):
            return super().least_epochs(problem, budget, settings)
        import numpy as np

        low, high = settings.min_budget or problem.fidelity.low, problem.fidelity.high
        if low * settings.eta > high:
            return high
        rounds = np.floor(np.log(high / low) / np.log(settings.eta))
        return _epochs(high * float(np.power(settings.eta, -rounds)))

    def _facade(self) -> Any:
        from smac import MultiFidelityFacade

        return MultiFidelityFacade

    def _scenario(self) -> dict[str, Any]:
        from smac.intensifier.hyperband_utils import determine_hyperband_for_multifidelity

        low, high = self.settings.min_budget or self.problem.fidelity.low, self.problem.fidelity.high
        trials = self.budget.amount
        if self.budget.unit != "evaluations":
            epochs = self.budget.epochs(self.problem.fidelity)
            trials = determine_hyperband_for_multifidelity(epochs, low, high, self.settings.eta)["n_trials"]
        return {"n_trials": max(int(trials), 1), "min_budget": low, "max_budget": high}

    def _parts(self, facade: Any, scenario: Any) -> dict[str, Any]:
        return {
            "model": forest_of(facade, scenario, self.settings),
            "intensifier": facade.get_intensifier(scenario, eta=self.settings.eta),
        }

    def _start(self) -> None:
        super()._start()
        self._reached: dict[Any, Suggestion] = {}
        """The last suggestion of each configuration that can be continued."""

    def _suggested(self, info: Any) -> Suggestion:
        before = self._reached.get(info.config)
        config = super()._suggested(info).config if before is None else before.config
        return Suggestion(config, epochs=_epochs(info.budget), handle=info, continues=before)

    def _tell(self, suggestion: Suggestion, loss: float) -> None:
        super()._tell(suggestion, loss)
        if suggestion.handle is not None:
            self._reached[suggestion.handle.config] = suggestion

    def _fail(self, suggestion: Suggestion, status: Status, loss: float) -> None:
        super()._fail(suggestion, status, loss)
        if suggestion.handle is not None:
            self._reached.pop(suggestion.handle.config, None)

    _take, _take_failed = (
        Searcher._take,
        Searcher._take_failed,
    )  # a trial is of a bracket and a round, which it does not show


def _epochs(budget: float) -> int:
    """Return the whole epochs of one of the library's budgets, which come with rounding errors."""
    return math.ceil(budget * (1 - _adapt.ROUNDING))
