"""How many jobs of a batch system a sweep takes: time limits as SLURM writes them, and the training that is left."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from harness.errors import DerbyError, shown

OVERHEAD_SECONDS: Final = 300.0
"""What of a job is not training: Ray and the evaluators start, the record is read, and the driver stops before the
limit. Of a short job it is half at most."""

_LIMIT: Final = re.compile(r"(?:(?P<days>[0-9]{1,5})-)?(?P<rest>[0-9]{1,7}(?::[0-9]{1,7}){0,2})")


def parse_limit(text: str) -> float:
    """Return the seconds of a time limit as `sbatch --time` takes it.

    Args:
        text: ``minutes``, ``minutes:seconds``, ``hours:minutes:seconds``, ``days-hours``, ``days-hours:minutes`` or
            ``days-hours:minutes:seconds``.

    Raises:
        DerbyError: It is none of these, or no time.
    """
    found = _LIMIT.fullmatch(text.strip())
    seconds = 0
    if found is not None:
        numbers = [int(number) for number in found["rest"].split(":")]
        # The first number is hours after days, and in a limit of three numbers; else minutes.
        units = (3600, 60, 1) if found["days"] is not None or len(numbers) == 3 else (60, 1)
        seconds = 86400 * int(found["days"] or 0) + sum(
            number * unit for number, unit in zip(numbers, units, strict=False)
        )
    if not seconds:
        raise DerbyError(
            f"--walltime: expected a time as SLURM writes it, such as 30 (minutes), 4:00:00 or 2-12 (days and hours), "
            f"got {shown(text)}"
        )
    return float(seconds)


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a sweep on one task.

    Args:
        task: Its label.
        studies: Studies that are not done.
        seconds: Training seconds left, of all studies together; ``None`` where none was recorded yet.
        longest: Those of the study that has the most left.
        evaluation: Seconds of an evaluation at full fidelity.
    """

    task: str
    studies: int
    seconds: float | None
    longest: float | None
    evaluation: float | None


@dataclass(frozen=True, slots=True)
class Jobs:
    """How a sweep fits into jobs of equal length.

    Args:
        number: How many, about; ``None`` where it cannot be known, or no number is enough.
        seconds: How long the rest takes on those evaluators without a limit; ``None`` where it cannot be known.
        useful: How many evaluators find work at once; ``None`` where those asked about all do.
        unknown: Tasks of which nothing is recorded.
        too_long: Tasks of which one evaluation takes longer than a job can train, with its seconds.
    """

    number: int | None
    seconds: float | None
    useful: int | None
    unknown: tuple[str, ...]
    too_long: tuple[tuple[str, float], ...]


def jobs(left: Sequence[Left], *, workers: int, evaluators: int, walltime: float) -> Jobs:
    """Return how many jobs the rest of a sweep takes.

    A study's evaluations wait for one another, so that the rest takes at least as long as the longest study, however
    many evaluators there are. What is in flight when a job ends is trained again: half of an evaluation, on average, of
    each evaluator.

    Args:
        left: What is left, by task.
        workers: Evaluations that a study may have in flight.
        evaluators: Evaluators of a job.
        walltime: Seconds that a job may take.
    """
    unknown = tuple(each.task for each in left if each.seconds is None)
    training = max(walltime - OVERHEAD_SECONDS, walltime / 2)
    open_ = [each for each in left if each.seconds]
    too_long = tuple(
        (each.task, each.evaluation) for each in open_ if each.evaluation and each.evaluation > training
    )
    at_once = workers * sum(each.studies for each in left)
    useful = at_once if 0 < at_once < evaluators else None
    if unknown:
        return Jobs(None, None, useful, unknown, too_long)
    total = sum(each.seconds or 0.0 for each in left)
    longest = max((each.longest or 0.0 for each in left), default=0.0)
    seconds = max(total / evaluators, longest / workers)
    if too_long:
        return Jobs(None, seconds, useful, unknown, too_long)
    lost = max((each.evaluation or 0.0 for each in open_), default=0.0) / 2
    return Jobs(math.ceil(seconds / (training - lost)), seconds, useful, unknown, too_long)
