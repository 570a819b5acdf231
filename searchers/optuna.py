"""Optuna's samplers: the tree-structured Parzen estimator."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from pydantic import Field, model_validator

from harness.options import Options
from harness.searcher import Searcher, Suggestion
from harness.space import Choice, Float, Scalar
from harness.trial import Budget, Problem
from searchers import _adapt


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Optuna's log below warnings, leaving the verbosity as the user set it afterwards."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(max(level, logging.WARNING))
    try:
        yield
    finally:
        logger.setLevel(level)


class _OptunaSearcher(Searcher):
    """A single-objective, in-memory Optuna study behind ask and tell.

    `Study.optimize` is a loop of `Study.ask`, the objective's suggest calls, and `Study.tell`. This is
    the same loop with the objective's suggest calls made in the space's order, define-by-run: a
    conditional parameter is suggested only where it is active.

    Categories are given to Optuna as their positions, because it looks categories up with ``==``,
    which takes ``1``, ``1.0`` and ``True`` for the same; its samplers use the position only.
    """

    libraries: ClassVar[dict[str, str]] = {"optuna": "optuna"}
    conditional: ClassVar[bool] = True
    parallel: ClassVar[bool] = True

    def _sampler(self) -> Any:
        """Return the Optuna sampler, seeded."""
        raise NotImplementedError

    def _start(self) -> None:
        import optuna

        with _quiet(), _adapt.ignored_warnings(optuna.exceptions.ExperimentalWarning):
            self._study = optuna.create_study(sampler=self._sampler(), direction="minimize")
            if getattr(self.settings, "start_at_reference", False):
                self._study.enqueue_trial(self._encoded(_adapt.reference(self.problem)))

    def _encoded(self, config: dict[str, Scalar]) -> dict[str, Scalar]:
        domains = self.problem.space.parameters
        return {
            name: domain.index(value) if isinstance(domain := domains[name], Choice) else value
            for name, value in config.items()
        }

    def _ask(self) -> Suggestion:
        trial = self._study.ask()
        config: dict[str, Scalar] = {}
        for name, domain in self.problem.space.parameters.items():
            if not self.problem.space.is_active(name, config):
                continue
            if isinstance(domain, Choice):
                config[name] = domain.values[trial.suggest_categorical(name, range(len(domain.values)))]
            elif isinstance(domain, Float):
                value = trial.suggest_float(name, domain.low, domain.high, log=domain.log)
                config[name] = _adapt.clipped(domain, value)
            else:
                config[name] = trial.suggest_int(name, domain.low, domain.high, log=domain.log)
        return Suggestion(config, handle=trial)

    def _tell(self, suggestion: Suggestion, loss: float) -> None:
        self._study.tell(suggestion.handle, loss)


class OptunaTPE(_OptunaSearcher):
    """Tree-structured Parzen estimator, by Optuna's ``TPESampler``.

    The best of the finished trials and the rest are each modelled by a mixture of Gaussians (of
    categorical weights, for categories), l(x) and g(x). Of ``n_ei_candidates`` draws from l, the
    one with the largest l(x) / g(x) is proposed. The first ``n_startup_trials`` are random.

    It proposes exactly what ``Study.optimize`` does with the same seed. Trials asked while others
    are running see these through Optuna's constant liar, which takes them for bad ones.

    Surprises of the library:

    * Since Optuna 5.0, a ``multivariate`` that isn't set means true for a single objective, and
      ``constant_liar`` is on. Studies published with earlier versions had both off: set
      ``multivariate: false`` to compare with these.
    * A multivariate model covers the parameters that *every* trial so far had. In a conditional space
      the others are modelled one by one, unless ``group`` is set.
    * Integers on a log scale are modelled continuously between low - 0.5 and high + 0.5.
    * A value on a log scale can come out a rounding error above its bound; it is evaluated at the
      bound, while Optuna remembers its own number.

    References: J. Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011;
    S. Falkner et al., "BOHB", ICML 2018 (multivariate); S. Watanabe, "Tree-Structured Parzen
    Estimator: Understanding Its Algorithm Components and Their Roles for Better Empirical
    Performance", arXiv:2304.11127. Defaults are those of Optuna 5.0.
    """

    name = "optuna_tpe"

    class Settings(Options):
        """Settings of Optuna's TPE; each has the name and the default of `TPESampler`'s argument."""

        n_startup_trials: int = Field(10, ge=0, description="random trials before the model is used")
        n_ei_candidates: int = Field(24, ge=1, description="draws from l(x) that compete for each proposal")
        multivariate: bool | None = Field(
            None, description="model parameters jointly; null leaves it to Optuna, which does so since 5.0"
        )
        group: bool = Field(
            False,
            description="in conditional spaces, model jointly each set of parameters that occur together",
        )
        constant_liar: bool = Field(True, description="take running trials for bad ones")
        start_at_reference: bool = Field(
            False, description="begin with the space's first reference configuration (`enqueue_trial`)"
        )

        @model_validator(mode="after")
        def _group_is_multivariate(self) -> OptunaTPE.Settings:
            if self.group and self.multivariate is False:
                raise ValueError("group: true needs multivariate: true (or null)")
            return self

    settings: Settings

    @classmethod
    def incompatibilities(cls, problem: Problem, budget: Budget, settings: Options) -> list[str]:
        """Refuse, besides, to start at a reference configuration that the space doesn't have."""
        reasons = super().incompatibilities(problem, budget, settings)
        if isinstance(settings, cls.Settings) and settings.start_at_reference:
            reasons += _adapt.missing_reference(problem)
        return reasons

    def _sampler(self) -> Any:
        import optuna

        options = self.settings.model_dump(exclude={"start_at_reference"})
        return optuna.samplers.TPESampler(seed=self.seed, **options)
