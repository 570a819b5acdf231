"""What is under way in a run: studies, and the evaluations in flight that they wait for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from harness.evaluator import Job
from harness.reevaluation import Reevaluation
from harness.sweep_studies import PlannedStudy
from harness.task import Task
from harness.trial import Evaluation, Proposal
from results.study_journal import StudyJournal


@dataclass(slots=True, eq=False)
class Active:
    """A study under way."""

    plan: PlannedStudy
    task: Task
    journal: StudyJournal
    deaths: int = 0
    """How often its searcher's process died at work on it."""
    delivered: dict[int, Evaluation] = field(default_factory=dict)
    """Evaluations it has not been handed yet, by the number of their proposal."""
    proposals: dict[int, Proposal] = field(default_factory=dict)
    """Proposals that have not been told."""
    costs: dict[int, float] = field(default_factory=dict)
    """What an epoch of each of these costs."""
    replayed: int = 0
    """Evaluations that it has yet to be told again, since it was told them before."""
    untold: frozenset[int] = frozenset()
    """Of the proposals that it repeats, those that had not been told."""
    known: dict[int, Evaluation] = field(default_factory=dict)
    """What was on record of those that its host evaluated itself."""
    charged: Counter[int] = field(default_factory=Counter)
    """Epochs charged, by trial."""
    in_flight: int = 0
    epochs_left: float = 0.0
    """Epochs to come: at full fidelity of a budget in evaluations, and about so many of one in cost."""
    over: bool = False
    """Whether it is done, has failed, or begins again as another: what comes for it is for nobody."""


@dataclass(slots=True, eq=False)
class InFlight:
    """A job and who waits for it: the study, the number of its proposal, the epochs it asked for."""

    job: Job
    plan: PlannedStudy
    """Of who asked first."""
    waiting: list[tuple[Active, int, int]]
    again: list[tuple[PlannedStudy, Reevaluation]] = field(default_factory=list)
    """The winners that it evaluates again."""
    submitted: bool = False
    deaths: int = 0

    @property
    def owner(self) -> Active | None:
        """The study that asked first; ``None`` where it evaluates a winner again."""
        return None if self.again else self.waiting[0][0]
