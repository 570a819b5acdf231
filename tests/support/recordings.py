"""Recordings made up for tests, and spaces of every kind as a strategy."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from harness.keys import canonical_json
from harness.recording import FORMAT, About, Provenance, Recording, Row, Scales, space_as_json
from harness.space import Choice, Condition, Config, Float, Int, Space
from harness.trial import Curve, Evaluation, Status

METRICS = ("val_loss", "test_loss", "seconds")

CATEGORIES = (True, False, 1, 0, 1.0, 0.0, "1", "", "True", "é", -2.5, 10**15)
"""Values that are easily taken for one another."""

DOMAINS = (
    Float(0.0, 1.0),
    Float(-3.0, 5.0),
    Float(1e-6, 1e2, log=True),
    Float(2.5, 2.5),
    Int(0, 3),
    Int(-(2**52), 2**52 - 1),
    Int(1, 2**44, log=True),
    Int(7, 7),
)

MIXED = Space(
    {
        "optimizer": Choice(("sgd", "momentum", "adam")),
        "lr": Float(1e-4, 1.0, log=True),
        "momentum": Float(0.5, 0.99),
        "nesterov": Choice((True, False)),
        "layers": Int(1, 6),
    },
    conditions={
        "momentum": Condition("optimizer", ("momentum",)),
        "nesterov": Condition("optimizer", ("momentum", "sgd")),
    },
    references={"plain": {"optimizer": "sgd", "lr": 0.01, "nesterov": True, "layers": 2}},
)
FINITE = Space({"kind": Choice(("a", "b", 1, True)), "size": Int(1, 3)})


@st.composite
def domains(draw):
    """A domain of any kind."""
    if draw(st.booleans()):
        return Choice(
            draw(st.lists(st.sampled_from(CATEGORIES), min_size=1, max_size=4, unique_by=canonical_json))
        )
    return draw(st.sampled_from(DOMAINS))


@st.composite
def spaces(draw):
    """A space of one to five parameters, some of which depend on earlier ones, which may depend on others."""
    names = [f"p {number}" for number in range(draw(st.integers(1, 5)))]
    parameters = {name: draw(domains()) for name in names}
    conditions = {}
    for number, name in enumerate(names):
        parents = [
            earlier
            for earlier in names[:number]
            if isinstance(parameters[earlier], Choice) or parameters[earlier] == Int(0, 3)
        ]
        if parents and draw(st.booleans()):
            parent = draw(st.sampled_from(parents))
            values = parameters[parent].grid(4)
            chosen = draw(st.lists(st.sampled_from(values), min_size=1, unique_by=canonical_json))
            conditions[name] = Condition(parent, tuple(chosen))
    return Space(parameters, conditions=conditions)


def drawn(space: Space, count: int, rng: random.Random) -> list[Config]:
    """Return so many configurations of a space, or fewer, no two alike."""
    found = [space.from_unit([rng.random() for _ in space.parameters]) for _ in range(count)]
    return list({canonical_json(config): config for config in found}.values())


def training(
    rng: random.Random, full: int, *, diverges: float = 0.0, metrics: Sequence[str] = METRICS
) -> Evaluation:
    """Return a training that is made up."""
    reached = rng.randrange(full) if rng.random() < diverges else full
    curve = Curve(
        {name: [rng.uniform(0.1, 2.0) for _ in range(reached)] for name in metrics} if reached else {}
    )
    if reached == full:
        return Evaluation(Status.OK, curve, full, setup_seconds=rng.random())
    lost = {"setup_seconds": rng.random(), "lost_seconds": rng.random()}
    return Evaluation(Status.DIVERGED, curve, reached + 1, message="it did", **lost)


def about(space: Space, full: int, **changed: Any) -> About:
    """Return what a recording says of itself."""
    fields: dict[str, Any] = {
        "format": FORMAT,
        "label": "made/up",
        "task": {
            "name": "made",
            "version": 1,
            "options": {"variant": "up"},
            "scoring": {},
            "data": "",
            "package": "",
        },
        "source": "a test",
        "group": "made-up",
        "subset": False,
        "space": space_as_json(space),
        "fidelity": (1, full),
        "metric": "val_loss",
        "direction": "min",
        "failure": 10.0,
        "test_metric": "test_loss",
        "metrics": METRICS,
        "design": "as a test likes it",
        "scales": Scales(dict.fromkeys(space.parameters, 1.0), 3, 4),
        "provenance": Provenance("2026-01-01T00:00:00+00:00", "none", "portable", 1, ()),
    }
    return About(**{**fields, **changed})


def recorded(
    space: Space = MIXED,
    configurations: int | Sequence[Config] = 12,
    seeds: Sequence[int] = (3, 1, 2),
    full: int = 4,
    *,
    seed: int = 0,
    diverges: float = 0.0,
    missing: float = 0.0,
    **changed: Any,
) -> Recording:
    """Return a recording of made-up numbers.

    Args:
        space: Its space.
        configurations: How many, or which.
        seeds: Training seeds.
        full: Epochs.
        seed: Of the numbers.
        diverges: Share of the trainings that diverge; the very first never does.
        missing: Share of the trainings that there are not; the first seed's are all there.
        changed: Fields of `About`.
    """
    rng = random.Random(seed)
    configs = drawn(space, configurations, rng) if isinstance(configurations, int) else configurations
    metrics = changed.get("metrics", METRICS)
    rows = [
        Row(config, number, training(rng, full, diverges=diverges if rows_before else 0.0, metrics=metrics))
        for rows_before, (config, number) in enumerate((c, s) for c in configs for s in seeds)
        if number == seeds[0] or rng.random() >= missing
    ]
    return Recording.of(about(space, full, **changed), rows)
