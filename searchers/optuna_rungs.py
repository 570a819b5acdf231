"""Optuna's pruners, decided at rungs: asynchronous successive halving and Hyperband."""

from __future__ import annotations

import math
from collections import deque
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from harness.options import Options
from harness.searcher import FailureOptions, Searcher, Suggestion
from harness.trial import Budget, Problem, Status
from searchers.optuna import OptunaSearcher, TPEOptions


class _PrunerOptions(FailureOptions):
    """What the pruners have in common; each has the name of the pruner's argument."""

    reduction_factor: int = Field(
        4, ge=2, description="how many times fewer trials, and more epochs, in each further rung"
    )
    min_resource: int | None = Field(
        None, ge=1, description="epochs of the lowest rung; null: the task's lowest fidelity"
    )
    bootstrap_count: int = Field(
        0, ge=0, description="how many of a rung's trials, the first to reach it, are always pruned there"
    )
    sampler: Literal["tpe", "random"] = Field("tpe", description="what proposes new configurations")

    def lowest(self, problem: Problem) -> int:
        """Return the epochs of the lowest rung."""
        return problem.fidelity.low if self.min_resource is None else self.min_resource


class _RungOptions(TPEOptions, _PrunerOptions):
    """The pruner's settings, and those of its sampler."""

    @model_validator(mode="after")
    def _sampler_has_these(self) -> Self:
        if self.sampler != "tpe":
            for name, field in TPEOptions.model_fields.items():
                if getattr(self, name) != field.default:
                    raise ValueError(f"{name} is a setting of sampler: tpe, and sampler is {self.sampler}")
        return self


class _OptunaRungs(OptunaSearcher):
    """An Optuna study whose pruner decides, at each rung of epochs, whether a trial goes on.

    A trial is proposed up to its first rung. Its loss there is reported to Optuna, with the number
    of epochs trained as the step, and the pruner asked: a pruned trial is finished, any other is
    proposed again up to its next rung, ``reduction_factor`` times as many epochs, and at last to
    full fidelity, where it is finished without asking the pruner. It is, trial by trial, what
    ``Study.optimize`` does with this objective::

        for epoch in range(1, full + 1):
            loss = train one more epoch
            trial.report(loss, epoch)
            if epoch < full and trial.should_prune():
                raise optuna.TrialPruned
        return loss

    The pruners decide at rungs only, so that an objective that reports at rungs only gives the same.

    Trials to be continued go before new ones, in the order in which they were told: with several
    workers, whichever is free takes the one that has waited longest. A trial is compared with those
    that reached its rung before it, be they finished or running; none waits for others, and none that
    was pruned comes back.

    A failed evaluation ends its trial, as it would end it there. Of one that diverged, NaN is reported, and the
    pruner prunes it at this rung (at full fidelity, where it isn't asked, the trial has failed). One that crashed
    or ran into the deadline is a failed trial, as of an objective that raises what ``catch`` names. With
    ``on_failure: impute`` both are pruned with the task's failure value as what was reported, and at full
    fidelity finished with it.
    """

    multi_fidelity: ClassVar[bool] = True

    settings: _RungOptions

    _take, _take_failed = (
        Searcher._take,
        Searcher._take_failed,
    )  # a trial is of a rung, and perhaps a bracket, which it does not show

    @classmethod
    def _first_rung(cls, problem: Problem, settings: _RungOptions) -> int:
        """Return the lowest rung, in epochs, at which any trial is compared."""
        return settings.lowest(problem)

    def _first_epochs(self, trial: Any) -> int:
        """Return the first rung of a new trial, in epochs."""
        raise NotImplementedError

    @classmethod
    def incompatibilities(cls, problem: Problem, budget: Budget, settings: Options) -> list[str]:
        """Refuse, besides, a range of fidelities without room for a rung below full fidelity."""
        reasons = super().incompatibilities(problem, budget, settings)
        if isinstance(settings, _RungOptions):
            fidelity, lowest = problem.fidelity, settings.lowest(problem)
            first = cls._first_rung(problem, settings)
            if lowest < fidelity.low:
                reasons.append(
                    f"min_resource is {lowest}, and the task needs {fidelity.low} "
                    f"epoch{'s' * (fidelity.low != 1)} at least"
                )
            if first >= fidelity.high:
                reasons.append(
                    f"there is nothing to halve: its first rung is at {first} epoch{'s' * (first != 1)}, and full "
                    f"fidelity is {fidelity.high}"
                )
        return reasons

    @classmethod
    def least_epochs(cls, problem: Problem, budget: Budget, settings: Options) -> int:
        """Return the lowest rung."""
        if not isinstance(settings, _RungOptions):
            return super().least_epochs(problem, budget, settings)
        return min(cls._first_rung(problem, settings), problem.fidelity.high)

    def _sampler(self) -> Any:
        import optuna

        if self.settings.sampler == "random":
            return optuna.samplers.RandomSampler(seed=self.seed)
        options = self.settings.model_dump(include=set(TPEOptions.model_fields))
        return optuna.samplers.TPESampler(seed=self.seed, **options)

    def _start(self) -> None:
        super()._start()
        self._going_on: deque[Suggestion] = deque()

    def _ask(self) -> Suggestion:
        full = self.problem.fidelity.high
        if self._going_on:
            before = self._going_on.popleft()
            assert before.epochs is not None  # noqa: S101 - always given, below
            epochs = min(before.epochs * self.settings.reduction_factor, full)
            return Suggestion(before.config, epochs=epochs, handle=before.handle, continues=before)
        trial = self._study.ask()
        config = self._suggested(trial)
        return Suggestion(config, epochs=min(self._first_epochs(trial), full), handle=trial)

    def _tell(self, suggestion: Suggestion, loss: float) -> None:
        import optuna

        trial = suggestion.handle
        trial.report(loss, suggestion.epochs)
        if suggestion.epochs == self.problem.fidelity.high:
            self._study.tell(trial, loss)
        elif trial.should_prune():
            self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            self._going_on.append(suggestion)

    def _fail(self, suggestion: Suggestion, status: Status, loss: float) -> None:
        import optuna

        trial, states = suggestion.handle, optuna.trial.TrialState
        at_full = suggestion.epochs == self.problem.fidelity.high
        if self.imputes:
            trial.report(loss, suggestion.epochs)
            self._study.tell(trial, loss if at_full else None, None if at_full else states.PRUNED)
        elif status is Status.DIVERGED:
            trial.report(math.nan, suggestion.epochs)
            pruned = not at_full and trial.should_prune()
            self._study.tell(trial, state=states.PRUNED if pruned else states.FAIL)
        else:
            self._study.tell(trial, state=states.FAIL)


class OptunaSHA(_OptunaRungs):
    """Asynchronous successive halving, by Optuna's ``SuccessiveHalvingPruner``.

    The rungs are at r, r η, r η², … epochs, below full fidelity R, with r = ``min_resource`` ·
    η^``min_early_stopping_rate`` and η = ``reduction_factor``. A trial goes on from a rung where its
    loss is among the best 1/η of those that were reported there, itself included, and is pruned
    otherwise. New configurations are proposed by TPE (see `OptunaTPE`, whose settings it shares) or
    at random. With r = 1, η = 3 and R = 81, the rungs are at 1, 3, 9 and 27 epochs, and what is left
    is trained for 81.

    It proposes exactly what ``Study.optimize`` does with the same seed and one worker, for the
    objective in `_OptunaRungs`. With ``start_at_reference`` the reference configuration is enqueued: the
    first to reach the first rung. A trial whose evaluation diverged is pruned, one that crashed or ran into the
    deadline has failed; neither goes on.

    Surprises of the library:

    * A trial's fate is decided when it reaches a rung, and for good. Of the first η - 1 in a rung, each that
      is the best so far goes on: the very first trial is always trained in full, if ``bootstrap_count``
      is 0.
    * Losses that tie with the last of the best go on, too: where all are the same, all trials go on.
    * A trial that diverged counts for TPE, as the worst of those that reached as far; one that crashed or ran
      into the deadline doesn't, but what it reported at lower rungs stays to be compared with.
    * TPE learns from pruned trials as well as finished ones. It ranks any finished trial above any
      pruned one, and pruned ones by their epochs first, and their last loss second.
    * Optuna's ``min_resource: "auto"``, which guesses the lowest rung from the first finished trial
      and prunes nothing until then, is left out; the task says what its lowest fidelity is.
    * Steps count from 1 here: a rung of 9 is decided after nine epochs. In an objective whose first
      epoch is step 0, Optuna decides one epoch later.

    References: L. Li et al., "A System for Massively Parallel Hyperparameter Tuning" (ASHA), MLSys
    2020; K. Jamieson and A. Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter
    Optimization", AISTATS 2016; T. Akiba et al., "Optuna", KDD 2019. Defaults are those of Optuna 5.0,
    but for ``min_resource``.
    """

    name = "optuna_sha"

    class Settings(_RungOptions):
        """Settings of ``SuccessiveHalvingPruner`` and of the sampler."""

        min_early_stopping_rate: int = Field(
            0, ge=0, description="how many of the lowest rungs are passed without a decision"
        )

    settings: Settings

    @classmethod
    def _first_rung(cls, problem: Problem, settings: _RungOptions) -> int:
        assert isinstance(settings, cls.Settings)  # noqa: S101 - what the class declares
        skipped: int = settings.reduction_factor**settings.min_early_stopping_rate
        return settings.lowest(problem) * skipped

    def _first_epochs(self, trial: Any) -> int:
        return self._first_rung(self.problem, self.settings)

    def _pruner(self) -> Any:
        import optuna

        return optuna.pruners.SuccessiveHalvingPruner(
            min_resource=self.settings.lowest(self.problem),
            reduction_factor=self.settings.reduction_factor,
            min_early_stopping_rate=self.settings.min_early_stopping_rate,
            bootstrap_count=self.settings.bootstrap_count,
        )


class OptunaHyperband(_OptunaRungs):
    """Asynchronous Hyperband, by Optuna's ``HyperbandPruner``; with TPE, a relative of BOHB.

    Each trial belongs to one of the brackets s = 0, 1, …, ⌊log_η(R / r)⌋, with η = ``reduction_factor``,
    r = ``min_resource`` and R full fidelity. Bracket s is a successive halving of its own (see
    `OptunaSHA`) whose first rung is at r ηˢ epochs. With r = 1, η = 3 and R = 81, the five brackets
    begin at 1, 3, 9, 27 and 81 epochs; the last trains in full at once.

    It proposes exactly what ``Study.optimize`` does with the same seed and one worker, for the
    objective in `_OptunaRungs`, in a study called ``optuna_hyperband-SEED``. With
    ``start_at_reference`` the reference configuration is enqueued: it is the first trial, in the bracket that
    the first trial draws. Failures end a trial as in `OptunaSHA`.

    Surprises of the library:

    * There is no schedule as in the paper, where one bracket of a fixed size follows another, and a round
      is complete before its best go on. A trial's bracket is drawn by a hash of the study's name and the
      trial's number, in proportion to the sizes with which the paper's brackets begin: 81, 34, 15, 8 and 5 for
      the five above. The name holds the seed, so that repetitions differ. What goes on is decided by
      the rule of `OptunaSHA`, which is more than 1/η where few have come before.
    * The number of brackets is computed from floating-point logarithms: r = 1, η = 3 and R = 243
      give five brackets, not six, and none begins at full fidelity.
    * Despite its documentation, TPE in Optuna 5.0 models all brackets' trials together, so that
      ``n_startup_trials`` counts all of them, too.
    * What is said of `OptunaSHA` holds in each bracket: decisions are made at once and for good.

    References: L. Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter
    Optimization", Journal of Machine Learning Research 18 (2018) 1–52; S. Falkner et al., "BOHB",
    ICML 2018; T. Akiba et al., "Optuna", KDD 2019. Defaults are those of Optuna 5.0, but for
    ``min_resource``, and for ``max_resource``, which is full fidelity.
    """

    name = "optuna_hyperband"

    class Settings(_RungOptions):
        """Settings of ``HyperbandPruner`` and of the sampler."""

        reduction_factor: int = Field(
            3, ge=2, description="how many times fewer trials, and more epochs, in each further rung"
        )

    settings: Settings

    def _pruner(self) -> Any:
        import optuna

        return optuna.pruners.HyperbandPruner(
            min_resource=self.settings.lowest(self.problem),
            max_resource=self.problem.fidelity.high,
            reduction_factor=self.settings.reduction_factor,
            bootstrap_count=self.settings.bootstrap_count,
        )

    def _start(self) -> None:
        super()._start()
        # The library sets its brackets up when it is first asked to prune. Until then, every trial counts as
        # one of bracket 0; here, the bracket must be known when a trial is proposed.
        self._study.pruner._try_initialization(self._study)

    def _first_epochs(self, trial: Any) -> int:
        bracket = self._study.pruner._get_bracket_id(self._study, trial)
        first: int = self.settings.lowest(self.problem) * self.settings.reduction_factor**bracket
        return first
