"""What tests show of one method against all others, in a sentence."""

from __future__ import annotations

from analysis.statistics.standing import Verdict
from analysis.words import named


def claims(subject: str, said: Verdict, *, leads: bool = True) -> str:
    """Return what tests show of one method, in either direction, and what they do not.

    Args:
        subject: The method.
        said: What tests say of it.
        leads: Whether it has the lowest mean rank, so that being worse than another is in spite of that.
    """
    shown = []
    if said.better_than:
        shown.append(f"is shown to be better than {named(said.better_than)}")
    if said.worse_than:
        shown.append(
            f"is shown to be worse than {named(said.worse_than)}{', in spite of their mean ranks' * leads}"
        )
    if said.alike:
        shown.append(f"is not shown to differ from {named(said.alike)}")
    if said.untested:
        shown.append(f"has too few tasks in common with {named(said.untested)} for a test")
    return f"{subject} {'; it '.join(shown)}."
