"""Search spaces: domains, activity conditions, reference configurations, the unit cube and grids.

One module, because it is what whoever writes a task imports and reads, whole.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from harness.errors import SpaceError, nearest
from harness.plurals import plural

Scalar = bool | int | float | str
"""What a configuration is made of: exactly what JSON can hold."""

Config = Mapping[str, Scalar]
"""One configuration: the active parameters' values, in the space's order."""

LARGEST_INT: Final = 2**53
"""Whole numbers up to here are floats, too, exactly: what libraries, JSON and Parquet make of them."""

LARGEST_LOG_INT: Final = 2**44
"""Up to here a logarithm, of 53 bits, tells a whole number from the next one."""

_MIDDLE: Final = 0.5


def _same(a: object, b: object) -> bool:
    """Compare as JSON would: ``1``, ``1.0`` and ``True`` are three different values."""
    return type(a) is type(b) and a == b


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class Float:
    """A real parameter in ``[low, high]``, both ends included.

    Args:
        low: Lower bound, finite.
        high: Upper bound, finite, at least ``low``; ``high - low`` is finite, too.
        log: Search on a logarithmic scale; needs ``low > 0``.

    Raises:
        SpaceError: A bound is not a finite number, the bounds are swapped or too far apart, or log has
            ``low <= 0``.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            value = getattr(self, name)
            if not _is_number(value) or not abs(value) <= sys.float_info.max:
                raise SpaceError(f"Float.{name} must be a finite number, got {value!r}")
            object.__setattr__(self, name, float(value))
        if self.low > self.high:
            raise SpaceError(f"Float needs low <= high, got low={self.low!r}, high={self.high!r}")
        if math.isinf(self.high - self.low):
            raise SpaceError(
                f"Float needs a high - low below 1.8e308, got low={self.low!r}, high={self.high!r}"
            )
        if self.log and self.low <= 0:
            raise SpaceError(f"Float on a log scale needs low > 0, got low={self.low!r}")

    @property
    def size(self) -> int | None:
        """Number of values: 1 for a single point, otherwise ``None`` (uncountable)."""
        return 1 if self.low == self.high else None

    def canonical(self, value: object) -> float:
        """Return ``value`` as a float of this domain, or raise `SpaceError`."""
        if not _is_number(value) or not self.low <= value <= self.high:  # type: ignore[operator]
            raise SpaceError(f"{value!r} is not in {self}")
        return float(value)  # type: ignore[arg-type]

    def from_unit(self, u: float) -> float:
        """Map a coordinate in [0, 1] to a value; monotone, the ends map to the bounds exactly."""
        if u <= 0.0 or self.low == self.high:
            return self.low
        if u >= 1.0:
            return self.high
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            value = math.exp(low + u * (high - low))
        else:
            value = self.low + u * (self.high - self.low)
        return min(max(value, self.low), self.high)

    def to_unit(self, value: Scalar) -> float:
        """Map a value to its coordinate in [0, 1]; a single-point domain maps to 0.5."""
        x = self.canonical(value)
        if self.low == self.high:
            return _MIDDLE
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            return min(max((math.log(x) - low) / (high - low), 0.0), 1.0)
        return min(max((x - self.low) / (self.high - self.low), 0.0), 1.0)

    def grid(self, n: int) -> tuple[float, ...]:
        """Return ``n`` values evenly spaced on this scale, ends included (the middle when ``n`` is 1)."""
        if self.low == self.high:
            return (self.low,)
        if n == 1:
            return (self.from_unit(_MIDDLE),)
        return tuple(self.from_unit(i / (n - 1)) for i in range(n))

    def points(self, n: int) -> int:
        """Return how many values `grid` returns."""
        return 1 if self.low == self.high else n


@dataclass(frozen=True, slots=True)
class Int:
    """A whole-number parameter in ``[low, high]``, both ends included.

    On the unit cube each value owns one interval around it: equally wide on a linear scale, equally
    wide in ``log(value ± 0.5)`` on a logarithmic one.

    Args:
        low: Lower bound, at least -2⁵³.
        high: Upper bound, at least ``low``, at most 2⁵³; at most 2⁵³ values in all.
        log: Search on a logarithmic scale; needs ``low >= 1`` and ``high`` at most 2⁴⁴.

    Raises:
        SpaceError: A bound is not an ``int`` or outside these limits, the bounds are swapped, or log has
            ``low < 1``.
    """

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            if not _is_int(getattr(self, name)):
                raise SpaceError(f"Int.{name} must be an int, got {getattr(self, name)!r}")
        if self.low > self.high:
            raise SpaceError(f"Int needs low <= high, got low={self.low!r}, high={self.high!r}")
        largest = LARGEST_LOG_INT if self.log else LARGEST_INT
        if max(-self.low, self.high) > largest or self.size > LARGEST_INT:
            scale, power = (" on a log scale", 44) if self.log else ("", 53)
            raise SpaceError(
                f"Int{scale} needs bounds within ±2**{power}, and at most 2**53 values, to tell each value from the "
                f"next; got low={self.low!r}, high={self.high!r}: search a Float"
            )
        if self.log and self.low < 1:
            raise SpaceError(f"Int on a log scale needs low >= 1, got low={self.low!r}")

    @property
    def size(self) -> int:
        """Number of values."""
        return self.high - self.low + 1

    def canonical(self, value: object) -> int:
        """Return ``value`` if it is an int of this domain, or raise `SpaceError`."""
        if not _is_int(value) or not self.low <= value <= self.high:  # type: ignore[operator]
            raise SpaceError(f"{value!r} is not in {self}")
        return value  # type: ignore[return-value]

    def from_unit(self, u: float) -> int:
        """Map a coordinate in [0, 1] to a value; monotone."""
        u = min(max(u, 0.0), 1.0)
        if self.log:
            low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
            value = math.floor(math.exp(low + u * (high - low)) + 0.5)
        else:  # in whole numbers, because a float holds no half of the large ones
            numerator, denominator = u.as_integer_ratio()
            value = self.low + numerator * self.size // denominator
        return min(max(value, self.low), self.high)

    def to_unit(self, value: Scalar) -> float:
        """Map a value to a coordinate in [0, 1), inside its interval; `from_unit` gives the value back exactly."""
        x = self.canonical(value)
        if self.log:
            low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
            return (math.log(x) - low) / (high - low)
        u = (2 * (x - self.low) + 1) / (2 * self.size)
        # Of 2⁵³ values the upper half have one float each, and the middle is a tie between two (the last one's
        # between its own float and 1).
        return u if u < 1.0 and self.from_unit(u) == x else math.nextafter(u, 0.0)

    def grid(self, n: int) -> tuple[int, ...]:
        """Return at most ``n`` distinct values evenly spaced on this scale, ends included."""
        if self._takes_all(n):
            return tuple(range(self.low, self.high + 1))
        scale = Float(self.low, self.high, log=self.log)
        return tuple(dict.fromkeys(min(max(round(x), self.low), self.high) for x in scale.grid(n)))

    def points(self, n: int) -> int:
        """Return how many values `grid` returns."""
        if self._takes_all(n):
            return self.size
        return _log_points(self, n) if self.log else n

    def _takes_all(self, n: int) -> bool:
        """Whether no value lies between two of ``n`` evenly spaced ones."""
        if n < self.size or n == 1:
            return self.size == 1
        return not self.log or self.high * math.expm1(math.log(self.high / self.low) / (n - 1)) < 1


@lru_cache(maxsize=1024)
def _log_points(domain: Int, n: int) -> int:
    """Count a logarithmic grid's values, of which rounding merges some at the low end."""
    return len(domain.grid(n))


@dataclass(frozen=True, slots=True)
class Choice:
    """An unordered categorical parameter.

    Args:
        values: The categories: distinct JSON scalars (``1``, ``1.0`` and ``True`` are distinct).

    Raises:
        SpaceError: No values, a repeated value, or a value that is not a finite JSON scalar.
    """

    values: tuple[Scalar, ...]

    def __init__(self, values: Sequence[Scalar]) -> None:
        object.__setattr__(self, "values", tuple(values))
        if not self.values:
            raise SpaceError("Choice needs at least one value")
        for i, value in enumerate(self.values):
            if not isinstance(value, bool | int | float | str) or (
                isinstance(value, float) and not math.isfinite(value)
            ):
                raise SpaceError(f"Choice values must be bool, int, finite float or str, got {value!r}")
            if any(_same(value, other) for other in self.values[:i]):
                raise SpaceError(f"Choice value {value!r} is given twice")

    @property
    def size(self) -> int:
        """Number of categories."""
        return len(self.values)

    def index(self, value: object) -> int:
        """Return the position of a category, or raise `SpaceError`."""
        for i, own in enumerate(self.values):
            if _same(own, value):
                return i
        raise SpaceError(f"{value!r} is not one of {list(self.values)}")

    def canonical(self, value: object) -> Scalar:
        """Return the category equal to ``value``, or raise `SpaceError`."""
        return self.values[self.index(value)]

    def from_unit(self, u: float) -> Scalar:
        """Map a coordinate in [0, 1] to a category: equal intervals in the order of ``values``."""
        return self.values[min(max(math.floor(u * len(self.values)), 0), len(self.values) - 1)]

    def to_unit(self, value: Scalar) -> float:
        """Map a category to the middle of its interval."""
        return (self.index(value) + _MIDDLE) / len(self.values)

    def grid(self, n: int) -> tuple[Scalar, ...]:
        """Return every category, whatever ``n``: leaving one out would not be a coarser grid."""
        return self.values

    def points(self, n: int) -> int:
        """Return how many values `grid` returns."""
        return self.size


Domain = Float | Int | Choice


@dataclass(frozen=True, slots=True)
class Condition:
    """A parameter is active only where ``parent`` is active and has one of ``values``."""

    parent: str
    values: tuple[Scalar, ...]

    def holds(self, config: Config) -> bool:
        """Whether the condition is met by the part of a configuration decided so far."""
        return self.parent in config and any(_same(config[self.parent], v) for v in self.values)


@dataclass(frozen=True, slots=True)
class Space:
    """An ordered mapping of parameter names to domains.

    Args:
        parameters: Name to domain, in order; a condition's parent comes before its child.
        conditions: Name to the condition under which that parameter is active; others always are.
        references: Named configurations, a source's own settings; the first can be the starting
            point of a search. They are validated and kept in canonical form.

    Raises:
        SpaceError: A name, condition or reference configuration is not valid.

    Example:
        >>> space = Space(
        ...     {"optimizer": Choice(("sgd", "momentum")), "momentum": Float(0.5, 0.99)},
        ...     conditions={"momentum": Condition("optimizer", ("momentum",))},
        ... )
        >>> space.validate({"optimizer": "sgd"})
        {'optimizer': 'sgd'}
        >>> space.from_unit([0.9, 0.0])
        {'optimizer': 'momentum', 'momentum': 0.5}
        >>> space.grid_size(3)
        4
    """

    parameters: Mapping[str, Domain]
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    references: Mapping[str, Config] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.parameters:
            raise SpaceError("a space needs at least one parameter")
        names = list(self.parameters)
        for name, domain in self.parameters.items():
            if not isinstance(name, str) or not name:
                raise SpaceError(f"a parameter's name must be text, got {name!r}")
            if not isinstance(domain, Float | Int | Choice):
                raise SpaceError(f"parameter {name!r} must be Float, Int or Choice, got {domain!r}")
        for name, condition in self.conditions.items():
            for end in (name, condition.parent):
                if end not in self.parameters:
                    raise SpaceError(f"condition on unknown parameter {end!r}; {nearest(end, names)}")
            if names.index(condition.parent) >= names.index(name):
                raise SpaceError(
                    f"condition of {name!r}: its parent {condition.parent!r} must come before it"
                )
            for value in condition.values:
                try:
                    self.parameters[condition.parent].canonical(value)
                except SpaceError as error:
                    raise SpaceError(f"condition of {name!r} on {condition.parent!r}: {error}") from None
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))
        object.__setattr__(self, "conditions", MappingProxyType(dict(self.conditions)))
        references = {}
        for label, config in self.references.items():
            try:
                references[label] = MappingProxyType(self.validate(config))
            except SpaceError as error:
                raise SpaceError(f"reference configuration {label!r}: {error}") from None
        object.__setattr__(self, "references", MappingProxyType(references))

    def __len__(self) -> int:
        return len(self.parameters)

    def is_active(self, name: str, config: Config) -> bool:
        """Whether a parameter takes part, given the values of the parameters before it."""
        condition = self.conditions.get(name)
        return condition is None or condition.holds(config)

    def validate(self, config: Mapping[str, object]) -> dict[str, Scalar]:
        """Return the configuration in canonical form: the space's order, plain Python values.

        Args:
            config: Exactly the active parameters. A whole number is accepted for a `Float`.

        Raises:
            SpaceError: A value is outside its domain, or a parameter is unknown, missing or
                inactive; names the parameter, the value and the domain.
        """
        for name in config:
            if name not in self.parameters:
                raise SpaceError(f"unknown parameter {name!r}; {nearest(name, self.parameters)}")
        out: dict[str, Scalar] = {}
        for name, domain in self.parameters.items():
            active = self.is_active(name, out)
            if active and name not in config:
                raise SpaceError(f"parameter {name!r} is missing; expected a value in {domain}")
            if not active and name in config:
                condition = self.conditions[name]
                raise SpaceError(
                    f"parameter {name!r} = {config[name]!r} is not active: it needs "
                    f"{condition.parent!r} in {list(condition.values)}, "
                    f"got {out.get(condition.parent, 'inactive')!r}"
                )
            if active:
                try:
                    out[name] = domain.canonical(config[name])
                except SpaceError:
                    raise SpaceError(f"parameter {name!r} = {config[name]!r} is not in {domain}") from None
        return out

    def active_part(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return, of values for every parameter, those that are active, in the space's order."""
        out: dict[str, Any] = {}
        for name in self.parameters:
            if name in values and self.is_active(name, out):
                out[name] = values[name]
        return out

    def from_unit(self, point: Sequence[float]) -> dict[str, Scalar]:
        """Map a point of the unit cube, shape (len(space),), to a configuration.

        Coordinates of inactive parameters are ignored.
        """
        if len(point) != len(self.parameters):
            raise SpaceError(f"expected {plural(len(self.parameters), 'coordinate')}, got {len(point)}")
        out: dict[str, Scalar] = {}
        for (name, domain), u in zip(self.parameters.items(), point, strict=True):
            if self.is_active(name, out):
                out[name] = domain.from_unit(float(u))
        return out

    def to_unit(self, config: Config) -> list[float]:
        """Map a valid configuration to the unit cube, shape (len(space),); inactive parameters map to 0.5."""
        return [
            domain.to_unit(config[name]) if name in config else _MIDDLE
            for name, domain in self.parameters.items()
        ]

    def grid(self, resolution: int | Mapping[str, int]) -> Iterator[dict[str, Scalar]]:
        """Enumerate a grid in lexicographic order, each active combination once.

        Args:
            resolution: Points for each `Float` and `Int`, at least 1, one number or by name. A `Choice`
                always takes part with every category.
        """
        axes = self._axes(resolution)

        def expand(position: int, config: dict[str, Scalar]) -> Iterator[dict[str, Scalar]]:
            if position == len(axes):
                yield dict(config)
                return
            name, values = axes[position]
            if not self.is_active(name, config):
                yield from expand(position + 1, config)
                return
            for value in values:
                yield from expand(position + 1, {**config, name: value})

        return expand(0, {})

    def grid_size(self, resolution: int | Mapping[str, int]) -> int:
        """Count what `grid` would enumerate, without enumerating more than the conditions need."""
        return self._count(self._axes(resolution, counted=True))

    def size(self) -> int | None:
        """Count the space's configurations; ``None`` when a real parameter makes it uncountable."""
        if any(domain.size is None for domain in self.parameters.values()):
            return None
        axes: list[tuple[str, Sequence[Scalar]]] = []
        parents = {condition.parent for condition in self.conditions.values()}
        scale = 1
        for name, domain in self.parameters.items():
            if name in parents or name in self.conditions:
                values = range(domain.low, domain.high + 1) if isinstance(domain, Int) else domain.grid(1)
                axes.append((name, values))
            else:
                scale *= domain.size or 1
        return scale * self._count(axes)

    def _axes(
        self, resolution: int | Mapping[str, int], *, counted: bool = False
    ) -> list[tuple[str, Sequence[Scalar]]]:
        """Return each parameter's values on a grid; where they are only counted, something of their number."""
        parents = {condition.parent for condition in self.conditions.values()}
        axes: list[tuple[str, Sequence[Scalar]]] = []
        for name, domain in self.parameters.items():
            n = resolution if isinstance(resolution, int) else resolution.get(name, 1)
            if n < 1:
                raise SpaceError(f"grid resolution of {name!r} must be at least 1, got {n}")
            values = range(domain.points(n)) if counted and name not in parents else domain.grid(n)
            axes.append((name, values))
        return axes

    def _count(self, axes: Sequence[tuple[str, Sequence[Scalar]]]) -> int:
        """Count combinations, branching only on parameters that some condition depends on."""
        parents = {condition.parent for condition in self.conditions.values()}

        def count(position: int, config: dict[str, Scalar]) -> int:
            if position == len(axes):
                return 1
            name, values = axes[position]
            if not self.is_active(name, config):
                return count(position + 1, config)
            if name not in parents:
                return len(values) * count(position + 1, config)
            return sum(count(position + 1, {**config, name: value}) for value in values)

        return count(0, {})
