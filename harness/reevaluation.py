"""Winners re-evaluated: the final incumbent of a study is trained again with fresh seeds, charged to nobody.

The best of many noisy values is best by luck as well. What the same configuration gives with seeds that no search has
seen is free of that: it regresses to the mean. See `analysis.statistics.reevaluation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.events import Asked, Told
from harness.keys import EvaluationKey, StudyKey
from harness.trial import Status


@dataclass(frozen=True, slots=True)
class Reevaluation:
    """One more evaluation of a study's final incumbent.

    Args:
        key: The evaluation, whose training seed is fresh.
        number: 1-based number of that seed.
        step: 1-based order in which the incumbent was told, within the study.
        epochs: Epochs that the incumbent reached, and this is to reach.
        deadline: Seconds it may take, as in the search.
        value: What the incumbent reached in the search: the objective's metric.
        test: Its test companion; ``None`` where the task has none.
    """

    key: EvaluationKey
    number: int
    step: int
    epochs: int
    deadline: float | None
    value: float
    test: float | None


def final_incumbent(told: Sequence[Told], direction: Literal["min", "max"]) -> int | None:
    """Return the place of a study's final incumbent: of its successes the first with the best value.

    It is the one that `analysis.statistics.steps.incumbents` ends with. ``None`` where nothing succeeded.
    """
    sign = 1.0 if direction == "min" else -1.0
    best: tuple[float, int] | None = None
    for place, event in enumerate(told):
        if event.status is Status.OK and event.value is not None:
            loss = sign * event.value
            if best is None or loss < best[0]:
                best = loss, place
    return None if best is None else best[1]


def reevaluations(
    key: StudyKey,
    told: Sequence[Told],
    answered: Sequence[Asked],
    direction: Literal["min", "max"],
    count: int,
) -> list[Reevaluation]:
    """Return the evaluations to which a finished study's winner is put again; none where nothing succeeded.

    Args:
        key: The study.
        told: Its evaluations in the order told.
        answered: The question that each of these answers.
        direction: Whether smaller or larger values are better.
        count: How many fresh seeds.
    """
    place = final_incumbent(told, direction)
    if place is None or not count:
        return []
    winner, asked = told[place], answered[place]
    config = asked.proposal.config
    assert winner.value is not None  # noqa: S101 - it succeeded
    return [
        Reevaluation(
            key=key.reevaluation(config, number),
            number=number,
            step=place + 1,
            epochs=asked.epochs,
            deadline=key.deadline,
            value=winner.value,
            test=winner.test,
        )
        for number in range(1, count + 1)
    ]
