"""Particle swarm optimisation, by pyswarms."""

from __future__ import annotations

import logging.config
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal

from pydantic import Field

from harness.options import Options
from harness.searcher import Searcher, Suggestion
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


class ParticleSwarm(Searcher):
    """Particle swarm optimisation with a global best, by pyswarms' ``GlobalBestPSO``.

    Each particle has a position x, a velocity v, and remembers its own best position p. After all have been
    evaluated, with g the best of all and r₁, r₂ uniform in [0, 1] for each coordinate::

        v ← w · v + c1 · r₁ · (p − x) + c2 · r₂ · (g − x)
        x ← x + v

    The swarm flies through the unit cube: a real or whole parameter is mapped from a coordinate on its own
    scale, a categorical one by equal intervals in the order of its values. A conditional parameter always
    has a coordinate, which has an effect where the parameter is active.

    It proposes exactly what ``GlobalBestPSO.optimize`` evaluates, particle by particle, with the unit cube as
    bounds, after ``numpy.random.seed(seed)``. All particles of a generation can be evaluated at
    the same time; the next generation waits for all of them.

    Surprises of the library:

    * It has no defaults for the coefficients, nor for the number of particles. Those here are the usual ones of
      Eberhart and Shi (2000); with those of its documentation's examples (c1 0.5, c2 0.3, w 0.9) a
      swarm does not beat random search within a hundred evaluations.
    * Velocities begin in [0, 1], however small the space: with ``velocity_clamp`` unset, particles cross the
      whole cube at first, and in one direction.
    * ``bh_strategy`` decides what happens to a particle that leaves the cube; the default lets it come in on the
      other side.
    * Importing it replaces the process's log handlers and opens a ``report.log``, which is prevented here.
    * It draws from numpy's global generator, which is swapped in and out for it.

    References: J. Kennedy and R. Eberhart, "Particle Swarm Optimization", IEEE International Conference on
    Neural Networks, 1995; Y. Shi and R. Eberhart, "A Modified Particle Swarm Optimizer", 1998 (w);
    R. Eberhart and Y. Shi, "Comparing Inertia Weights and Constriction Factors", 2000 (coefficients);
    L. Miranda, "PySwarms", Journal of Open Source Software 3 (2018) 433.
    """

    name = "pyswarms_pso"
    libraries: ClassVar[dict[str, str]] = {"pyswarms": "pyswarms"}
    conditional: ClassVar[bool] = True
    parallel: ClassVar[bool] = True
    global_random: ClassVar[bool] = True

    class Settings(Options):
        """Settings of ``GlobalBestPSO``, under its names."""

        n_particles: int = Field(10, ge=1, description="particles, and evaluations of one generation")
        c1: float = Field(1.49618, ge=0, description="attraction to a particle's own best")
        c2: float = Field(1.49618, ge=0, description="attraction to the best of all")
        w: float = Field(0.7298, ge=0, description="inertia")
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

    settings: Settings

    def _start(self) -> None:
        import numpy as np

        with _logging_untouched(), _adapt.ignored_warnings():
            from pyswarms.single import GlobalBestPSO

            settings = self.settings
            clamp = settings.velocity_clamp
            dimensions = len(self.problem.space)
            self._search = GlobalBestPSO(
                n_particles=settings.n_particles,
                dimensions=dimensions,
                options={"c1": settings.c1, "c2": settings.c2, "w": settings.w},
                bounds=(np.zeros(dimensions), np.ones(dimensions)),
                velocity_clamp=None if clamp is None else (-clamp, clamp),
                bh_strategy=settings.bh_strategy,
                vh_strategy=settings.vh_strategy,
                init_pos=self._maximin() if settings.init == "maximin_lhs" else None,
            )
        # What `optimize` does before its loop.
        self._search.bh.memory = self._search.vh.memory = self._search.swarm.position
        self._search.swarm.pbest_cost = np.full(settings.n_particles, np.inf)
        self._new_generation()

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
        swarm.best_pos, swarm.best_cost = search.top.compute_gbest(swarm)
        swarm.velocity = search.top.compute_velocity(swarm, search.velocity_clamp, search.vh, search.bounds)
        swarm.position = search.top.compute_position(swarm, search.bounds, search.bh)
        self._new_generation()
