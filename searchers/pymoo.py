"""Evolutionary algorithms, by pymoo: genetic algorithms and differential evolution."""

from __future__ import annotations

import math
import operator
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from harness.searcher import Searcher, SearcherOptions, Suggestion
from harness.space import Choice, Config, Domain, Float, Int, Scalar
from searchers import _adapt


class _PymooSettings(SearcherOptions):
    """Settings that all of pymoo's algorithms have, under its names."""

    pop_size: int = Field(
        100, ge=4, description="individuals of the initial population, and how many survive"
    )
    n_offsprings: int | None = Field(
        None, ge=1, description="individuals of each generation after it; null: as many as pop_size"
    )


class _PymooSearcher(Searcher):
    """One of pymoo's algorithms, asked for a generation and told of it.

    It is the loop of the library's documentation of its ask-and-tell interface: ``setup`` with the seed and no
    termination, then ``ask`` for a generation, all of it evaluated, then ``tell``. The individuals of a generation
    can be evaluated at the same time; the next one waits for all of them.

    The library knows no failure (a ``Problem`` may name a number that stands for NaN): a failed evaluation is told as
    the task's failure value. A starting point takes the place of the first individual of the initial population.
    """

    libraries: ClassVar[dict[str, str]] = {"pymoo": "pymoo"}
    conditional: ClassVar[bool] = True
    parallel: ClassVar[bool] = True
    settings: _PymooSettings

    def _algorithm(self) -> Any:
        """Return the library's algorithm."""
        raise NotImplementedError

    def _problem(self) -> Any:
        """Return the library's problem: the unit cube."""
        import numpy as np
        from pymoo.core.problem import Problem

        parameters = len(self._names)
        return Problem(n_var=parameters, n_obj=1, xl=np.zeros(parameters), xu=np.ones(parameters))

    def _values(self, point: Any) -> dict[str, Scalar]:
        """Return the values of one of the library's points."""
        parameters = self.problem.space.parameters
        return {
            name: parameters[name].from_unit(float(u)) for name, u in zip(self._names, point, strict=True)
        }

    def _point(self, config: Config) -> Any:
        """Return a configuration as one of the library's points."""
        import numpy as np

        parameters = self.problem.space.parameters
        complete = _adapt.completed(self.problem.space, config)
        return np.array([parameters[name].to_unit(complete[name]) for name in self._names])

    def _start(self) -> None:
        self._fixed, self._names = _adapt.searched(self.problem.space)
        self._generation: Any = None
        """The library's population under way; ``None`` once it has no more to propose."""
        if not self._names:  # the space is a single point
            return
        with _adapt.importing():
            from pymoo.core.termination import NoTermination
        self._search = self._algorithm()
        self._search.setup(self._problem(), termination=NoTermination(), seed=self.seed, verbose=False)
        self._begin()

    def _begin(self) -> None:
        """Ask for a generation."""
        self._generation = self._search.ask()
        self._handed_out = 0
        self._losses: dict[int, float] = {}

    def _ask(self) -> Suggestion | None:
        if not self._names:
            return Suggestion(self._active(self._fixed))
        if self._generation is None or self._handed_out == len(self._generation):
            return None
        position = self._handed_out
        self._handed_out += 1
        values = {**self._fixed, **self._values(self._generation[position].X)}
        return Suggestion(self._active(values), handle=position)

    def _active(self, values: dict[str, Scalar]) -> dict[str, Scalar]:
        """Return the active ones of all parameters' values, in the space's order."""
        return self.problem.space.active_part(values)

    def _ask_at(self, config: Config) -> Suggestion | None:
        if not self._names:
            return self._ask()
        self._generation[0].X = self._point(config)
        self._handed_out = 1
        return Suggestion(config, handle=0)  # without the rounding of a conversion

    def _tell(self, suggestion: Suggestion, loss: float) -> None:
        if not self._names:
            return
        self._losses[suggestion.handle] = loss
        if len(self._losses) < len(self._generation):
            return
        import numpy as np
        from pymoo.core.evaluator import Evaluator
        from pymoo.problems.static import StaticProblem

        losses = np.array([[self._losses[position]] for position in range(len(self._generation))])
        Evaluator().eval(StaticProblem(self._search.problem, F=losses), self._generation)
        self._search.tell(infills=self._generation)
        self._begin()


class PymooGA(_PymooSearcher):
    """A genetic algorithm on the unit cube, by pymoo's ``GA``.

    From a random population, parents are chosen by tournaments of two, recombined by simulated binary crossover (SBX)
    and changed by polynomial mutation; of parents and offspring together the ``pop_size`` best survive. A real or
    whole parameter is mapped from a coordinate on its own scale, a categorical one by equal intervals in the order of
    its values; a conditional one always has a coordinate, which has an effect where it is active. Numbers of one
    value have none.

    It proposes exactly what the ask-and-tell loop of the library's documentation does with the unit cube and the same
    seed, a generation at a time. With ``start_at_reference`` the reference configuration is the first individual of the
    initial population. The library knows no failure, and is told the task's failure value.

    Surprises of the library:

    * Its ``pop_size`` of 100 is more than many budgets: the first 100 evaluations are random.
    * Duplicates are dropped by their coordinates, so that whole and categorical parameters can repeat a configuration;
      where 100 matings gave no new individual, the search ends.
    * A generation can be smaller than ``n_offsprings``.

    References: K. Deb and R. B. Agrawal, "Simulated Binary Crossover for Continuous Search Space", Complex Systems 9
    (1995) 115; J. Blank and K. Deb, "pymoo: Multi-Objective Optimization in Python", IEEE Access 8 (2020) 89497.
    Defaults are those of pymoo 0.6.2.
    """

    name = "pymoo_ga"

    class Settings(_PymooSettings):
        """Settings of ``GA``, under its names."""

        eliminate_duplicates: bool = Field(True, description="drop offspring that are there already")

    settings: Settings

    def _algorithm(self) -> Any:
        with _adapt.importing():
            from pymoo.algorithms.soo.nonconvex.ga import GA
        return GA(**self.settings.own())


class PymooDE(_PymooSearcher):
    """Differential evolution on the unit cube, by pymoo's ``DE``.

    To a base vector, the best or a random one, the scaled difference of two others is added; each individual is crossed
    with its own such vector, slightly mutated, and replaced where the result is better. Parameters are mapped as in
    `pymoo_ga`.

    It proposes exactly what the ask-and-tell loop of the library's documentation does with the unit cube and the same
    seed, a generation at a time. With ``start_at_reference`` the reference configuration is the first individual of the
    initial population. The library knows no failure, and is told the task's failure value.

    Surprises of the library:

    * Its ``pop_size`` of 100 is more than many budgets: the first 100 evaluations are random.
    * Offspring are mutated, too (``prob_mut``), which the original method does not.
    * What lies outside the cube is drawn anew between the bound and the base vector.

    References: R. Storn and K. Price, "Differential Evolution – A Simple and Efficient Heuristic for Global
    Optimization over Continuous Spaces", Journal of Global Optimization 11 (1997) 341; J. Blank and K. Deb, "pymoo:
    Multi-Objective Optimization in Python", IEEE Access 8 (2020) 89497. Defaults are those of pymoo 0.6.2.
    """

    name = "pymoo_de"

    class Settings(_PymooSettings):
        """Settings of ``DE`` and its variant, under their names."""

        variant: str = Field(
            "DE/best/1/bin",
            pattern=r"^DE/(rand|best|target-to-best)/[12]/(bin|exp|hypercube|line)$",
            description="DE/<rand, best or target-to-best>/<1 or 2 differences>/<bin, exp, hypercube or line>",
        )
        F: float = Field(0.5, gt=0, description="weight of the difference")
        CR: float = Field(0.2, ge=0, le=1, description="share of coordinates that are crossed")
        jitter: bool = Field(False, description="vary the weight by a thousandth in each coordinate")
        prob_mut: float = Field(0.1, ge=0, le=1, description="probability that an offspring is mutated")

        @model_validator(mode="after")
        def _enough_to_choose_from(self) -> Self:
            differences = int(self.variant.split("/")[2])
            if self.pop_size < 2 * differences + 2:
                raise ValueError(
                    f"{self.variant} takes {2 * differences + 1} others for each individual, so that pop_size must be "
                    f"at least {2 * differences + 2}; got {self.pop_size}"
                )
            if self.n_offsprings is not None and self.n_offsprings > self.pop_size:
                raise ValueError(
                    f"each offspring replaces its parent, so that n_offsprings must be at most pop_size = "
                    f"{self.pop_size}; got {self.n_offsprings}"
                )
            return self

    settings: Settings

    def _algorithm(self) -> Any:
        with _adapt.importing():
            from pymoo.algorithms.soo.nonconvex.de import DE
        return DE(**self.settings.own())


class PymooMixedGA(_PymooSearcher):
    """A genetic algorithm over mixed variables, by pymoo's ``MixedVariableGA``.

    Each kind of parameter has its own operators: real ones (``Real``) simulated binary crossover and polynomial
    mutation, whole ones (``Integer``) the same, rounded, categorical ones (``Choice``) and those between true and
    false (``Binary``) uniform crossover and a random change. Parents are chosen at random, and of parents and
    offspring together the ``pop_size`` best survive. The library has no logarithmic scale: its users search the
    exponent, and so is a logarithmic real parameter the ``Real`` of its natural logarithm, and a whole one a ``Real``
    in [0, 1] whose intervals are its values. A conditional parameter is always there, and has an effect where it is
    active. Numbers of one value are not.

    It proposes exactly what the ask-and-tell loop of the library's documentation does with these variables and the same
    seed, a generation at a time. With ``start_at_reference`` the reference configuration is the first individual of the
    initial population. The library knows no failure, and is told the task's failure value.

    Surprises of the library:

    * Its ``pop_size`` of 50 is more than many budgets: the first 50 evaluations are random.
    * Without pressure in the choice of parents, all of it is in who survives.
    * Duplicates of those that live, and within a generation, are dropped while others can be had: where 100 matings
      gave too few, the generation is smaller, and where they gave none, the search ends. What died out can come
      again.
    * Operators of ``Integer`` are those of real numbers, rounded: neighbouring values are likelier.

    Reference: J. Blank and K. Deb, "pymoo: Multi-Objective Optimization in Python", IEEE Access 8 (2020) 89497.
    Defaults are those of pymoo 0.6.2.
    """

    name = "pymoo_mixed_ga"

    class Settings(_PymooSettings):
        """Settings of ``MixedVariableGA``, under its names."""

        pop_size: int = Field(
            50, ge=4, description="individuals of the initial population, and how many survive"
        )

    settings: Settings

    def _algorithm(self) -> Any:
        with _adapt.importing():
            from pymoo.core.mixed import MixedVariableGA
        return MixedVariableGA(**self.settings.own())

    def _problem(self) -> Any:
        from pymoo.core.problem import Problem

        parameters = self.problem.space.parameters
        return Problem(vars={name: _variable(parameters[name]) for name in self._names}, n_obj=1)

    def _values(self, point: Any) -> dict[str, Scalar]:
        parameters = self.problem.space.parameters
        return {name: _decoded(parameters[name], point[name]) for name in self._names}

    def _point(self, config: Config) -> Any:
        parameters = self.problem.space.parameters
        complete = _adapt.completed(self.problem.space, config)
        return {name: _encoded(parameters[name], complete[name]) for name in self._names}


_Kind = Literal["real", "exponent", "integer", "unit", "binary", "choice"]
"""What a parameter is to ``MixedVariableGA``."""


def _kind(domain: Domain) -> _Kind:
    if isinstance(domain, Choice):
        return "binary" if {*map(type, domain.values)} == {bool} and domain.size == 2 else "choice"
    if isinstance(domain, Int):
        return "unit" if domain.log else "integer"
    return "exponent" if domain.log else "real"


def _variable(domain: Domain) -> Any:
    """Return the library's variable of a parameter."""
    from pymoo.core import variable

    kind = _kind(domain)
    if kind == "binary":
        return variable.Binary()
    if isinstance(domain, Choice):
        return variable.Choice(options=list(range(len(domain.values))))
    if kind == "integer":
        return variable.Integer(bounds=(domain.low, domain.high))
    bounds = (domain.low, domain.high)
    if kind == "exponent":
        bounds = (math.log(domain.low), math.log(domain.high))
    return variable.Real(bounds=(0.0, 1.0) if kind == "unit" else bounds)


def _decoded(domain: Domain, value: Any) -> Scalar:
    """Return our value of the library's."""
    kind = _kind(domain)
    if kind == "binary":
        return bool(value)
    if isinstance(domain, Choice):
        return domain.values[operator.index(value)]
    if kind == "unit":
        return domain.from_unit(float(value))
    if isinstance(domain, Float):
        return _adapt.clipped(domain, math.exp(value) if kind == "exponent" else float(value))
    return int(value)  # of which arithmetic made a float


def _encoded(domain: Domain, value: Any) -> Any:
    """Return the library's value of ours."""
    kind = _kind(domain)
    if kind == "exponent":
        return math.log(value)
    if kind == "unit":
        return domain.to_unit(value)
    return value if kind == "binary" else _adapt.encoded(domain, value)
