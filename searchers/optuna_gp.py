"""Optuna's Gaussian-process sampler, for those who install PyTorch."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from harness.searcher import FailureOptions
from searchers.optuna import OptunaSearcher


class OptunaGP(OptunaSearcher):
    """Bayesian optimisation with a Gaussian process, by Optuna's ``GPSampler``.

    After random startup trials, a Gaussian process (Matérn 5/2, a length scale for each parameter,
    categories compared by equality) is fitted to all finished trials, its hyperparameters at their
    maximum a posteriori. The maximiser of log expected improvement is proposed, found by gradient
    ascent on real parameters and by search over the values of the others.

    It proposes exactly what ``Study.optimize`` does with the same seed, for an objective that
    suggests every parameter: those that are conditional are searched as if they were always active,
    and dropped from a proposal where they aren't. (Left out, Optuna would draw them at random.) With
    ``start_at_reference`` the reference configuration is enqueued, and is one of the startup trials. A failed
    evaluation is told as a failed trial, from which it learns nothing.

    It needs PyTorch and greenlet, which this project does not install: ``pip install 'hpo-derby[optuna-gp]'``,
    of PyTorch the version for processors. Numbers may differ between versions of PyTorch.

    Surprises of the library:

    * Losses are standardised but not otherwise transformed, so that with ``on_failure: impute`` the loss of
      failed evaluations, if it is far from the others, flattens all that the model sees.
    * With several workers, running trials are taken into account by a quasi-Monte Carlo
      estimate (qLogEI): proposals cost more, and differ from those of one worker.
    * Without greenlet, it would optimise one starting point after another instead of all at once,
      with other rounding errors, and so other proposals: hence it is required here.
    * It uses the processor, whatever device PyTorch's default is, and one thread.

    References: S. Ament et al., "Unexpected Improvements to Expected Improvement for Bayesian
    Optimization", NeurIPS 2023; "Batch Acquisition Function Evaluations and Decouple
    Optimizer Updates for Faster Bayesian Optimization", arXiv:2511.13625. Defaults are those of
    Optuna 5.0.
    """

    name = "optuna_gp"
    libraries: ClassVar[dict[str, str]] = {"optuna": "optuna", "torch": "torch", "greenlet": "greenlet"}
    conditional: ClassVar[bool] = False
    drops_inactive: ClassVar[bool] = True

    class Settings(FailureOptions):
        """Settings of Optuna's Gaussian process, under the names of `GPSampler`'s arguments."""

        n_startup_trials: int = Field(10, ge=0, description="random trials before the model is used")
        deterministic_objective: bool = Field(False, description="take losses for free of noise")

    settings: Settings

    def _sampler(self) -> Any:
        import optuna

        return optuna.samplers.GPSampler(seed=self.seed, **self.settings.own())
