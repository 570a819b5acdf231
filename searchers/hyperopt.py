"""hyperopt's algorithms: the tree-structured Parzen estimator, annealing, and random search."""

from __future__ import annotations

import math
from collections import deque
from functools import partial
from typing import Any, ClassVar

from pydantic import Field

from harness.options import Options
from harness.searcher import FailureOptions, Searcher, Suggestion
from harness.space import Choice, Config, Float, Int, Scalar
from harness.trial import Budget, Problem, Status
from searchers import _adapt


class _HyperoptSearcher(Searcher):
    """hyperopt's ``fmin``, opened up between proposing and evaluating.

    Parameters become what hyperopt's documentation advises: ``hp.uniform``, ``hp.loguniform``,
    ``hp.uniformint``, ``hp.qloguniform`` in steps of 1, and ``hp.choice``; a conditional parameter is
    part of those options of its parent's ``hp.choice`` under which it is active. A number with a single
    possible value is kept out of the library, which refuses it; an ``hp.choice`` may have one option.

    Surprises that all of its algorithms share:

    * A whole number is a rounded real one from [low, high]: the two ends are drawn half as often as
      the others.
    * A failed trial counts as one with an infinite loss, towards the number of start-up trials, too. So does, for TPE,
      one that waits in the queue.
    * In a queue of several, the first new trial has the number of a given starting point: TPE then knows only the
      better of the two.

    A starting point is given as ``points_to_evaluate``, which counts as one of the start-up trials.

    A failed evaluation is a trial of status ``fail`` (``STATUS_FAIL``), which is how an objective says that it is not
    defined at a point.

    With several workers it is ``fmin`` with ``max_queue_len`` as many: the queue is filled, all of it is evaluated,
    and then it is filled again, from one seed for as many trials as the algorithm makes of it. A worker that is done
    before the others of its generation waits.
    """

    version: ClassVar[int] = 2
    batched: ClassVar[bool] = True
    """Whether the library's ``suggest`` takes several new trials at a time."""
    libraries: ClassVar[dict[str, str]] = {"hyperopt": "hyperopt"}
    conditional: ClassVar[bool] = True
    parallel: ClassVar[bool] = True

    @classmethod
    def incompatibilities(cls, problem: Problem, budget: Budget, settings: Options) -> list[str]:
        """Refuse, besides, conditions on anything but a `Choice`, and to start at no reference."""
        return super().incompatibilities(problem, budget, settings) + _adapt.only_choices_have_dependents(
            problem.space
        )

    def _algorithm(self) -> Any:
        """Return the library's ``suggest`` function with its settings."""
        raise NotImplementedError

    def _start(self) -> None:
        import numpy as np
        from hyperopt import Trials
        from hyperopt.base import Domain

        self._fixed = _adapt.constants(self.problem.space)
        self._labels: list[str] = []
        tree = {name: self._node(name) for name in self._dependents(None)}
        self._labels = list(dict.fromkeys(self._labels))
        self._queue: deque[Any] = deque()
        self._running = 0
        if not self._labels:  # the space is a single point
            return
        self._suggest = self._algorithm()
        self._domain = Domain(lambda config: 0.0, tree)
        self._trials_seen = Trials()
        self._generator = np.random.default_rng(self.seed)

    def _dependents(self, parent: str | None, value: Scalar | None = None) -> list[str]:
        """Return the parameters to search that are active because of a parent's value, or always."""
        names = _adapt.dependents(self.problem.space, parent, value)
        return [name for name in names if name not in self._fixed]

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

    def _ask(self) -> Suggestion | None:
        if not self._labels:
            return Suggestion(self.problem.space.active_part(self._fixed))
        if not self._queue:
            if self._running:
                return None  # the generation is not complete
            self._fill_queue()
        return self._next()

    def _next(self) -> Suggestion:
        """Return the suggestion of the trial that has waited longest in the queue."""
        trial = self._queue.popleft()
        trial["state"] = 1  # running
        self._running += 1
        return self._suggestion(trial)

    def _fill_queue(self) -> None:
        """Fill the queue as ``fmin`` does, up to as many trials as there are workers."""
        trials = self._trials_seen
        while len(self._queue) < self.workers:
            new_ids = trials.new_trial_ids(self.workers - len(self._queue) if self.batched else 1)
            trials.refresh()
            seed = self._generator.integers(2**31 - 1)
            self._insert(self._suggest(new_ids, self._domain, trials, seed))

    def _insert(self, documents: Any) -> None:
        """Add new trials to the library's, and to the queue."""
        trials = self._trials_seen
        trials.insert_trial_docs(documents)
        trials.refresh()
        self._queue += trials.trials[-len(documents) :]

    def _ask_at(self, config: Config) -> Suggestion | None:
        if self._labels:
            trials = self._trials_seen
            trials.insert_trial_docs([self._given(0, config)])
            self._queue.append(trials._dynamic_trials[-1])
            self._fill_queue()  # not refreshed before: the library, too, gives the number 0 a second time
            trials.refresh()
        return self._ask()

    def _take(self, config: Config, loss: float) -> None:
        """Insert a finished trial into `Trials`."""
        self._add(config, {"loss": loss, "status": "ok"})

    def _take_failed(self, config: Config, status: Status, loss: float) -> None:
        self._take(config, loss) if self.imputes else self._add(config, {"status": "fail"})

    def _add(self, config: Config, result: dict[str, Any]) -> None:
        """Insert a trial that was not proposed here, with its result."""
        if not self._labels:
            return
        trials = self._trials_seen
        trials.insert_trial_docs([self._given(trials.new_trial_ids(1)[0], config)])
        trials.refresh()
        self._finish(trials.trials[-1], result)

    def _given(self, number: int, config: Config) -> Any:
        """Return the library's document of a trial that it did not propose."""
        from hyperopt.fmin import generate_trial

        parameters = self.problem.space.parameters
        point = {k: _adapt.encoded(parameters[k], config[k]) for k in self._labels if k in config}
        trial = generate_trial(number, point)  # what `points_to_evaluate` becomes
        for name in set(self._labels) - set(point):  # it forgets inactive parameters
            trial["misc"]["idxs"][name] = trial["misc"]["vals"][name] = []
        return trial

    def _suggestion(self, trial: Any) -> Suggestion:
        """Return the suggestion of one of the library's trials."""
        parameters, values = self.problem.space.parameters, dict(self._fixed)
        for name, drawn in trial["misc"]["vals"].items():
            if drawn:
                values[name] = _decoded(parameters[name], drawn[0])
        return Suggestion(self.problem.space.active_part(values), handle=trial)

    def _tell(self, suggestion: Suggestion, loss: float) -> None:
        if suggestion.handle is not None:
            self._running -= 1
            self._finish(suggestion.handle, {"loss": loss, "status": "ok"})

    def _fail(self, suggestion: Suggestion, status: Status, loss: float) -> None:
        if self.imputes:
            self._tell(suggestion, loss)
        elif suggestion.handle is not None:
            self._running -= 1
            self._finish(suggestion.handle, {"status": "fail"})

    def _finish(self, trial: Any, result: dict[str, Any]) -> None:
        trial["state"] = 2  # done
        trial["result"] = result
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

    A failed evaluation is told as a trial of status ``fail``. With several workers it is ``fmin`` with
    ``max_queue_len`` as many, which evaluates a generation before it proposes the next; in it, one random draw of
    a seed makes all start-up trials, and one each of the model's.

    Surprises of the library, besides those of all its algorithms (whole numbers at the ends of their range are
    drawn half as often; failed trials, and those waiting in a queue, count as infinitely bad): parameters are
    modelled independently of each other, and at most 25 trials ever count as good.

    Reference: J. Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011;
    J. Bergstra, D. Yamins and D. Cox, "Making a Science of Model Search", ICML 2013. Defaults are
    those of hyperopt 0.3.
    """

    name = "hyperopt_tpe"

    class Settings(FailureOptions):
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
    their range are drawn half as often as others. A failed evaluation is told as a trial of status ``fail``, which
    counts as infinitely bad.

    Surprises of the library: its ``suggest`` makes one trial at a time, so that ``fmin`` with a longer queue
    fails. With several workers the queue is therefore filled one by one here, each trial from a seed of its own; as in
    ``fmin``, a generation is evaluated before the next one is proposed.

    Reference: J. Bergstra, hyperopt's ``anneal.py``. Defaults are those of hyperopt 0.3.
    """

    name = "hyperopt_anneal"
    batched: ClassVar[bool] = False

    class Settings(FailureOptions):
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
    reals, those at the ends of their range drawn half as often: not quite what ``random`` does. A failed evaluation
    is told as a trial of status ``fail``. With several workers it is ``fmin`` with ``max_queue_len`` as many: one seed
    makes a generation, and the next waits until all of it is evaluated.

    Reference: J. Bergstra and Y. Bengio, "Random Search for Hyper-Parameter Optimization", 2012.
    """

    name = "hyperopt_random"
    learns: ClassVar[bool] = False

    def _algorithm(self) -> Any:
        from hyperopt import rand

        return rand.suggest
