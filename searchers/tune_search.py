"""Any of our searchers as a search algorithm for Ray Tune's ``tune.Tuner``."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

from harness.errors import IncompatibleError, ProtocolError, ReplayMismatchError
from harness.searcher import Searcher
from harness.space import Scalar
from harness.trial import Budget, Curve, Evaluation, Problem, Proposal, Status


def as_tune_search(searcher: Searcher) -> Any:
    """Return a ``ray.tune.search.Searcher`` by which any of our searchers searches in a ``tune.Tuner``.

    With one concurrent trial it proposes exactly what the searcher proposes in a study of one worker. With
    several, the order in which Ray Tune's trials happen to end decides what it is told when, and a
    ``tune.Tuner`` asks for a trial ahead of a free place.

    * The search ends after as many trials as the searcher's budget pays for in full, or when the searcher
      has nothing more to propose; so ``num_samples`` can be -1, for no limit of its own.
    * Trials report the metric of the searcher's problem, in its direction. The last value reported counts.
      A metric that isn't finite is told as a divergence; a trial that failed, or ended before it reported
      anything, as a crash: both as the searcher's own library would be told of a failure.
    * ``param_space`` may hold constants only: the searcher has its own space. Of a conditional
      space, a trial's config holds the active parameters only.
    * A searcher that can't be asked again before it was told gets one trial at a time, whatever the
      concurrency. One that proposes in batches makes them as large as the ``workers`` that it was made with.
    * Should the searcher fail at a tell, Ray Tune takes that for a failure of the trial; the error is raised
      again when the next trial is asked for, so that the search stops.
    * Ray Tune saves the search as it goes. What is saved is what was asked and told, as JSON, and restoring
      replays it through a fresh searcher made with the same arguments. So does a copy or a pickle of it.
      A trial that Ray Tune then runs again after it failed stays told as a crash.

    Args:
        searcher: A fresh searcher. It is used up by one search.

    Raises:
        IncompatibleError: The searcher is a multi-fidelity one: it continues trials, while a trial of Ray
            Tune's is suggested once. Use Ray Tune's schedulers instead.

    Example:
        .. code-block:: python

            from ray import tune

            from harness.space import Float, Int, Space
            from harness.trial import Budget, Fidelity, Objective, Problem
            from searchers.tune_search import as_tune_search
            from searchers.skopt import SkoptGP

            space = Space({"lr": Float(1e-4, 1e-1, log=True), "units": Int(8, 64)})
            problem = Problem(space, Fidelity(1, 1), Objective("val_loss", "min", failure=10.0))
            searcher = SkoptGP(problem, seed=1, budget=Budget("evaluations", 20))

            def train(config):
                return {"val_loss": (config["lr"] - 0.01) ** 2 + config["units"] / 64}

            tuner = tune.Tuner(
                train,
                tune_config=tune.TuneConfig(
                    search_alg=as_tune_search(searcher), num_samples=-1, max_concurrent_trials=1
                ),
            )
            best = tuner.fit().get_best_result("val_loss", "min")
    """
    if searcher.multi_fidelity:
        raise IncompatibleError(
            f"searcher {searcher.name!r} continues trials, and Ray Tune suggests each trial once: "
            "use one of Ray Tune's schedulers instead"
        )
    return _tune_search_class()(searcher)


def _reported(metric: str, proposal: Proposal, result: dict[str, Any] | None, error: bool) -> Evaluation:
    """Return the evaluation that the end of one of Ray Tune's trials amounts to."""
    if error or not result:
        message = "Ray Tune reports that the trial failed" if error else "the trial ended without a report"
        return Evaluation(Status.CRASHED, Curve(), proposal.epochs, message=message)
    if metric not in result:
        raise ProtocolError(f"a trial must report {metric!r}, the searcher's metric; got {sorted(result)}")
    value = float(result[metric])
    if not math.isfinite(value):
        return Evaluation(Status.DIVERGED, Curve(), proposal.epochs, message=f"{metric} is {value}")
    # A searcher learns from the last row only, and Ray Tune's reports need not be epochs.
    return Evaluation(Status.OK, Curve({metric: (value,)}), 1)


@cache
def _tune_search_class() -> type[Any]:
    """Return the class behind `as_tune_search`; made when first used, for its base class is Ray Tune's."""
    from ray.tune.search import Searcher as TuneBase

    class TuneSearch(TuneBase):  # type: ignore[misc]
        """One of our searchers, as one of Ray Tune's; see `as_tune_search`."""

        def __init__(self, searcher: Searcher) -> None:
            objective = searcher.problem.objective
            super().__init__(metric=objective.metric, mode=objective.direction)
            self._own = searcher
            self._affordable = searcher.budget.full_evaluations(searcher.problem.fidelity)
            self._asked = 0
            self._waiting: dict[str, Proposal] = {}
            self._told: set[str] = set()
            self._failure: Exception | None = None
            self._events: list[dict[str, Any]] = []

        def set_search_properties(
            self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
        ) -> bool:
            del config, spec  # Ray Tune itself refuses a search space that wasn't taken
            for name, given, own in (("metric", metric, self.metric), ("mode", mode, self.mode)):
                if given not in (None, own):
                    raise ValueError(
                        f"TuneConfig has {name}={given!r}, and the searcher's is {own!r}: leave it out"
                    )
            return False

        def suggest(self, trial_id: str) -> dict[str, Scalar] | str | None:
            if self._failure is not None:
                raise self._failure
            if self._asked >= self._affordable:
                return str(self.FINISHED)
            proposal = self._own.ask()
            if proposal is None:
                return None if self._waiting else str(self.FINISHED)
            self._asked += 1
            self._waiting[trial_id] = proposal
            self._events.append({"asked": trial_id, "config": dict(proposal.config)})
            return dict(proposal.config)

        def on_trial_complete(
            self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
        ) -> None:
            if self._failure is not None or trial_id in self._told:
                return
            try:
                if trial_id not in self._waiting:
                    raise ProtocolError(f"trial {trial_id!r} is not waiting for a result")
                proposal = self._waiting.pop(trial_id)
                evaluation = _reported(self.metric, proposal, result, error)
                self._own.tell(proposal, evaluation)
            except Exception as failure:
                self._failure = failure
                raise
            value = evaluation.curve[self.metric][-1] if evaluation.status is Status.OK else None
            self._told.add(trial_id)
            self._events.append({"told": trial_id, "status": str(evaluation.status), "value": value})

        def save(self, checkpoint_path: str) -> None:
            Path(checkpoint_path).write_text(json.dumps(self._events), encoding="utf-8")

        def restore(self, checkpoint_path: str) -> None:
            if self._events:
                raise ProtocolError("a search can only be restored into a fresh searcher")
            self.replay(json.loads(Path(checkpoint_path).read_text(encoding="utf-8")))

        def replay(self, events: list[dict[str, Any]]) -> None:
            """Ask and tell what a search was asked and told."""
            for event in events:
                if "asked" in event:
                    config = self.suggest(event["asked"])
                    if config != event["config"]:
                        raise ReplayMismatchError(
                            f"restoring the search: trial {event['asked']!r} was {event['config']}, and the "
                            f"searcher now proposes {config}: its settings, seed or library differ"
                        )
                    continue
                failed = {Status.CRASHED: None, Status.DIVERGED: {self.metric: math.nan}}
                result = failed.get(event["status"], {self.metric: event["value"]})
                self.on_trial_complete(event["told"], result, error=event["status"] == Status.CRASHED)

        def __reduce__(self) -> tuple[Any, ...]:
            # A `tune.Tuner` pickles its search when it is made. A searcher's library need not allow that.
            own = self._own
            arguments = (own.problem, own.seed, own.budget, own.workers, own.settings.model_dump())
            return _rebuilt, (type(own), *arguments, self._events)

        def __deepcopy__(self, memo: dict[int, Any]) -> Any:
            rebuilt, arguments = self.__reduce__()
            return rebuilt(*arguments)

    return TuneSearch


def _rebuilt(
    searcher: type[Searcher],
    problem: Problem,
    seed: int,
    budget: Budget,
    workers: int,
    settings: dict[str, Any],
    events: list[dict[str, Any]],
) -> Any:
    """Return a search as it was when it was pickled or copied."""
    search = as_tune_search(searcher(problem, seed=seed, budget=budget, workers=workers, **settings))
    search.replay(events)
    return search
