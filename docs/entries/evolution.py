"""A small evolution strategy, as an example of a method that is entered into a race."""

import numpy as np

from derby import Searcher, Suggestion


class Evolution(Searcher):
    """One parent, one child at a time, with Rechenberg's one-fifth success rule for the width of a step.

    After ten random points the best one is the parent. A child is the parent with a normal step in the unit cube,
    reflected at its faces, in a random half of its coordinates. A child that is as good takes the parent's place and
    makes steps wider; a worse one makes them narrower, so that the width rests where one step in five succeeds.

    Source: I. Rechenberg, Evolutionsstrategie, 1973.
    """

    parallel = True  # may be asked again before it was told
    conditional = True  # a coordinate without a parameter has no effect, and takes part all the same

    def _start(self):
        self._random = np.random.default_rng(self.seed)
        self._parent = None
        self._width = 0.2
        self._told = 0

    def _ask(self):
        space = self.problem.space
        if self._told < 10:
            return Suggestion(space.from_unit(self._random.random(len(space))))
        moved = self._random.random(len(space)) < 0.5
        moved[self._random.integers(len(space))] = True  # at least one
        step = self._width * self._random.standard_normal(len(space)) * moved
        point = np.abs(self._parent[1] + step) % 2  # reflected at 0, and then at 1
        return Suggestion(space.from_unit(np.minimum(point, 2 - point)))

    def _tell(self, suggestion, loss):
        self._told += 1
        better = self._parent is None or loss <= self._parent[0]
        if self._told > 10:
            self._width = min(self._width * (1.5 if better else 1.5**-0.25), 0.5)
        if better:
            self._parent = (loss, self.problem.space.to_unit(suggestion.config))
