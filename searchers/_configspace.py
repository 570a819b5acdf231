"""Spaces and configurations as ConfigSpace has them, for the libraries that are given one."""

from __future__ import annotations

import math
from typing import Any, Final

from harness.plurals import plural
from harness.space import Choice, Condition, Config, Domain, Float, Scalar, Space
from harness.trial import Fidelity
from searchers import _adapt

PLACES: Final = 13
"""Decimals to which ConfigSpace rounds reals, their bounds included."""

_LARGEST: Final = 1e290
"""Reals beyond this overflow where ConfigSpace rounds them, for which it multiplies by 10¹³."""


def halving(fidelity: Fidelity, name: str, lowest: int, eta: int) -> list[str]:
    """Return why a Hyperband of one of these libraries has no rungs between two fidelities; empty when it has.

    Args:
        fidelity: The task's range.
        name: Of the setting that says the lowest rung.
        lowest: That rung, in epochs.
        eta: How many times more epochs each further rung has.
    """
    if lowest < fidelity.low:
        return [f"{name} is {lowest}, and the task needs {plural(fidelity.low, 'epoch')} at least"]
    if lowest * eta > fidelity.high:
        return [
            f"there is nothing to halve: full fidelity, {fidelity.high}, is less than eta = {eta} times the lowest, "
            f"{lowest}"
        ]
    return []


def limits(space: Space) -> list[str]:
    """Return why ConfigSpace cannot take some of a space's parameters; empty when it can take all."""
    reasons = []
    fixed = _adapt.constants(space)
    for name, domain in space.parameters.items():
        if name in fixed or not isinstance(domain, Float):
            continue
        if max(abs(domain.low), abs(domain.high)) > _LARGEST:
            reasons.append(f"parameter {name!r}: ConfigSpace takes reals up to {_LARGEST:g}, got {domain}")
        elif domain.high - domain.low < 10 ** (2 - PLACES) or (
            domain.log and domain.low < 10 ** (1 - PLACES)
        ):
            reasons.append(
                f"parameter {name!r}: ConfigSpace rounds reals to {PLACES} decimals, which leaves too few values of "
                f"{domain}: search it in another unit, or the logarithm of it"
            )
    return reasons


def configuration_space(space: Space, seed: int) -> Any:
    """Return a space as a ``ConfigurationSpace``, seeded, with its conditions.

    A number of a single value is left out, as in every library, and what depends on it is active always or never. A
    category is given as its position, because ConfigSpace takes ``1``, ``1.0`` and ``True`` for the same.
    """
    from ConfigSpace import ConfigurationSpace, InCondition

    built = ConfigurationSpace(seed=seed)
    conditions: dict[str, Condition | None] = {}
    for name in space.parameters:
        condition, possible = _effective(space, name)
        if possible and name not in _adapt.constants(space):
            conditions[name] = condition
    parameters = {name: _parameter(name, space.parameters[name]) for name in conditions}
    if parameters:
        built.add(*parameters.values())
    for name, condition in conditions.items():
        if condition is not None:
            domain = space.parameters[condition.parent]
            values = [_adapt.encoded(domain, domain.canonical(value)) for value in condition.values]
            parent = parameters[condition.parent]
            built.add(InCondition(parameters[name], parent, list(dict.fromkeys(values))))
    return built


def _effective(space: Space, name: str) -> tuple[Condition | None, bool]:
    """Return the condition of a parameter on one that is searched, if there is one, and whether it can be met."""
    fixed = _adapt.constants(space)
    condition = space.conditions.get(name)
    while condition is not None:
        parent = condition.parent
        if not condition.values:
            return None, False
        if parent not in fixed:
            # A parameter that is never active has no active dependents.
            return condition, _effective(space, parent)[1]
        if not condition.holds({parent: fixed[parent]}):
            return None, False
        condition = space.conditions.get(parent)
    return None, True


def _parameter(name: str, domain: Domain) -> Any:
    """Return a parameter as ConfigSpace's."""
    from ConfigSpace import (
        CategoricalHyperparameter,
        UniformFloatHyperparameter,
        UniformIntegerHyperparameter,
    )

    if isinstance(domain, Choice):
        return CategoricalHyperparameter(name, range(len(domain.values)))
    kind = UniformFloatHyperparameter if isinstance(domain, Float) else UniformIntegerHyperparameter
    return kind(name, domain.low, domain.high, log=domain.log)


def decoded(space: Space, configuration: Any) -> dict[str, Scalar]:
    """Return one of ConfigSpace's configurations as the space's: the active parameters, those of one value included."""
    values: dict[str, Scalar] = dict(_adapt.constants(space))
    for name, value in configuration.items():
        domain = space.parameters[name]
        if isinstance(domain, Choice):
            values[name] = domain.values[int(value)]
        elif isinstance(domain, Float):
            values[name] = _rounded(domain, float(value))
        else:
            values[name] = int(value)
    return space.active_part(values)


def _rounded(domain: Float, value: float) -> float:
    """Return a real, moved to the bound where rounding to `PLACES` decimals has put it outside."""
    value = _adapt.clipped(domain, value)
    inside = min(max(value, domain.low), domain.high)
    return inside if math.isclose(value, inside, rel_tol=0.0, abs_tol=10.0**-PLACES) else value


def encoded(space: Space, built: Any, config: Config) -> Any:
    """Return a configuration as ConfigSpace's, of a space that `configuration_space` built."""
    from ConfigSpace import Configuration

    values: dict[str, Scalar] = {}
    for name, value in config.items():
        if name not in built:
            continue
        domain = space.parameters[name]
        values[name] = _adapt.encoded(domain, value)
        if isinstance(domain, Float):  # its own bounds are rounded
            values[name] = min(max(float(value), built[name].lower), built[name].upper)
    return Configuration(built, values=values)
