"""Replays of recordings: real trainings of a task, recorded once, as an objective that costs microseconds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from harness.errors import DataError, nearest
from harness.interpolation import Coordinates, weights
from harness.keys import TaskKey
from harness.plurals import plural
from harness.recording import DIVERGED, OK, SECONDS, Recording, curve_of, in_order, named
from harness.recording_file import load
from harness.space import Config
from harness.task import Checkpoint, Data, Known, RegretScale, Task
from harness.trial import Evaluation, Status

FOLDER: Final = Path(__file__).parent / "recordings"
"""Where the recordings are that come with the project."""

_SHORTEST: Final = 1e-9
"""Least seconds of an epoch: a clock may show none, and virtual time must go on."""

Neighbours = tuple[NDArray[np.intp], NDArray[np.float64]]
"""Numbers of configurations, nearest first, and their weights."""


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
      with the running times of real trainings. Where no seconds were recorded, all epochs cost the same.
    - Regret is 0 at the best value that was recorded after any epoch, and 1 at the median configuration's.

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
        self._values = _values(self.path, *_stamp(self.path))
        self.recording = recording = self._values.recording
        self.space, self.fidelity, self.objective = recording.problem
        # Of the class elsewhere; here the recording says them.
        self.group = recording.about.group  # type: ignore[misc]
        self.source = recording.about.source  # type: ignore[misc]
        self.on_subset = recording.about.subset
        self.regret = _regret(recording)
        self.known = _known(recording)

    @property
    def seeds_of(self) -> Mapping[str, Any]:
        """The recorded task: a search of the replay has the seeds that one of the task itself has."""
        return TaskKey(**self.recording.about.task).searched

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
        """Return what a training would have given; see `Task.evaluate`. A deadline is never reached."""
        evaluation = self._values.evaluation(config, seed, epochs)
        if checkpoint is not None:
            checkpoint.curve = evaluation.curve
        return evaluation

    def cost(self, config: Config) -> float:
        """Return the seconds of an epoch, the mean over recorded epochs and seeds."""
        return self._values.seconds(config)


class _Values:
    """A recording's values at any configuration.

    Whatever adds up does so in a fixed order: the same bits on every processor.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._coordinates = Coordinates.of(recording.space, recording.configs)
        ok, diverged = recording.status == OK, recording.status == DIVERGED
        count = ok.sum(axis=1)
        self._usable = count > 0
        self._diverged = diverged.sum(axis=1) / (ok | diverged).sum(axis=1)
        # Means over the seeds that succeeded.
        self._mean = np.zeros((len(ok), *recording.curves.shape[1:]))
        for there, training in zip(ok.T, recording.training.T, strict=True):
            self._mean[there] += recording.curves[training[there]]
        self._mean /= np.maximum(count, 1)[:, None, None]
        self._setup = in_order(np.where(ok, recording.measured[:, :, 0], 0.0), axis=1) / np.maximum(count, 1)
        # Deviations from a mean of few seeds are too small by this factor.
        self._spread = np.sqrt(count / np.maximum(count - 1, 1))
        succeeded = recording.curves[recording.training[ok]]
        self._low, self._high = (bound(succeeded, axis=(0, 2))[:, None] for bound in (np.min, np.max))
        self._seconds = _epoch_seconds(recording.about.metrics, self._mean)
        self._typical = float(np.median(self._seconds[self._usable]))
        self._latest: tuple[str, Neighbours] | None = None
        self._made: dict[tuple[int, int, int], Evaluation] = {}

    def evaluation(self, config: Config, seed: int, epochs: int) -> Evaluation:
        """Return the training of a configuration with a seed, of so many epochs."""
        text = named(config)
        near, weight = self._neighbours(config, text)
        draws = _Draws(text, seed)
        if len(near) == 1:
            there = np.flatnonzero(self.recording.status[near[0]] >= 0)
            own = there[self.recording.seeds[there] == seed]
            return self._recorded(int(near[0]), int(own[0]) if len(own) else draws.of(there), epochs)
        diverged, usable = weight * self._diverged[near], self._usable[near]
        if not usable.any() or draws.share() < sum(diverged.tolist()):
            place = draws.by(near, diverged)
            return self._recorded(place, draws.of(self._seeds_that(DIVERGED, place)), epochs)
        near, weight = near[usable], weight[usable]
        share = weight / in_order(weight, axis=0)
        donor = draws.by(near, weight)
        training = self.recording.training[donor, draws.of(self._seeds_that(OK, donor))]
        curve = in_order(share[:, None, None] * self._mean[near, :, :epochs], axis=0)
        noise = self.recording.curves[training, :, :epochs] - self._mean[donor, :, :epochs]
        curve = np.clip(curve + self._spread[donor] * noise, self._low, self._high)
        return Evaluation(
            Status.OK,
            curve_of(self.recording.about.metrics, curve),
            curve.shape[1],
            setup_seconds=float(in_order(share * self._setup[near], axis=0)),
        )

    def seconds(self, config: Config) -> float:
        """Return the seconds of an epoch; where all neighbours diverged, those of the median configuration."""
        near, weight = self._neighbours(config, named(config))
        usable = self._usable[near]
        if not usable.any():
            return self._typical
        near, weight = near[usable], weight[usable]
        return float(in_order(weight * self._seconds[near], axis=0) / in_order(weight, axis=0))

    def _neighbours(self, config: Config, text: str) -> Neighbours:
        """Return the recorded configurations that a configuration is made of, and their weights."""
        place = self.recording.places.get(text)
        if place is not None:
            return np.array([place]), np.ones(1)
        if self._latest is None or self._latest[0] != text:  # asked for its cost first, then evaluated
            scales = self.recording.about.scales
            if scales is None:
                raise DataError(
                    f"the recording of {self.recording.about.label} holds no training of {text}, and no scales by "
                    "which it could be made of others; make it anew with `derby record`"
                )
            self._latest = text, weights(self._coordinates.distances(config, scales), scales)
        return self._latest[1]

    def _seeds_that(self, status: int, place: int) -> NDArray[np.intp]:
        return np.flatnonzero(self.recording.status[place] == status)

    def _recorded(self, place: int, number: int, epochs: int) -> Evaluation:
        """Return a training as it was recorded, made once."""
        name = place, number, epochs
        if name not in self._made:
            whole = self.recording.evaluation(place, number)
            self._made[name] = whole.at(epochs) or whole
        return self._made[name]


def _epoch_seconds(metrics: Sequence[str], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean seconds of an epoch of each configuration, positive as a cost must be; 1 without a clock."""
    if SECONDS not in metrics:
        return np.ones(len(mean))
    epochs = mean[:, metrics.index(SECONDS)]
    seconds: NDArray[np.float64] = np.maximum(in_order(epochs, axis=1) / epochs.shape[1], _SHORTEST)
    return seconds


class _Draws:
    """Numbers that depend on nothing but a configuration and a seed."""

    def __init__(self, text: str, seed: int) -> None:
        sha = hashlib.sha256(f"{seed} {text}".encode()).digest()
        self._words = iter(np.frombuffer(sha, "<u8").tolist())

    def share(self) -> float:
        """Return a number in [0, 1): 53 bits, as a float holds them."""
        return float((next(self._words) >> 11) * 2.0**-53)

    def of(self, numbers: NDArray[np.intp]) -> int:
        """Return one of some numbers."""
        return int(numbers[next(self._words) % len(numbers)])

    def by(self, numbers: NDArray[np.intp], weight: NDArray[np.float64]) -> int:
        """Return one of some numbers by weight."""
        upto = np.add.accumulate(weight)
        place = np.searchsorted(upto, self.share() * upto[-1], side="right")
        return int(numbers[min(int(place), int(np.flatnonzero(weight)[-1]))])


def _regret(recording: Recording) -> RegretScale | None:
    """Return the best value that was recorded after any epoch, and the median configuration's at full fidelity.

    ``None`` where they are one.
    """
    _, _, objective = recording.problem
    every = objective.sign * recording.curves[:, recording.about.metrics.index(objective.metric)]
    best, middle = float(np.nanmin(every)), float(np.median(recording.mean_losses))
    return RegretScale(objective.sign * best, objective.sign * middle) if best < middle else None


def _known(recording: Recording) -> Known:
    """Return the best and the median configuration at full fidelity, each by its mean over the recorded seeds.

    A search sees one seed of a configuration, and may be luckier than the best mean.
    """
    _, _, objective = recording.problem
    losses, sign = recording.mean_losses, objective.sign
    first = int(np.argmin(losses))
    count, seeds = len(losses), len(recording.seeds)
    each = f"each by its mean over {seeds} seeds" if seeds > 1 else "each with one seed"
    which = (
        f"all {plural(count, 'configuration')}"
        if recording.whole
        else f"{plural(count, 'recorded configuration')}"
    )
    best_test = median_test = None
    if objective.test_metric is not None:
        test = _mean_test_losses(recording, objective.test_metric, sign)
        middle = float(np.median(test))
        best_test = sign * float(test[first]) if np.isfinite(test[first]) else None
        median_test = sign * middle if np.isfinite(middle) else None
    return Known(
        sign * float(losses[first]),
        sign * float(np.median(losses)),
        f"the best of {which}, {each}",
        f"the median of {which}, {each}",
        best_test,
        median_test,
    )


def _mean_test_losses(recording: Recording, metric: str, sign: float) -> NDArray[np.float64]:
    """Return the mean test loss of each configuration over the seeds that succeeded; infinite where none did."""
    ok = recording.status == OK
    last = sign * recording.curves[:, recording.about.metrics.index(metric), -1]
    values = np.where(ok, last[recording.training], 0.0)
    count = ok.sum(axis=1)
    mean: NDArray[np.float64] = np.where(count > 0, in_order(values, axis=1) / np.maximum(count, 1), np.inf)
    return mean


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
        f"{plural(recording.trainings, 'recorded training')} of {about.label}, {plural(count, 'configuration')} × "
        f"{plural(seeds, 'seed')}"
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
def _values(path: Path, modified: int, size: int) -> _Values:
    """Read a recording once in a process, as long as its file stays as it is."""
    del modified, size  # part of the cache's key
    return _Values(load(path))
