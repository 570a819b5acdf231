"""Any of Ray Tune's searchers by its name, or by the place of its class."""

from __future__ import annotations

import inspect
import logging
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any, ClassVar, Final

from pydantic import Field, JsonValue

from harness.errors import DerbyError, IncompatibleError, nearest, said
from harness.machine import require_libraries
from harness.options import Options
from harness.searcher import FailureOptions, Suggestion
from harness.space import Config
from harness.trial import Budget, Problem, Status
from searchers import _adapt
from searchers._nevergrad import Threads
from searchers.raytune import LOSS, RayTuneSearcher, tune_domains, warnings_raised

_WRAPPED: Final[Mapping[str, Mapping[str, str]]] = {
    "ax": {"ax": "ax-platform"},
    "bayesopt": {"bayes_opt": "bayesian-optimization"},
    "bohb": {"hpbandster": "hpbandster", "ConfigSpace": "ConfigSpace"},
    "hebo": {"hebo": "HEBO"},
    "hyperopt": {"hyperopt": "hyperopt"},
    "nevergrad": {"nevergrad": "nevergrad"},
    "optuna": {"optuna": "optuna"},
    "zoopt": {"zoopt": "zoopt"},
}
"""The names that ``ray.tune.search.create_searcher`` takes, with the libraries that each wraps."""

_GIVEN: Final = ("metric", "mode", "space")
"""Arguments that the harness gives."""
_SEEDS: Final = frozenset({"seed", "random_state", "random_state_seed", "random_seed"})
"""What searchers call the argument of their seed."""


def _attribute(place: str) -> Any:
    """Return what ``package.module:Name`` means.

    Raises:
        IncompatibleError: There is nothing there.
    """
    try:
        with _adapt.importing():
            return pkgutil.resolve_name(place)
    except (ImportError, AttributeError, ValueError) as error:
        raise IncompatibleError(
            f"{place!r} should be the place of something, such as nevergrad:optimizers.OnePlusOne: {said(error)}"
        ) from error


def _searcher_class(name: str) -> type[Any]:
    """Return the class of one of Ray Tune's searchers.

    Raises:
        IncompatibleError: There is none, or it is no searcher.
        DerbyError: The library that it wraps is not installed.
    """
    with _adapt.importing():
        from ray.tune import search
    if ":" in name:
        found = _attribute(name)
        if not (inspect.isclass(found) and issubclass(found, search.Searcher)):
            raise IncompatibleError(f"{name!r} is not a class of ray.tune.search.Searcher")
        return found
    if name not in _WRAPPED:
        raise IncompatibleError(
            f"Ray Tune has no searcher {name!r}, or none that is a ray.tune.search.Searcher; "
            f"{nearest(name, list(_WRAPPED))}, or package.module:Class"
        )
    require_libraries(f"Ray Tune's searcher {name!r}", _WRAPPED[name])
    with _quiet(), _adapt.importing():
        found = search.SEARCH_ALG_IMPORT[name]()
    assert inspect.isclass(found)  # noqa: S101 - tells the type checker
    return found


def _resolved(value: JsonValue) -> Any:
    """Return an argument in which each ``{import: package.module:Name}`` is replaced by what it means."""
    if isinstance(value, dict):
        if set(value) == {"import"}:
            return _attribute(str(value["import"]))
        return {name: _resolved(each) for name, each in value.items()}
    return [_resolved(each) for each in value] if isinstance(value, list) else value


@contextmanager
def _quiet() -> Iterator[None]:
    """Drop what libraries announce of each study, such as Optuna and Ax, and their warnings."""
    disabled = logging.root.manager.disable
    logging.disable(max(disabled, logging.INFO))  # Ax makes its loggers, and logs, as it is imported
    try:
        with _adapt.ignored_warnings():
            yield
    finally:
        logging.disable(disabled)


class _Calling:
    """Call a searcher inside ``with calling():``; Nevergrad's threads, where it is loaded, are waited for."""

    def __init__(self) -> None:
        # What wraps it has been imported, with the class or the argument that names it.
        self._threads = Threads() if "nevergrad" in sys.modules else None

    def __call__(self) -> AbstractContextManager[None]:
        return nullcontext() if self._threads is None else self._threads.waited_for()


class RayTuneSearch(RayTuneSearcher):
    """Any of Ray Tune's searchers by its name, or by the place of its class.

    ``searcher`` is one of those that ``ray.tune.search.create_searcher`` knows, or ``package.module:Class`` of any
    ``ray.tune.search.Searcher``; ``arguments`` are those of its class. It proposes exactly what a ``tune.Tuner`` does
    with this searcher and one concurrent trial. In a sweep::

        searchers:
          - name: raytune_search
            label: BayesOpt
            settings: {searcher: bayesopt, arguments: {random_search_steps: 5}}
          - name: raytune_search
            label: DE
            settings:
              searcher: nevergrad
              arguments: {optimizer: {import: "nevergrad:optimizers.TwoPointsDE"}}

    An argument that isn't JSON is given by its place, ``{import: package.module:Name}``. The seed is given for the
    argument that is called ``seed``, ``random_state``, ``random_state_seed`` or ``random_seed``, unless ``arguments``
    has it; and numpy's and Python's global generators are seeded with it, which is what ``nevergrad`` has its from.
    With ``start_at_reference`` the reference configuration is given as ``points_to_evaluate``. A failed evaluation is
    told as an error; what the searcher makes of it is its own: Nevergrad's and BayesOpt's forget the trial.

    With the versions in ``requirements-methods.lock``:

    * ``optuna``, ``hyperopt``, ``nevergrad`` and ``bayesopt`` work, and are compared with Ray Tune's own loop.
      ``optuna`` and ``hyperopt`` without arguments are `raytune_optuna` and `raytune_hyperopt`.
    * ``bayesopt`` searches real parameters on a linear scale only; Ray Tune would drop a logarithm with a warning,
      which is refused. It ends where it proposes the same configuration for the sixth time. Where one of its random
      trials fails, it waits for that one forever, which ends the study.
    * ``ax`` is refused, since it does not start: Ray Tune 2.60 looks for an attribute ``objectives`` that Ax 1.3 has no
      more.
    * ``bohb``, ``hebo`` and ``zoopt`` need libraries that are not among this project's; without them they are refused.

    Surprises of the library: conditions are not expressed, so that each parameter is searched as if it were always
    active; Ray Tune's ``nevergrad`` has other steps on a logarithmic scale (factors of e) than Nevergrad's
    documentation writes, so that it does not agree with the searchers called ``nevergrad``; its ``Choice`` draws anew
    each time.
    """

    name = "raytune_search"
    libraries: ClassVar[dict[str, str]] = dict(RayTuneSearcher.libraries)
    global_random: ClassVar[bool] = True

    class Settings(FailureOptions):
        """The searcher and its arguments."""

        searcher: str = Field(
            "optuna",
            description="one of " + ", ".join(_WRAPPED) + "; or package.module:Class of any other",
        )
        arguments: dict[str, JsonValue] = Field(
            {}, description="arguments of its class; {import: package.module:Name} stands for what is there"
        )

    settings: Settings

    @classmethod
    def incompatibilities(cls, problem: Problem, budget: Budget, settings: Options) -> list[str]:
        """Refuse, besides, searchers that there are not, and arguments and spaces that they do not take."""
        reasons = super().incompatibilities(problem, budget, settings)
        assert isinstance(settings, cls.Settings)  # noqa: S101 - tells the type checker; the base built it
        try:
            cls.require_libraries()
        except DerbyError:
            return reasons  # which is told elsewhere
        try:
            kind = _searcher_class(settings.searcher)
            _resolved(dict(settings.arguments))
        except DerbyError as error:
            return [*reasons, str(error)]
        taken, named = _arguments(kind)
        for name in settings.arguments:
            if name in _GIVEN:
                reasons.append(
                    f"argument {name!r} is not to be given: the harness gives {', '.join(_GIVEN)}, as a Tuner does"
                )
            elif name not in named and not taken:
                reasons.append(
                    f"Ray Tune's searcher {settings.searcher!r} takes no argument {name!r}; "
                    f"{nearest(name, sorted(named.difference(_GIVEN)))}"
                )
        if settings.start_at_reference and "points_to_evaluate" not in named:
            reasons.append(f"Ray Tune's searcher {settings.searcher!r} takes no points_to_evaluate")
        return reasons or _refused(kind, settings, problem)

    def _tune_searcher(self, points: list[dict[str, Any]] | None) -> Any:
        return _made(_searcher_class(self.settings.searcher), self.settings, self.seed, points)

    def _start(self) -> None:
        self._calling = _Calling()
        with _quiet(), self._calling():
            super()._start()

    def _ask(self) -> Suggestion | None:
        with self._calling():
            return super()._ask()

    def _tell(self, suggestion: Suggestion, loss: float) -> None:
        with self._calling():
            super()._tell(suggestion, loss)

    def _fail(self, suggestion: Suggestion, status: Status, loss: float) -> None:
        with self._calling():
            super()._fail(suggestion, status, loss)

    def _ask_at(self, config: Config) -> Suggestion | None:
        suggestion, space = self._ask(), self.problem.space
        if suggestion is None or not _adapt.coincide(space, space.active_part(suggestion.config), config):
            return suggestion
        return replace(suggestion, config=config)  # without the rounding of a conversion


def _arguments(kind: type[Any]) -> tuple[bool, set[str]]:
    """Return whether a class takes any argument, and the names of those that it has."""
    parameters = inspect.signature(kind.__init__).parameters.values()
    named = {each.name for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)}
    return any(each.kind is each.VAR_KEYWORD for each in parameters), named - {"self"}


def _made(
    kind: type[Any], settings: RayTuneSearch.Settings, seed: int, points: list[dict[str, Any]] | None
) -> Any:
    """Return one of Ray Tune's searchers with its arguments, its seed and what it begins with."""
    _, named = _arguments(kind)
    arguments = _resolved(dict(settings.arguments))
    for name in named.intersection(_SEEDS):
        arguments.setdefault(name, seed)
    if points is not None:
        arguments["points_to_evaluate"] = points
    return kind(**arguments)


def _refused(kind: type[Any], settings: RayTuneSearch.Settings, problem: Problem) -> list[str]:
    """Return why a searcher of Ray Tune's cannot search a space: how it converts it, and whether it starts there."""
    domains = tune_domains(problem.space)
    if not domains:
        return []
    doing = "does not take the space"
    try:
        with _quiet(), warnings_raised(), _adapt.importing():  # Nevergrad's draws from the global generator
            if hasattr(kind, "convert_search_space"):
                kind.convert_search_space(domains)
            doing = "does not start with these arguments"
            made = _made(kind, settings, 0, None)
            started = made.set_search_properties(LOSS, "min", domains)
        if started:  # many look for their library only now
            doing = "does not suggest anything here"
            with _quiet(), _adapt.importing(), _Calling()():
                made.suggest("planned")
    except Exception as error:  # noqa: BLE001 - whatever the library says
        return [f"Ray Tune's {kind.__name__} {doing}: {_adapt.why(error)}"]
    return [] if started else [f"Ray Tune's {kind.__name__} {doing}: it refuses metric, mode or space"]
