"""hyperopt's algorithms: the tree-structured Parzen estimator, annealing, and random search."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, ClassVar

from pydantic import Field

from harness.options import Options
from harness.searcher import Searcher, SearcherOptions, Suggestion
from harness.space import Choice, Config, Float, Int, Scalar
from harness.trial import Budget, Problem
from searchers import _adapt


class _HyperoptSearcher(Searcher):
    """hyperopt's ``fmin``, opened up between proposing and evaluating.

    Parameters become what hyperopt's documentation advises: ``hp.uniform``, ``hp.loguniform``,
    ``hp.uniformint``, ``hp.qloguniform`` in steps of 1, and ``hp.choice``; a conditional parameter is
    part of those options of its parent's ``hp.choice`` under which it is active. Parameters with a
    single possible value are kept out of the library, which refuses them.

    Surprises that all of its algorithms share:

    * A whole number is a rounded real one from [low, high]: the two ends are drawn half as often as
      the others.
    * A running trial counts as one with an infinite loss, towards the number of start-up trials, too.

    A starting point is given as ``points_to_evaluate``, which counts as one of the start-up trials.
    """

    libraries: ClassVar[dict[str, str]] = {"hyperopt": "hyperopt"}
    conditional: ClassVar[bool] = True
    parallel: ClassVar[bool] = True

    @classmethod
    def incompatibilities(cls, problem: Problem, budget: Budget, settings: Options) -> list[str]:
        """Refuse, besides, conditions on anything but a `Choice`, and to start at no reference."""
        reasons = super().incompatibilities(problem, budget, settings)
        parameters = problem.space.parameters
        reasons += [
            f"parameter {name!r} depends on {condition.parent!r}, and only a Choice can have dependents"
            for name, condition in problem.space.conditions.items()
            if not isinstance(parameters[condition.parent], Choice)
        ]
        return reasons

    def _algorithm(self) -> Any:
        """Return the library's ``suggest`` function with its settings."""
        raise NotImplementedError

    def _start(self) -> None:
        import numpy as np
        from hyperopt import Trials
        from hyperopt.base import Domain

        self._labels: list[str] = []
        tree = {name: self._node(name) for name in self._dependents(None)}
        self._labels = list(dict.fromkeys(self._labels))
        if not self._labels:  # the space is a single point
            return
        self._suggest = self._algorithm()
        self._domain = Domain(lambda config: 0.0, tree)
        self._trials_seen = Trials()
        self._generator = np.random.default_rng(self.seed)

    def _dependents(self, parent: str | None, value: Scalar | None = None) -> list[str]:
        """Return the parameters active because of a parent's value (or always), seen through fixed ones."""
        found: list[str] = []
        for name, domain in self.problem.space.parameters.items():
            condition = self.problem.space.conditions.get(name)
            if (condition.parent if condition else None) != parent:
                continue
            if condition is not None and parent is not None and not condition.holds({parent: value}):  # type: ignore[dict-item]
                continue
            if domain.size == 1:
                found += self._dependents(name, domain.grid(1)[0])
            else:
                found.append(name)
        return found

    def _node(self, name: str) -> Any:
        """Return a parameter's part of the library's search space."""
        from hyperopt import hp
        from hyperopt.pyll import scope

        domain = self.problem.space.parameters[name]
        self._labels.append(name)
        if isinstance(domain, Float):
            if domain.log:
                return hp.loguniform(name, math.log(domain.low), math.log(domain.high))
            return hp.uniform(name, domain.low, domain.high)
        if isinstance(domain, Int):
            if domain.log:
                return scope.int(hp.qloguniform(name, math.log(domain.low), math.log(domain.high), 1))
            return hp.uniformint(name, domain.low, domain.high)
        nodes: dict[str, Any] = {}  # one node per parameter, also where it is part of several options
        options: list[Any] = []
        for i, value in enumerate(domain.values):
            dependents = self._dependents(name, value)
            for child in dependents:
                if child not in nodes:
                    nodes[child] = self._node(child)
            options.append({name: i, **{child: nodes[child] for child in dependents}} if dependents else i)
        return hp.choice(name, options)

    def _ask(self) -> Suggestion:
        if not self._labels:
            return self._taken(None)
        trials = self._trials_seen
        new_ids = trials.new_trial_ids(1)
        trials.refresh()
        seed = self._generator.integers(2**31 - 1)
        return self._taken(self._suggest(new_ids, self._domain, trials, seed))

    def _ask_at(self, config: Config) -> Suggestion:
        return self._given(0, config)

    def _take(self, config: Config, loss: float) -> None:
        """Insert a finished trial into `Trials`."""
        number = self._trials_seen.new_trial_ids(1)[0] if self._labels else 0
        self._tell(self._given(number, config), loss)

    def _given(self, number: int, config: Config) -> Suggestion:
        """Return the suggestion of a trial that the library did not propose."""
        from hyperopt.fmin import generate_trial

        if not self._labels:
            return self._taken(None)
        parameters = self.problem.space.parameters
        point = {k: _adapt.encoded(parameters[k], config[k]) for k in self._labels if k in config}
        trial = generate_trial(number, point)  # what `points_to_evaluate` becomes
        for name in set(self._labels) - set(point):  # it forgets inactive parameters
            trial["misc"]["idxs"][name] = trial["misc"]["vals"][name] = []
        return self._taken([trial])

    def _taken(self, documents: Any) -> Suggestion:
        """Return the suggestion of a new trial, given as the library's documents; ``None``: nothing to search."""
        parameters = self.problem.space.parameters
        values: dict[str, Any] = {k: d.grid(1)[0] for k, d in parameters.items() if d.size == 1}
        if documents is None:
            return Suggestion(self.problem.space.active_part(values))
        trials = self._trials_seen
        trials.insert_trial_docs(documents)
        trials.refresh()
        trial = trials.trials[-1]
        trial["state"] = 1  # running
        for name, drawn in trial["misc"]["vals"].items():
            if drawn:
                values[name] = _decoded(parameters[name], drawn[0])
        return Suggestion(self.problem.space.active_part(values), handle=trial)

    def _tell(self, suggestion: Suggestion, loss: float) -> None:
        if suggestion.handle is not None:
            suggestion.handle["state"] = 2  # done
            suggestion.handle["result"] = {"loss": loss, "status": "ok"}
            self._trials_seen.refresh()


def _decoded(domain: Float | Int | Choice, value: Any) -> Scalar:
    if isinstance(domain, Choice):
        return domain.values[int(value)]
    return _adapt.clipped(domain, float(value)) if isinstance(domain, Float) else int(value)


class HyperoptTPE(_HyperoptSearcher):
    """Tree-structured Parzen estimator, by hyperopt's ``tpe.suggest``: the original implementation.

    The best of the finished trials, gamma · √n of them, and the rest are each modelled, one parameter
    at a time, by a mixture of Gaussians (of counts, for categories), l(x) and g(x). Of
    ``n_EI_candidates`` draws from l, the one with the largest l(x) / g(x) is proposed. Losses of old trials
    are forgotten linearly. The first ``n_startup_jobs`` are random.

    It proposes exactly what ``fmin`` does with ``rstate=numpy.random.default_rng(seed)``, and with
    ``start_at_reference`` the reference configuration as ``points_to_evaluate``: a start-up trial.

    Surprises of the library, besides those of all its algorithms (whole numbers at the ends of their
    range are drawn half as often; running trials count as infinitely bad): parameters are modelled
    independently of each other, and at most 25 trials ever count as good.

    Reference: J. Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011;
    J. Bergstra, D. Yamins and D. Cox, "Making a Science of Model Search", ICML 2013. Defaults are
    those of hyperopt 0.3.
    """

    name = "hyperopt_tpe"

    class Settings(SearcherOptions):
        """Settings of ``tpe.suggest``, under its names."""

        n_startup_jobs: int = Field(20, ge=1, description="random trials before the model is used")
        n_EI_candidates: int = Field(  # noqa: N815 - the library's name
            24, ge=1, description="draws from l(x) that compete for each proposal"
        )
        gamma: float = Field(0.25, gt=0, description="gamma · √n trials count as good")
        prior_weight: float = Field(1.0, gt=0, description="weight of the prior in each mixture")

    settings: Settings

    def _algorithm(self) -> Any:
        from hyperopt import tpe

        return partial(tpe.suggest, verbose=False, **self.settings.own())


class HyperoptAnneal(_HyperoptSearcher):
    """Annealing, by hyperopt's ``anneal.suggest``.

    A draw near one of the best trials: its rank is geometric with mean ``avg_best_idx``, and the width
    around it is that of the prior divided by 1 + ``shrink_coef`` · n. There is no temperature.

    It proposes exactly what ``fmin`` does with ``rstate=numpy.random.default_rng(seed)``, and with
    ``start_at_reference`` the reference configuration as ``points_to_evaluate``. Whole numbers at the ends of
    their range are drawn half as often as others.

    Reference: J. Bergstra, hyperopt's ``anneal.py``. Defaults are those of hyperopt 0.3.
    """

    name = "hyperopt_anneal"

    class Settings(SearcherOptions):
        """Settings of ``anneal.suggest``, under its names."""

        avg_best_idx: float = Field(2.0, ge=1, description="mean rank of the trial to draw near")
        shrink_coef: float = Field(0.1, ge=0, description="how fast the neighbourhood narrows")

    settings: Settings

    def _algorithm(self) -> Any:
        from hyperopt import anneal

        return partial(anneal.suggest, **self.settings.own())


class HyperoptRandom(_HyperoptSearcher):
    """Random search, by hyperopt's ``rand.suggest``: each trial has a generator of its own.

    It proposes exactly what ``fmin`` does with ``rstate=numpy.random.default_rng(seed)``, and with
    ``start_at_reference`` the reference configuration as ``points_to_evaluate``. Whole numbers are rounded
    reals, those at the ends of their range drawn half as often: not quite what ``random`` does.

    Reference: J. Bergstra and Y. Bengio, "Random Search for Hyper-Parameter Optimization", 2012.
    """

    name = "hyperopt_random"
    learns: ClassVar[bool] = False

    def _algorithm(self) -> Any:
        from hyperopt import rand

        return rand.suggest
