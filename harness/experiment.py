"""What a report ran and published, declared beside the task as facts: `Task.experiments`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from harness.space import Config


@dataclass(frozen=True, slots=True)
class Search:
    """A report's search method.

    Args:
        searcher: Registered name.
        budget: As in a sweep file: ``{"evaluations": 60}``, ``{"epochs": 100}``, ``{"full": 20}`` or ``{"cost": 9e9}``.
        settings: The searcher's settings.
        found: The best configuration the report names; empty where it names none.
    """

    searcher: str
    budget: Mapping[str, float]
    settings: Mapping[str, Any] = field(default_factory=dict)
    found: Config = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Experiment:
    """One line of a report's results: a design trained, or a search run, and the figures published for it.

    It is given either a ``reference`` or a ``search``.

    Args:
        report: Short name of the report, such as ``"S1"``; ``derby reproduce`` collects by it, over all tasks.
        label: Name of the line, different for each of a report; 1 to 40 characters.
        reference: Name of the reference configuration that is trained, at full fidelity.
        search: The search whose best configuration counts.
        options: The task's options, ``variant`` excepted: the report's protocol.
        retrain: After a search: epochs for which its best configuration is trained afresh, from other initial
            weights; fewer where full fidelity is less. The task needs an option ``epochs``. ``None``: what
            counts is the best evaluation itself.
        published: Figures by metric of the learning curve, as printed (``"0.89"``, ``"1.17e9"``), because how they
            were rounded matters. They are values after the last epoch; ``seconds`` is the whole training.
        per_class: Whether the report prints precision, recall and F1 of each class.
        note: What a reader must know to compare, in a sentence.

    Raises:
        ValueError: The declaration contradicts itself.
    """

    report: str
    label: str
    reference: str | None = None
    search: Search | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    retrain: int | None = None
    published: Mapping[str, str] = field(default_factory=dict)
    per_class: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        where = f"experiment {self.label!r} of report {self.report!r}"
        if not self.report or not 1 <= len(self.label) <= 40:
            raise ValueError(f"{where}: needs a report and a label of 1 to 40 characters")
        if (self.reference is None) == (self.search is None):
            raise ValueError(f"{where}: give either a reference or a search")
        if self.retrain is not None and (self.search is None or self.retrain < 1):
            raise ValueError(f"{where}: retrain follows a search and is at least 1 epoch, got {self.retrain}")
        if "variant" in self.options:
            raise ValueError(f"{where}: the variant is chosen when it is reproduced, not declared")
        for metric, text in self.published.items():
            try:
                finite = Decimal(text).is_finite()
            except InvalidOperation:
                finite = False
            if not finite:
                raise ValueError(f"{where}: {metric} must be a number as printed, got {text!r}")


def rounding(text: str) -> float:
    """Return half a unit of a printed figure's last digit: how far the value behind it may be off.

    Example:
        >>> rounding("0.89"), rounding("1.17e9"), rounding("108")
        (0.005, 5000000.0, 0.5)
    """
    exponent = Decimal(text).as_tuple().exponent
    assert isinstance(exponent, int)  # noqa: S101 - an `Experiment` publishes finite figures only
    return float(Decimal(5).scaleb(exponent - 1))
