"""Synthetic functions with known optima: they cost microseconds and check searchers and statistics."""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from typing import ClassVar, Final

from harness.space import Choice, Config, Float, Int, Space
from harness.task import Checkpoint, Data, Known, RegretScale, Task
from harness.trial import Curve, Evaluation, Fidelity, Objective, Status


class Function(Task):
    """A deterministic function to be minimised: one epoch, no data, the training seed plays no part."""

    cheap = True
    group = "function"
    cost_unit = "evaluations"
    parameters: ClassVar[Space]
    """The domain of the function."""
    upper: ClassVar[float]
    """A constant no smaller than the function anywhere on its domain; stands for a failure."""
    optimum: ClassVar[float]
    """The smallest value on the domain."""
    typical: ClassVar[float]
    """The median of 100 000 points drawn uniformly from the domain."""
    optimisers: ClassVar[tuple[Config, ...]]
    """The configurations that reach `optimum`, to the digits given."""

    def _define(self) -> None:
        self.space = self.parameters
        self.fidelity = Fidelity(1, 1)
        self.objective = Objective("value", "min", failure=self.upper)
        self.regret = RegretScale(self.optimum, self.typical)
        self.known = Known(
            self.optimum,
            self.typical,
            "the known minimum on the domain",
            "the median of 100 000 points drawn uniformly from the domain",
        )

    def load(self) -> Data:
        """Return no data."""
        return {}

    @abstractmethod
    def value(self, config: Config) -> float:
        """Return the function's value at a configuration."""

    def evaluate(
        self,
        config: Config,
        *,
        epochs: int,
        seed: int,
        data: Data,
        checkpoint: Checkpoint | None = None,
        deadline: float | None = None,
    ) -> Evaluation:
        """Evaluate the function; see `Task.evaluate`."""
        start = time.perf_counter()
        value = self.value(config)
        curve = Curve({"value": (value,), "seconds": (time.perf_counter() - start,)})
        if checkpoint is not None:
            checkpoint.curve = curve
        return Evaluation(Status.OK, curve, epochs=1)

    def cost(self, config: Config) -> float:
        """Return 1.0: the unit is one evaluation."""
        return 1.0


class Branin(Function):
    r"""Branin's function of two variables, three global minima.

    .. math:: f(x) = (x_2 - b x_1^2 + c x_1 - 6)^2 + 10 (1 - t) \cos x_1 + 10

    with :math:`b = 5.1 / (4 \pi^2)`, :math:`c = 5 / \pi`, :math:`t = 1 / (8 \pi)` on
    :math:`x_1 \in [-5, 10]`, :math:`x_2 \in [0, 15]`. The minimum :math:`10 t` is reached where the square
    is zero and the cosine -1. The largest value, 308.13, is at (-5, 0).

    Source: L. C. W. Dixon and G. P. Szegő, "The global optimization problem: an introduction", in *Towards
    Global Optimisation 2*, North-Holland 1978; constants as in S. Surjanovic and D. Bingham, *Virtual
    Library of Simulation Experiments*.

    Example:
        >>> round(Branin().value({"x1": math.pi, "x2": 2.275}), 6)
        0.397887
    """

    name = "branin"
    source = 'Dixon and Szegő, "The global optimization problem: an introduction" (1978)'
    parameters = Space({"x1": Float(-5.0, 10.0), "x2": Float(0.0, 15.0)})
    upper = 310.0
    optimum = 10.0 / (8.0 * math.pi)
    typical = 35.3
    optimisers = (
        {"x1": -math.pi, "x2": 12.275},
        {"x1": math.pi, "x2": 2.275},
        {"x1": 3.0 * math.pi, "x2": 2.475},
    )

    def value(self, config: Config) -> float:
        """Return the function's value at a configuration."""
        x1, x2 = float(config["x1"]), float(config["x2"])
        square = (x2 - 5.1 / (4.0 * math.pi**2) * x1**2 + 5.0 / math.pi * x1 - 6.0) ** 2
        return square + 10.0 * (1.0 - 1.0 / (8.0 * math.pi)) * math.cos(x1) + 10.0


_WEIGHT: Final = (1.0, 1.2, 3.0, 3.2)
_SHARPNESS: Final = (
    (10.0, 3.0, 17.0, 3.5, 1.7, 8.0),
    (0.05, 10.0, 17.0, 0.1, 8.0, 14.0),
    (3.0, 3.5, 1.7, 10.0, 17.0, 8.0),
    (17.0, 8.0, 0.05, 10.0, 0.1, 14.0),
)
_CENTRE: Final = (
    (0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886),
    (0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991),
    (0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650),
    (0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381),
)


class Hartmann6(Function):
    r"""Hartmann's function of six variables, six local minima, one of them global.

    .. math:: f(x) = -\sum_{i=1}^4 \alpha_i \exp\Bigl(-\sum_{j=1}^6 A_{ij} (x_j - P_{ij})^2\Bigr)

    on the unit cube. It is negative everywhere, so 0 bounds it from above.

    Source: L. C. W. Dixon and G. P. Szegő, "The global optimization problem: an introduction", in *Towards
    Global Optimisation 2*, North-Holland 1978; constants as in S. Surjanovic and D. Bingham, *Virtual
    Library of Simulation Experiments*, whose minimiser was refined by Nelder-Mead.

    Example:
        >>> round(Hartmann6().value(Hartmann6.optimisers[0]), 5)
        -3.32237
    """

    name = "hartmann6"
    source = 'Dixon and Szegő, "The global optimization problem: an introduction" (1978)'
    parameters = Space({f"x{j}": Float(0.0, 1.0) for j in range(1, 7)})
    upper = 0.0
    optimum = -3.3223680114155147
    typical = -0.104
    optimisers = (
        {
            "x1": 0.20168950909365746,
            "x2": 0.15001069354111374,
            "x3": 0.4768739729250998,
            "x4": 0.2753324275220782,
            "x5": 0.3116516172395686,
            "x6": 0.6573005345536702,
        },
    )

    def value(self, config: Config) -> float:
        """Return the function's value at a configuration."""
        x = [float(value) for value in config.values()]
        total = 0.0
        for weight, sharpness, centre in zip(_WEIGHT, _SHARPNESS, _CENTRE, strict=True):
            distance = sum(a * (v - p) ** 2 for a, v, p in zip(sharpness, x, centre, strict=True))
            total += weight * math.exp(-distance)
        return -total


class Mixed(Function):
    r"""A function of a real and two whole numbers and a category, shaped like a tuning problem.

    With :math:`r = \log_{10} \text{rate} + 2.5`, :math:`d = \text{depth} - 3`,
    :math:`w = \log_2 (\text{width} / 64)` and a shift and a penalty for each category,

    .. math:: f = z^2 + 0.3 (1 - \cos 2 \pi z) + 0.2 d^2 + 0.1 (w + d)^2 + \text{penalty},
        \quad z = r + 0.25 d - \text{shift}

    Every term is at least 0. With category ``"b"`` (shift and penalty 0) all are 0 at one configuration, so
    that is the optimum: depth and width trade off, the best rate depends on category and depth, and
    the cosine adds local minima along the rate. ``rate`` and ``width`` are searched on log scales.

    Source: made for this benchmark.
    """

    name = "mixed"
    source = "HPO Derby: made for this benchmark"
    parameters = Space(
        {
            "rate": Float(1e-5, 1e-1, log=True),
            "depth": Int(1, 5),
            "width": Int(8, 512, log=True),
            "kind": Choice(("a", "b", "c", "d")),
        }
    )
    upper = 20.0
    optimum = 0.0
    typical = 2.83
    optimisers = ({"rate": 10.0**-2.5, "depth": 3, "width": 64, "kind": "b"},)

    _SHIFT_AND_PENALTY: ClassVar = {"a": (-1.0, 0.2), "b": (0.0, 0.0), "c": (0.5, 0.1), "d": (1.0, 0.5)}

    def value(self, config: Config) -> float:
        """Return the function's value at a configuration."""
        shift, penalty = self._SHIFT_AND_PENALTY[str(config["kind"])]
        depth = float(config["depth"]) - 3.0
        width = math.log2(float(config["width"]) / 64.0)
        z = math.log10(float(config["rate"])) + 2.5 + 0.25 * depth - shift
        ripple = 0.3 * (1.0 - math.cos(2.0 * math.pi * z))
        return z**2 + ripple + 0.2 * depth**2 + 0.1 * (width + depth) ** 2 + penalty
