"""Reading studies and evaluations: the one place where lines are decoded, and held against each other."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, NoReturn

import msgspec

from harness.errors import RecordError, refusal
from harness.events import Asked, Done, Told
from harness.plurals import plural
from harness.trial import Evaluation, Status, Unit, in_unit
from results.journal import (
    RESTORE,
    check_lines,
    digest_of,
    files_in,
    is_sound,
    open_file,
    place_of,
    read_file,
    refuse_line,
)
from results.schema import (
    EVALUATIONS,
    FORMAT,
    LINES,
    EvaluationLine,
    Failed,
    Followed,
    Hosted,
    Line,
    Opened,
    Replayed,
)

_CHUNK = 256 << 10
"""Bytes of an evaluation file decoded at once: few, so that what they become stays in the processor's cache."""

_ID = re.compile("[0-9a-f]{16}")

State = Literal["missing", "running", "failed", "done"]


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """What a study's journal says.

    Args:
        events: Its events in order, as a replay repeats them.
        told: Its evaluations in the order in which they were told.
        answered: The question that each of these answers.
        state: ``missing``, ``running`` (begun and not ended), ``failed`` or ``done``.
        reason: Why it failed, or how it ended.
        torn: Bytes after the last whole line, left by a crash.
        hosts: Ids of the machines that its searcher ran on, each with the number of events before it did.
        followed: Number of events that are followed as they stand; see `results.schema.Followed`.
        followed_told: How many of ``told`` are among them.
    """

    events: Sequence[Replayed] = ()
    told: Sequence[Told] = ()
    answered: Sequence[Asked] = ()
    state: State = "missing"
    reason: str = ""
    torn: int = 0
    hosts: tuple[tuple[int, str], ...] = ()
    followed: int = 0
    followed_told: int = 0

    @property
    def spent_epochs(self) -> int:
        """Epochs charged so far."""
        return sum(event.epochs for event in self.told)

    @property
    def spent_costs(self) -> list[float]:
        """What had been charged by each of ``told``, it included, in the task's cost unit."""
        charges = (told.epochs * asked.cost for told, asked in zip(self.told, self.answered, strict=True))
        return list(itertools.accumulate(charges))

    def spent(self, unit: Unit) -> float:
        """Return what was charged so far, in the unit of a budget."""
        cost = (self.spent_costs or [0.0])[-1]
        return in_unit(unit, evaluations=len(self.told), epochs=self.spent_epochs, cost=cost)

    @property
    def opened(self) -> Opened | None:
        """Its first line, once it has begun."""
        first = self.events[0] if self.events else None
        return first if isinstance(first, Opened) else None


def read_study(path: Path) -> StudyRecord:
    """Read a study's journal, and hold its lines against each other; it is ``missing`` where there is none.

    A last line without its end is what a crash leaves, and is left out.

    Raises:
        RecordError: The journal cannot be read, is of another format, was changed after it was written, or does not
            add up; the message names the line.
    """
    try:
        data = read_file(path)
    except FileNotFoundError:
        return StudyRecord()
    end = data.rfind(b"\n") + 1
    if not end:
        return StudyRecord(torn=len(data))
    lines = _lines(data[:end] if end < len(data) else data, path)
    return _added_up(lines, path, torn=len(data) - end)


def _lines(data: bytes, path: Path) -> list[Line]:
    """Return the lines of a journal, each as it was written."""
    _check_format(data[: data.find(b"\n")], path)
    last = data.rfind(b"\n", 0, len(data) - 1) + 1
    closed = _decoded_or_none(data[last:]) if is_sound(data[last:], last) else None
    # A digest of all lines is the quicker check, and the stronger.
    if not (isinstance(closed, Done) and closed.digest == digest_of(memoryview(data)[:last])):
        places = check_lines(data, path)
        if isinstance(closed, Done):
            _refuse(
                path, len(places), "the digest with which a study ends is not that of the lines before it"
            )
    try:
        return LINES.decode_lines(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        _refuse_undecodable(LINES, data, path, 1)


class _Head(msgspec.Struct, tag_field="event", tag="opened"):
    """What the first line of a journal of any format has."""

    format: int


def _check_format(line: bytes, path: Path) -> None:
    try:
        if msgspec.json.decode(line, type=_Head).format == FORMAT:
            return
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    raise RecordError(
        f"{path}, line 1: expected a study journal of format {FORMAT}, got {line[:80]!r}; it was written by another "
        f"version of the project, was damaged after it was written, or is no journal: {RESTORE}"
    )


def _decoded_or_none(line: bytes) -> Line | None:
    try:
        return LINES.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


class _Sum:
    """A study while its lines are added in order; each method returns in words what contradicts those before it."""

    def __init__(self, study: str) -> None:
        self.study = study
        self.events: list[Replayed] = []
        self.asked: list[Asked] = []
        self.told: list[Told] = []
        self.answered: list[Asked] = []
        self.hosts: list[tuple[int, str]] = []
        self.followed = self.followed_told = 0
        self._waiting: set[int] = set()
        self._machines: set[str] = {""}
        self._epochs = 0
        self._cost = 0.0
        self._now = -math.inf

    def opens(self, line: Opened) -> str:
        opened = digest_of(bytes(line.key))
        if self.events or opened != self.study:
            return f"it opens study {opened}, where {self.study} goes on"
        self.events.append(line)
        return ""

    def asks(self, line: Asked) -> str:
        if line.number != len(self.asked):
            return f"proposal {line.number} was asked where {len(self.asked)} is next"
        if bytes(line.config)[:1] != b"{":
            return f"proposal {line.number} has no configuration, but {bytes(line.config)[:60]!r}"
        self._waiting.add(line.number)
        self.asked.append(line)
        self.events.append(line)
        return ""

    def tells(self, line: Told) -> str:
        number = line.number
        if number not in self._waiting:
            return f"evaluation {number} was told without having been asked, or twice"
        question = self.asked[number]
        if line.finish < self._now or line.finish < question.start:
            return f"evaluation {number} finished before what was asked or told before it"
        if line.epochs > question.epochs:
            return (
                f"evaluation {number} was charged {plural(line.epochs, 'epoch')} of {question.epochs} asked"
            )
        if (line.value is None) == (line.status is Status.OK):
            return f"evaluation {number} is {line.status.value} and its value {line.value}"
        if line.machine not in self._machines:
            if not _ID.fullmatch(line.machine):
                return (
                    f"evaluation {number} comes from machine {line.machine[:60]!r}, where an id is expected"
                )
            self._machines.add(line.machine)
        self._waiting.remove(number)
        self._now = line.finish
        self._epochs += line.epochs
        self._cost += line.epochs * question.cost
        self.told.append(line)
        self.answered.append(question)
        self.events.append(line)
        return ""

    def ends(self, line: Done) -> str:
        ends = (line.evaluations, line.epochs, line.cost, 0)
        if ends != (len(self.told), self._epochs, self._cost, len(self._waiting)):
            told = (
                f"{plural(len(self.told), 'evaluation')} and {plural(self._epochs, 'epoch')} at a cost of {self._cost} "
                "were told"
            )
            return (
                f"it ends with {line.evaluations}, {line.epochs} and {line.cost}; {told}, {len(self._waiting)} are "
                "waited for"
            )
        self.events.append(line)
        return ""

    def names_host(self, line: Hosted) -> str:
        if not _ID.fullmatch(line.machine):
            return f"it names machine {line.machine[:60]!r}, where an id is expected"
        self.hosts.append((len(self.events), line.machine))
        return ""

    def follows(self, line: Followed) -> str:
        if line.told != len(self.told):
            return f"it follows {plural(line.told, 'evaluation')} where {len(self.told)} were told"
        self.followed, self.followed_told = len(self.events), line.told
        return ""


_ADD: Mapping[type, Callable[[_Sum, Any], str]] = {
    Opened: _Sum.opens,
    Asked: _Sum.asks,
    Told: _Sum.tells,
    Done: _Sum.ends,
    Hosted: _Sum.names_host,
    Followed: _Sum.follows,
    Failed: lambda *_: "",
}


def _added_up(lines: Sequence[Line], path: Path, torn: int) -> StudyRecord:
    """Return what lines say together, or raise `RecordError` naming the first that contradicts those before it."""
    total = _Sum(path.stem)
    for number, line in enumerate(lines, start=1):
        problem = _ADD[type(line)](total, line)
        if problem:
            _refuse(path, number, problem)
        if type(line) is Done and number < len(lines):
            _refuse(path, number + 1, "the study had ended before it")
    state: State = "running"
    reason = ""
    match lines[-1]:
        case Done(reason=reason):
            state = "done"
        case Failed(message=reason):
            state = "failed"
    return StudyRecord(
        events=total.events,
        told=total.told,
        answered=total.answered,
        state=state,
        reason=reason,
        torn=torn,
        hosts=tuple(total.hosts),
        followed=total.followed,
        followed_told=total.followed_told,
    )


def _refuse(path: Path, number: int, what: str) -> NoReturn:
    raise RecordError(
        f"{path}, line {number}: expected a line that follows from those before it, but {what}. The journal was "
        f"changed after it was written; {RESTORE}"
    )


@dataclass(frozen=True, slots=True)
class Bunch:
    """Some lines of an evaluation file.

    Args:
        path: The file.
        offsets: Byte at which each begins.
        lines: The lines.
        number: 1-based number of the first.
    """

    path: Path
    offsets: Sequence[int]
    lines: Sequence[EvaluationLine]
    number: int


def read_evaluations(folder: Path) -> Iterator[Bunch]:
    """Yield the evaluations in a task's folder in bunches, oldest run first; torn last lines are left out.

    Raises:
        RecordError: A file cannot be read or is damaged (with its line).
    """
    for path in files_in(folder, "*.jsonl"):
        try:
            file = open_file(path)
        except FileNotFoundError as error:  # a link that leads nowhere
            raise RecordError(f"cannot read {path}: {refusal(error)}; {RESTORE}") from error
        with file:
            begin, number, torn = 0, 1, False
            while not torn and (data := _read_more(file, path)):
                end = data.rfind(b"\n") + 1
                torn = end < len(data)
                offsets = check_lines(data := data[:end], path, begin, number)
                lines = _evaluations(data, path, number)
                if lines and number == 1:
                    _check_task(lines[0], path)
                yield Bunch(path, offsets, lines, number)
                begin, number = begin + end, number + len(offsets)


def _check_task(line: EvaluationLine, path: Path) -> None:
    """Check that a file, which one run wrote for one task, is in that task's folder."""
    key = json.loads(bytes(line.key))
    task = key.get("task") if isinstance(key, dict) else None
    if not isinstance(task, dict) or task.get("name") != path.parent.name:
        raise RecordError(
            f"{path}, line 1: expected an evaluation of task {path.parent.name!r}, got one of {str(task)[:80]}; move "
            "the file to where it belongs"
        )


def _read_more(file: IO[bytes], path: Path) -> bytes:
    try:
        return file.read(_CHUNK) + file.readline()
    except OSError as error:
        raise RecordError(f"cannot read {path}: {refusal(error)}; check its disk") from error


def _evaluations(data: bytes, path: Path, number: int) -> list[EvaluationLine]:
    try:
        lines = EVALUATIONS.decode_lines(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        _refuse_undecodable(EVALUATIONS, data, path, number)
    for index, line in enumerate(lines):
        if digest_of(memoryview(line.key)) != line.id:
            raise RecordError(
                f"{path}, line {number + index}: expected the id {digest_of(bytes(line.key))} of its key, got "
                f"{line.id}. The file was changed after it was written; {RESTORE}"
            )
    return lines


def read_evaluation(path: Path, offset: int) -> Evaluation:
    """Return the evaluation whose line begins at a byte of a file. Raises `RecordError` where it is damaged."""
    try:
        with open_file(path) as file:
            file.seek(offset)
            data = file.readline()
    except OSError as error:
        raise RecordError(f"cannot read {path}: {refusal(error)}; {RESTORE}") from error
    if not is_sound(data, offset):
        refuse_line(data, path, None)
    (line,) = _evaluations(data, path, 1)
    return evaluation_of(line, path)


def serving(
    recorded: Evaluation, epochs: int, deadline: float | None, metrics: Collection[str]
) -> Evaluation | None:
    """Return what a recorded evaluation is for a request; ``None`` where it cannot stand for it.

    A recorded timeout only stands for requests whose deadline is no longer than the one it ran into, and a
    success only where it has the metrics: a task may have learnt to measure more.

    Args:
        recorded: The evaluation.
        epochs: Epochs it must reach.
        deadline: Seconds it may take.
        metrics: Columns that its curve must have.
    """
    evaluation = recorded.at(epochs)
    if evaluation is None:
        return None
    if evaluation.status is Status.TIMEOUT and (
        deadline is None or evaluation.deadline is None or deadline > evaluation.deadline
    ):
        return None
    if evaluation.status is Status.OK and not all(metric in evaluation.curve for metric in metrics):
        return None
    return evaluation


def evaluation_of(line: EvaluationLine, path: Path, number: int | None = None) -> Evaluation:
    """Return the evaluation of a line, or raise `RecordError` where its fields contradict each other."""
    try:
        return line.evaluation()
    except (msgspec.MsgspecError, ValueError) as error:
        raise RecordError(
            f"{place_of(path, number)}: an evaluation record is damaged ({error}): {line.id}; {RESTORE}"
        ) from error


def _refuse_undecodable(decoder: msgspec.json.Decoder[Any], data: bytes, path: Path, number: int) -> NoReturn:
    """Raise `RecordError` naming the first of some lines that is not of the record's types."""
    for place, line in enumerate(data.splitlines(keepends=True), start=number):
        try:
            decoder.decode(line)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise RecordError(
                f"{path}, line {place}: {error}, in {line[:60]!r}. The file was damaged after it was written, or "
                f"written by another version of the project; {RESTORE}"
            ) from error
    raise RecordError(f"{path}: its lines are not one JSON object each; {RESTORE}")
