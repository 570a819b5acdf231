"""Particle swarm optimisation, by pyswarms."""

from __future__ import annotations

import logging.config
import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from harness.options import Options
from harness.plurals import plural
from harness.searcher import Searcher, SearcherOptions, Suggestion
from harness.space import Config
from harness.trial import Budget, Problem
from searchers import _adapt

_DESIGNS = 1000
"""Latin hypercubes among which the maximin design is chosen."""


@contextmanager
def _logging_untouched() -> Iterator[None]:
    """Keep pyswarms from replacing the process's log handlers, and from opening a ``report.log``."""
    configure = logging.config.dictConfig
    logging.config.dictConfig = lambda config: None
    try:
        yield
    finally:
        logging.config.dictConfig = configure


_TOPOLOGY_SETTINGS: Final = {
    "star": (),
    "ring": ("k", "p", "static"),
    "von_neumann": ("p", "r"),
    "pyramid": ("static",),
    "random": ("k", "static"),
}
"""The settings that each topology has."""


def _von_neumann_neighbours(dimensions: int, reach: int) -> int:
    """Return the Delannoy number: how many particles the library's Von Neumann neighbourhood has."""
    return sum(
        math.comb(dimensions, i) * math.comb(reach, i) * 2**i for i in range(min(dimensions, reach) + 1)
    )


@cache
def topologies() -> dict[str, Any]:
    """Return the library's classes of topologies by the names of our setting, two of them mended.

    ``Pyramid`` and ``Random`` of pyswarms 1.3 put neighbourhoods of different sizes into one numpy array, which
    numpy refuses since 1.24. Here they are kept in a list; neighbourhoods and choices are the library's.
    """
    import numpy as np
    from scipy.spatial import Delaunay

    with _logging_untouched(), _adapt.ignored_warnings():
        from pyswarms.backend import topology

    def best(swarm: Any, neighbourhoods: list[Any]) -> tuple[Any, Any]:
        neighbours = np.array([each[swarm.pbest_cost[each].argmin()] for each in neighbourhoods])
        return swarm.pbest_pos[neighbours], np.min(swarm.pbest_cost[neighbours])

    class Pyramid(topology.Pyramid):  # type: ignore[misc]
        neighbor_idx: Any

        def compute_gbest(self, swarm: Any, **options: Any) -> tuple[Any, Any]:
            if swarm.n_particles < swarm.dimensions + 1:
                return tuple(super().compute_gbest(swarm, **options))
            if self.neighbor_idx is None or not self.static:
                pyramid = Delaunay(swarm.position, qhull_options="QJ0.001 Qbb Qc Qx")
                starts, indices = pyramid.vertex_neighbor_vertices
                self.neighbor_idx = np.split(indices, starts[1:-1])
            return best(swarm, self.neighbor_idx)

    class Random(topology.Random):  # type: ignore[misc]
        neighbor_idx: Any

        def compute_gbest(self, swarm: Any, k: int, **_: Any) -> tuple[Any, Any]:
            if self.neighbor_idx is None or not self.static:
                adjacency = self._Random__compute_neighbors(swarm, k)
                self.neighbor_idx = [row.nonzero()[0] for row in adjacency]
            return best(swarm, self.neighbor_idx)

    return {
        "star": topology.Star,
        "ring": topology.Ring,
        "von_neumann": topology.VonNeumann,
        "pyramid": Pyramid,
        "random": Random,
    }


class ParticleSwarm(Searcher):
    """Particle swarm optimisation, by pyswarms, with its topologies.

    Each particle has a position x, a velocity v, and remembers its own best position p. After all have been
    evaluated, with g the best of those that it is connected to, and r₁, r₂ uniform in [0, 1] for each
    coordinate::

        v ← w · v + c1 · r₁ · (p − x) + c2 · r₂ · (g − x)
        x ← x + v

    The ``topology`` says which particles are connected:

    * ``star``: all; g is the global best. It is the library's ``GlobalBestPSO``.
    * ``ring``: each with its ``k`` nearest, itself included, by the Minkowski ``p``-norm: local best, the library's
      ``LocalBestPSO``.
    * ``von_neumann``: like a ring, always static, with as many neighbours as the Delannoy number of the number of
      parameters and of ``r``: for r = 1 it is 2 · parameters + 1. No more than ``n_particles``.
    * ``pyramid``: with its neighbours in the Delaunay triangulation of all positions, itself not included. All, where
      there are no more particles than parameters. Triangulating takes long beyond six parameters or so.
    * ``random``: with ``k`` others at random, and those that drew it.

    Neighbours are found anew in each generation, or once for all where ``static`` is set.

    The swarm flies through the unit cube: a real or whole parameter is mapped from a coordinate on its own
    scale, a categorical one by equal intervals in the order of its values. A conditional parameter always
    has a coordinate, which has an effect where the parameter is active.

    It proposes exactly what ``optimize`` of the library's ``GeneralOptimizerPSO`` evaluates, particle by particle,
    with the unit cube as bounds, after ``numpy.random.seed(seed)``; which is what ``GlobalBestPSO`` and
    ``LocalBestPSO`` evaluate. All particles of a generation can be evaluated at the same time; the next
    generation waits for all of them.

    The library knows no failure: a failed evaluation is told as the task's failure value.

    With ``start_at_reference`` the first particle begins at the reference configuration, with a random velocity
    like the others: its place in the initial positions, the library's ``init_pos``, is taken.

    Surprises of the library:

    * It has no defaults for the coefficients, nor for the number of particles. Those here are the usual ones of
      Eberhart and Shi (2000); with those of its documentation's examples (c1 0.5, c2 0.3, w 0.9) a
      swarm does not beat random search within a hundred evaluations.
    * Velocities begin in [0, 1], however small the space: with ``velocity_clamp`` unset, particles cross the
      whole cube at first, and in one direction.
    * ``bh_strategy`` decides what happens to a particle that leaves the cube; the default lets it come in on the
      other side.
    * Its pyramid and random topologies fail with today's numpy. They are mended here (`topologies`), with the same
      neighbours.
    * ``oh_strategy`` varies coefficients over as many generations as the budget pays for. It can't be given where a
      coefficient should end: w ends at 0.4, c1 at 0.8 of its beginning, and c2 stays. Its ``exp_decay`` does not
      begin at the given value, and its ``random`` always fails, so that it is not offered.
    * Importing it replaces the process's log handlers and opens a ``report.log``, which is prevented here.
    * It draws from numpy's global generator, which is swapped in and out for it.

    References: J. Kennedy and R. Eberhart, "Particle Swarm Optimization", IEEE International Conference on
    Neural Networks, 1995; R. Eberhart and J. Kennedy, "A New Optimizer using Particle Swarm Theory", 1995
    (local best); J. Kennedy and R. Mendes, "Population Structure and Particle Swarm Performance", 2002 (von Neumann);
    J. Lane, A. Engelbrecht and J. Gain, "Particle Swarm Optimization with Spatially Meaningful Neighbours", 2008
    (pyramid); Q. Ni and J. Deng, "A New Logistic Dynamic Particle Swarm Optimization Algorithm Based on Random
    Topology", 2013 (random); Y. Shi and R. Eberhart, "A Modified Particle Swarm Optimizer", 1998 (w);
    R. Eberhart and Y. Shi, "Comparing Inertia Weights and Constriction Factors", 2000 (coefficients);
    L. Miranda, "PySwarms", Journal of Open Source Software 3 (2018) 433.
    """

    name = "pyswarms_pso"
    libraries: ClassVar[dict[str, str]] = {"pyswarms": "pyswarms"}
    conditional: ClassVar[bool] = True
    parallel: ClassVar[bool] = True
    global_random: ClassVar[bool] = True

    class Settings(SearcherOptions):
        """Settings of ``GeneralOptimizerPSO`` and its topologies, under their names."""

        n_particles: int = Field(10, ge=1, description="particles, and evaluations of one generation")
        c1: float = Field(1.49618, ge=0, description="attraction to a particle's own best")
        c2: float = Field(
            1.49618, ge=0, description="attraction to the best of those that it is connected to"
        )
        w: float = Field(0.7298, ge=0, description="inertia")
        oh_strategy: dict[Literal["c1", "c2", "w"], Literal["exp_decay", "lin_variation", "nonlin_mod"]] = (
            Field(
                {},
                description="how these coefficients change in the course of the budget; those not named don't",
            )
        )
        topology: Literal["star", "ring", "von_neumann", "pyramid", "random"] = Field(
            "star", description="which particles are connected; star is global best, ring is local best"
        )
        k: int = Field(3, ge=1, description="neighbours, in a ring or random topology")
        p: Literal[1, 2] = Field(2, description="norm of the distance, in a ring or Von Neumann topology")
        r: int = Field(1, ge=1, description="range of a Von Neumann topology")
        static: bool = Field(
            False, description="keep the first generation's neighbours, in a ring, pyramid or random topology"
        )
        velocity_clamp: float | None = Field(
            None, gt=0, description="largest velocity, as a share of the range; null: unlimited"
        )
        bh_strategy: Literal["nearest", "random", "shrink", "reflective", "intermediate", "periodic"] = Field(
            "periodic", description="what happens to a particle that leaves the space"
        )
        vh_strategy: Literal["unmodified", "adjust", "invert", "zero"] = Field(
            "unmodified", description="what happens to the velocity of such a particle"
        )
        init: Literal["uniform", "maximin_lhs"] = Field(
            "uniform",
            description="initial positions: uniform, or the Latin hypercube of 1000 whose nearest points are "
            "farthest apart",
        )

        @model_validator(mode="after")
        def _topology_has_these(self) -> Self:
            own = _TOPOLOGY_SETTINGS[self.topology]
            for name in ("k", "p", "r", "static"):
                if name not in own and getattr(self, name) != type(self).model_fields[name].default:
                    having = ", ".join(each for each, names in _TOPOLOGY_SETTINGS.items() if name in names)
                    raise ValueError(f"{name} is a setting of topology: {having}, and it is {self.topology}")
            if self.topology == "ring" and not 2 <= self.k <= self.n_particles:
                raise ValueError(
                    f"a ring needs 2 <= k <= n_particles, a particle being its own nearest; got k = {self.k} "
                    f"of {self.n_particles}"
                )
            if self.topology == "random" and self.k >= self.n_particles:
                raise ValueError(f"k others need more than {self.k} particles, got {self.n_particles}")
            return self

    settings: Settings

    @classmethod
    def incompatibilities(cls, problem: Problem, budget: Budget, settings: Options) -> list[str]:
        """Refuse, besides, a topology that needs more particles, or more parameters, than there are."""
        reasons = super().incompatibilities(problem, budget, settings)
        assert isinstance(settings, cls.Settings)  # noqa: S101 - tells the type checker; the base built it
        parameters, particles = len(problem.space), settings.n_particles
        if settings.topology == "von_neumann":
            needed = _von_neumann_neighbours(parameters, settings.r)
            if needed > particles:
                reasons.append(
                    f"a Von Neumann topology of range {settings.r} over {plural(parameters, 'parameter')} needs "
                    f"n_particles >= {needed}, got {particles}"
                )
        if settings.topology == "pyramid" and parameters == 1 and particles > 1:
            reasons.append("a pyramid topology needs at least two parameters")
        return reasons

    def _start(self) -> None:
        import numpy as np

        with _logging_untouched(), _adapt.ignored_warnings():
            from pyswarms.single import GeneralOptimizerPSO

            settings = self.settings
            clamp = settings.velocity_clamp
            dimensions = len(self.problem.space)
            topology = topologies()[settings.topology]
            self._search = GeneralOptimizerPSO(
                n_particles=settings.n_particles,
                dimensions=dimensions,
                options=settings.model_dump(
                    include={"c1", "c2", "w", *_TOPOLOGY_SETTINGS[settings.topology]}
                ),
                topology=topology(static=settings.static),
                bounds=(np.zeros(dimensions), np.ones(dimensions)),
                oh_strategy=dict(settings.oh_strategy),
                velocity_clamp=None if clamp is None else (-clamp, clamp),
                bh_strategy=settings.bh_strategy,
                vh_strategy=settings.vh_strategy,
                init_pos=self._initial_positions(),
            )
        # What `optimize` does before its loop.
        self._search.bh.memory = self._search.vh.memory = self._search.swarm.position
        self._search.swarm.pbest_cost = np.full(settings.n_particles, np.inf)
        affordable = self.budget.full_evaluations(self.problem.fidelity)
        self._generations = max(math.ceil(affordable / settings.n_particles), 1)
        self._generation = 0
        self._new_generation()

    def _initial_positions(self) -> Any:
        """Return initial positions, shape (n_particles, parameters); ``None`` leaves them to the library."""
        import numpy as np

        positions = None
        if self.settings.init == "maximin_lhs":
            positions = self._maximin()
        elif self.starting_point is not None:
            positions = np.random.random((self.settings.n_particles, len(self.problem.space)))  # noqa: NPY002
        if positions is not None and self.starting_point is not None:
            positions[0] = self.problem.space.to_unit(self.starting_point)
        return positions

    def _maximin(self) -> Any:
        """Return a maximin Latin hypercube, shape (n_particles, parameters)."""
        import numpy as np
        from scipy.spatial.distance import pdist
        from scipy.stats import qmc

        sampler = qmc.LatinHypercube(len(self.problem.space), rng=np.random.default_rng(self.seed))
        designs = [sampler.random(self.settings.n_particles) for _ in range(_DESIGNS)]
        return max(designs, key=lambda design: pdist(design).min(initial=np.inf))

    def _new_generation(self) -> None:
        self._asked = 0
        self._costs: dict[int, float] = {}

    def _ask_at(self, config: Config) -> Suggestion:
        self._asked += 1
        return Suggestion(config, handle=0)

    def _ask(self) -> Suggestion | None:
        particle = self._asked
        if particle == self.settings.n_particles:
            return None  # the generation is not complete
        self._asked += 1
        position = self._search.swarm.position[particle]
        return Suggestion(self.problem.space.from_unit(position.tolist()), handle=particle)

    def _tell(self, suggestion: Suggestion, loss: float) -> None:
        import numpy as np

        self._costs[suggestion.handle] = loss
        if len(self._costs) < self.settings.n_particles:
            return
        from pyswarms.backend.operators import compute_pbest

        search, swarm = self._search, self._search.swarm
        # One turn of `optimize`, without its record of the past.
        swarm.current_cost = np.array([self._costs[i] for i in range(self.settings.n_particles)])
        swarm.pbest_pos, swarm.pbest_cost = compute_pbest(swarm)
        swarm.best_pos, swarm.best_cost = search.top.compute_gbest(swarm, **search.options)
        swarm.options = search.oh(search.options, iternow=self._generation, itermax=self._generations)
        swarm.velocity = search.top.compute_velocity(swarm, search.velocity_clamp, search.vh, search.bounds)
        swarm.position = search.top.compute_position(swarm, search.bounds, search.bh)
        self._generation = min(self._generation + 1, self._generations)  # past its budget, nothing changes
        self._new_generation()
