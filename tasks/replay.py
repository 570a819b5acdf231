"""Replays of recordings: real trainings of a task, recorded once, as an objective that costs microseconds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from harness.errors import DataError, nearest
from harness.interpolation import Coordinates, weights
from harness.keys import canonical_json
from harness.recording import KEPT, SECONDS, Recording, load, made
from harness.space import Config
from harness.task import Checkpoint, Data, RegretScale, Task
from harness.trial import Evaluation, Objective, Status

FOLDER: Final = Path(__file__).parent / "recordings"
"""Where the recordings are that come with the project."""

_DIVERGED: Final = KEPT.index(Status.DIVERGED)


class Replay(Task):
    """Replay recorded trainings: the same space, budgets, curves and seconds as the recorded task, without training.

    A sweep names a recording that comes with the project, ``replay/fashion_mlp-small``, or a file of one's own,
    ``{name: replay, options: {recording: my.parquet}}``; ``derby record`` makes them.

    - Finite spaces, and recorded configurations of others: what was recorded, to the last digit. A training seed
      that was recorded gives its own training; any other is given one of the recorded ones, by hashing configuration
      and seed, so that all methods meet the same luck at the same point.
    - Between recorded configurations: inverse distance weights of the nearest ones, one weight for each and for all of
      its curves, so that validation, test and seconds stay consistent; and the deviation of one real training of one
      of these from its configuration's mean, so that the seeds' noise stays. See `harness.interpolation`. No value
      leaves the range of what was recorded of its metric.
    - A configuration diverges as often as its neighbours did, by weight.
    - The cost of an epoch is the recorded seconds of one, and virtual time runs on it: parallel search is simulated
      with the running times of real trainings, and ``budget: {seconds: n}`` is possible.
    - Regret is 0 at the best value that was recorded, and 1 at the median configuration's.

    How far a race on a recording agrees with one on the task is in its certificate: see ``derby tasks replay``.
    """

    name = "replay"
    version = 1
    source = "see the recording: it names the source of the recorded task"
    slash = "recording"
    cheap = True

    class Options(Task.Options):
        """Options of the task."""

        recording: str = Field(
            "mnist_mlp-small",
            description="name of a recording that comes with the project, or a file's path",
        )

    options: Options
    cost_unit: ClassVar[str] = "s"

    @staticmethod
    def shipped() -> dict[str, Path]:
        """Return the recordings that come with the project, by name."""
        return {path.stem: path for path in sorted(FOLDER.glob("*.parquet"))}

    @property
    def path(self) -> Path:
        """The recording's file."""
        return path_of(self.options.recording)

    @property
    def label(self) -> str:
        """The recording's name, after the task's."""
        return f"{self.name}/{self.path.stem}"

    def _define(self) -> None:
        self.recording = recording = _load(self.path, *_stamp(self.path))
        self.space, self.fidelity, self.objective = recording.problem
        # Of the class elsewhere; here the recording says them.
        self.group = recording.about.group  # type: ignore[misc]
        self.source = recording.about.source  # type: ignore[misc]
        self.on_subset = recording.about.subset
        self.regret = _regret(recording, self.objective)

    @property
    def seeds_of(self) -> Mapping[str, Any]:
        """The recorded task: a search of the replay has the seeds that one of the task itself has."""
        task = self.recording.about.task
        return {name: task[name] for name in ("name", "version", "options")}

    @property
    def replayed(self) -> str:
        """What is replayed, in words."""
        return described(self.recording)

    @property
    def pinned_data(self) -> str:
        """The recording's digest."""
        return self.recording.digest

    def load(self) -> Data:
        """Return no arrays: every process reads the file itself, which takes milliseconds."""
        return {}

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
        """Return what a training would have given; see `Task.evaluate`."""
        whole = self._values.evaluation(config, seed)
        evaluation = whole.at(epochs) or whole
        if checkpoint is not None:
            checkpoint.curve = evaluation.curve
        return evaluation

    def cost(self, config: Config) -> float:
        """Return the seconds of an epoch, the mean over recorded epochs and seeds."""
        return self._values.seconds(config)

    @cached_property
    def _values(self) -> _Values:
        return _Values(self.recording)


class _Values:
    """A recording's values at any configuration."""

    def __init__(self, recording: Recording) -> None:
        self._of = recording
        self._coordinates = Coordinates.of(recording.space, recording.configs)
        ended = recording.status != -1
        self._ok = recording.status == KEPT.index(Status.OK)
        self._diverged = (recording.status == _DIVERGED).sum(axis=1) / ended.sum(axis=1)
        count = self._ok.sum(axis=1)
        self._usable = count > 0
        where = self._ok[:, :, None, None]
        sums = _summed(np.where(where, recording.curves, 0.0))
        self._mean = sums / np.maximum(count, 1)[:, None, None]
        # The deviations from a mean of few seeds are too small by this factor.
        self._spread = np.sqrt(count / np.maximum(count - 1, 1))
        self._setup = _summed(np.where(self._ok, recording.measured[:, :, 0], 0.0)) / np.maximum(count, 1)
        metrics = recording.about.metrics
        whole = recording.curves[self._ok]
        self._low, self._high = (
            (bound(whole, axis=(0, 2)) if len(whole) else np.zeros(len(metrics)))
            for bound in (np.min, np.max)
        )
        timed = SECONDS in metrics
        self._seconds = (
            _summed(np.moveaxis(self._mean[:, metrics.index(SECONDS)], 1, 0), axis=0)
            / recording.about.fidelity[1]
            if timed
            else np.ones(len(recording.configs))
        )

    def _neighbours(self, config: Config) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Return the recorded configurations that a configuration is made of, and their weights."""
        recording = self._of
        place = recording.places.get(canonical_json(dict(config)))
        if place is not None:
            return np.array([place]), np.ones(1)
        scales = recording.about.scales
        if scales is None:
            raise DataError(
                f"the recording of {recording.about.label} holds no training of {dict(config)}, and no scales by "
                "which it could be made of others; make it anew with `derby record`"
            )
        return weights(self._coordinates.distances(recording.space, config, scales), scales)

    def evaluation(self, config: Config, seed: int) -> Evaluation:
        """Return the whole training of a configuration with a seed."""
        recording = self._of
        near, weight = self._neighbours(config)
        draws = _Draws(config, seed)
        diverged = sum((weight * self._diverged[near]).tolist())
        if len(near) == 1:
            return self._recorded(int(near[0]), seed, draws)
        if draws.share() < diverged:
            place = self._drawn(near, weight * self._diverged[near], draws)
            return self._evaluation(place, draws.of(np.flatnonzero(recording.status[place] == _DIVERGED)))
        near, weight = near[self._usable[near]], weight[self._usable[near]]
        shares = (weight / sum(weight.tolist())).tolist()
        curve = np.zeros_like(self._mean[0])
        for place, share in zip(near.tolist(), shares, strict=True):
            curve += share * self._mean[place]
        donor = self._drawn(near, weight, draws)
        number = draws.of(np.flatnonzero(self._ok[donor]))
        curve += self._spread[donor] * (recording.curves[donor, number] - self._mean[donor])
        np.clip(curve, self._low[:, None], self._high[:, None], out=curve)
        setup = sum(
            share * float(self._setup[place]) for place, share in zip(near.tolist(), shares, strict=True)
        )
        return made(Status.OK, recording.about.metrics, curve, curve.shape[1], np.array([setup, 0.0]))

    def seconds(self, config: Config) -> float:
        """Return the seconds of an epoch."""
        near, weight = self._neighbours(config)
        usable = self._usable[near]
        if not usable.any():
            return float(self._seconds[self._usable].mean()) if self._usable.any() else 1.0
        near, weight = near[usable], weight[usable]
        return float(sum((weight * self._seconds[near]).tolist()) / sum(weight.tolist()))

    def _recorded(self, place: int, seed: int, draws: _Draws) -> Evaluation:
        """Return a recorded configuration's training with that seed, or with one that is drawn in its place."""
        there = np.flatnonzero(self._of.status[place] != -1)
        own = there[self._of.seeds[there] == seed]
        return self._evaluation(place, int(own[0]) if len(own) else draws.of(there))

    def _evaluation(self, place: int, number: int) -> Evaluation:
        return self._of.evaluation(place, number)

    @staticmethod
    def _drawn(near: NDArray[np.intp], weight: NDArray[np.float64], draws: _Draws) -> int:
        """Draw one of some configurations by weight."""
        left = draws.share() * sum(weight.tolist())
        for place, share in zip(near.tolist(), weight.tolist(), strict=True):
            left -= share
            if left < 0:
                return int(place)
        return int(near[int(np.argmax(weight))])


class _Draws:
    """Numbers that depend on nothing but a configuration and a seed."""

    def __init__(self, config: Config, seed: int) -> None:
        sha = hashlib.sha256(f"{seed} {canonical_json(dict(config))}".encode()).digest()
        self._words = iter(np.frombuffer(sha, "<u8").tolist())

    def share(self) -> float:
        """Return a number in [0, 1)."""
        return float(next(self._words) / 2.0**64)

    def of(self, numbers: NDArray[np.intp]) -> int:
        """Return one of some numbers."""
        return int(numbers[next(self._words) % len(numbers)])


def _summed(values: NDArray[np.float64], axis: int = 1) -> NDArray[np.float64]:
    """Add along an axis, one after the other: numpy's own sum depends on the processor's instructions."""
    total: NDArray[np.float64] = np.add.accumulate(values, axis=axis).take(-1, axis=axis)
    return total


def _regret(recording: Recording, objective: Objective) -> RegretScale | None:
    """Return the best recorded value, and that of the median configuration; ``None`` where they are one."""
    last = recording.curves[:, :, recording.about.metrics.index(objective.metric), -1]
    ok = recording.status == KEPT.index(Status.OK)
    finals = np.where(ok, last * objective.sign, np.nan)
    best = float(np.nanmin(finals)) * objective.sign if ok.any() else objective.failure
    failure = objective.sign * objective.failure
    ended = recording.status != -1
    means = _summed(np.where(ended, np.where(ok, finals, failure), 0.0)) / ended.sum(axis=1)
    middle = float(np.median(means)) * objective.sign
    return RegretScale(best, middle) if objective.sign * best < objective.sign * middle else None


def path_of(recording: str) -> Path:
    """Return the file of a recording: one that comes with the project by its name, or any by its path.

    Raises:
        DataError: There is no such recording.
    """
    known = Replay.shipped()
    if recording in known:
        return known[recording]
    path = Path(recording)
    if path.suffix == ".parquet" or path.exists():
        return path
    raise DataError(
        f"no recording is called {recording!r}; {nearest(recording, known)}, or give the path of a .parquet file that "
        "`derby record` made"
    )


def described(recording: Recording) -> str:
    """Return what is replayed, in words."""
    about = recording.about
    count, seeds = len(recording.configs), len(recording.seeds)
    words = (
        f"{recording.trainings} recorded trainings of {about.label}, {count} configurations × {seeds} seeds"
    )
    agreement = (about.certificate or {}).get("values", {}).get("spearman")
    return (
        f"{words}; rank correlation with fresh trainings {agreement:.2f}" if agreement is not None else words
    )


def _stamp(path: Path) -> tuple[int, int]:
    """Return what tells a changed file from the one that was read; zeros where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return 0, 0
    return stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=64)
def _load(path: Path, modified: int, size: int) -> Recording:
    """Read a recording once in a process, as long as its file stays as it is."""
    del modified, size  # part of the cache's key
    return load(path)
