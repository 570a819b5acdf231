"""A plug-in as a third party would install it: tasks and searchers that make trouble, or tell what they do."""

from __future__ import annotations

import ctypes
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from harness.errors import DataError
from harness.options import Options
from harness.searcher import Searcher, Suggestion
from harness.space import Choice, Condition, Float, Int, Space
from harness.task import Checkpoint, Task
from harness.trial import Curve, Evaluation, Fidelity, Objective, Status


class Troublesome(Task):
    """A line, which makes trouble on the right half."""

    name = "troublesome"
    source = "a test"

    class Options(Options):
        """What trouble it makes."""

        trouble: Literal[
            *("none", "raise", "die", "die_once", "diverge", "no_data", "sleep", "short"),
            *("segfault", "hang", "late", "eat", "eat_in_c", "no_memory"),
        ] = "none"
        folder: str = Field("", description="where die_once leaves its mark and none counts its trainings")

    def _define(self):
        self.space = Space({"x": Float(0, 1), "n": Int(1, 3)})
        self.fidelity = Fidelity(1, 9)
        self.objective = Objective("val_loss", "min", failure=10.0, test_metric="test_loss")

    @property
    def pinned_data(self):
        return "a line"  # so that what is missing is missed when it is loaded

    def load(self):
        if self.options.trouble == "no_data":
            raise DataError("the line's data were not found; put them somewhere")
        return {}

    def evaluate(self, config, *, epochs, seed, data, checkpoint=None, deadline=None):
        trouble, x = self.options.trouble, config["x"]
        if self.options.folder:
            with open(os.path.join(self.options.folder, "trained"), "a") as file:
                file.write(f"{x} {config['n']} {epochs} {seed}\n")
        if trouble == "sleep":
            time.sleep(0.02)
        if trouble == "short":
            epochs -= 1
        if x > 0.5:
            if trouble == "raise":
                raise ZeroDivisionError("a bug in the task")
            if trouble == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if trouble == "die_once":
                mark = os.path.join(self.options.folder, f"died-{x}")
                if not os.path.exists(mark):
                    open(mark, "w").close()
                    os.kill(os.getpid(), signal.SIGKILL)
            if trouble == "segfault":
                ctypes.string_at(0)
            if trouble == "hang":
                time.sleep(3600)
            if trouble == "late":
                time.sleep(2 * deadline)
                curve = self._curve(config, seed, 1)
                return Evaluation(Status.TIMEOUT, curve, 1, message="it was late", deadline=deadline)
            if trouble in ("eat", "eat_in_c"):
                self._eat(heeding=trouble == "eat")
            if trouble == "no_memory":
                raise MemoryError("none left on the device")
            if trouble == "diverge":
                curve = self._curve(config, seed, 1)
                return Evaluation(Status.DIVERGED, curve, 2, message="the loss became NaN in epoch 2")
        return Evaluation(Status.OK, self._curve(config, seed, epochs), epochs)

    def _eat(self, *, heeding):
        """Take a gigabyte and keep it for a minute, in which exceptions are heeded or, as in C, are not."""
        eaten, until = [], time.monotonic() + 60
        while time.monotonic() < until:
            try:
                eaten += [b"x" * (1 << 20) for _ in range(1024 - len(eaten))]
                time.sleep(0.01 if heeding else 60)
            except MemoryError:
                if heeding:
                    raise

    def _curve(self, config, seed, epochs):
        noise = random.Random(seed).random() / 100
        values = [config["x"] / epoch + config["n"] + noise for epoch in range(1, epochs + 1)]
        test = [value + 0.1 for value in values]
        return Curve({"val_loss": values, "test_loss": test, "seconds": [0.25] * epochs})

    def cost(self, config):
        return float(config["n"])


class Recorded(Troublesome):
    """The same as if it had been recorded: an epoch costs the seconds that it took then."""

    name = "recorded"
    cost_unit = "s"

    def cost(self, config):
        return 0.25 * (1 + config["x"]) * config["n"]


class Watched(Task):
    """A training that can be continued, takes a while, and writes down who trains what, where and when."""

    name = "watched"
    source = "a test"

    class Options(Options):
        """How long it takes and where it writes."""

        seconds: float = Field(0.0, description="of one epoch")
        folder: str = Field("", description="where the file ``watched`` is written; nothing by default")

    def _define(self):
        self.space = Space({"x": Float(0, 1), "n": Int(1, 3)})
        self.fidelity = Fidelity(1, 9)
        self.objective = Objective("val_loss", "min", failure=10.0, test_metric="test_loss")

    @classmethod
    def prepare(cls, threads, gpu_share=1.0):
        cls.share = gpu_share
        return "cpu"

    def load(self):
        return {}

    def evaluate(self, config, *, epochs, seed, data, checkpoint=None, deadline=None):
        checkpoint = checkpoint or Checkpoint.fresh()
        curve, weight = checkpoint.curve, checkpoint.state
        if weight is None:
            weight = random.Random(seed).random()
        self._write("begin", config, seed, curve.epochs, epochs)
        self._gather()
        first = curve.epochs
        for _ in range(first, epochs):
            time.sleep(self.options.seconds)
            weight = (weight + config["x"] * config["n"]) / 2
            curve = curve.extended({"val_loss": weight, "test_loss": weight + 0.1, "seconds": 0.25})
        checkpoint.curve, checkpoint.state, checkpoint.nbytes = curve, weight, 8
        self._write("end", config, seed, first, epochs)
        return Evaluation(Status.OK, curve, curve.epochs)

    def _gather(self):
        """Wait, a minute at most, for as many devices to train as the file ``gather`` of the folder says, if any."""
        folder, until = Path(self.options.folder), time.monotonic() + 60
        if not self.options.folder or not (folder / "gather").exists():
            return
        wanted = int((folder / "gather").read_text())
        while time.monotonic() < until:
            lines = (folder / "watched").read_text().splitlines(keepends=True)
            begun = [json.loads(line) for line in lines if line.endswith("\n")]
            if len({(entry["node"], entry["visible"]) for entry in begun}) >= wanted:
                return
            time.sleep(0.05)

    def _write(self, event, config, seed, first, last):
        if not self.options.folder:
            return
        line = {
            "event": event,
            "time": time.time(),
            "training": [config["x"], config["n"], seed],
            "first": first,
            "last": last,
            "pid": os.getpid(),
            "share": getattr(self, "share", None),
            "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
            **_place(),
        }
        with open(os.path.join(self.options.folder, "watched"), "a") as file:
            file.write(json.dumps(line) + "\n")

    def cost(self, config):
        return float(config["n"])


class Measured(Task):
    """A task whose data are what a user's file holds: the value of everything is their mean."""

    name = "measured"
    source = "a test"

    class Options(Options):
        """Where they lie."""

        file: str

    def _define(self):
        self.space = Space({"x": Float(0, 1)})
        self.fidelity = Fidelity(1, 1)
        self.objective = Objective("val_loss", "min", failure=10.0)

    def load(self):
        return {"numbers": np.loadtxt(self.options.file)}

    def evaluate(self, config, *, epochs, seed, data, checkpoint=None, deadline=None):
        curve = Curve({"val_loss": [float(data["numbers"].mean())], "seconds": [0.25]})
        return Evaluation(Status.OK, curve, 1)

    def cost(self, config):
        return 1.0


class Noisy(Task):
    """A bowl with a condition, whose seeds matter, and which diverges in its third epoch where told to."""

    name = "noisy"
    source = "a test"
    group = "bowl"
    scoring_options = frozenset({"epochs", "objective"})

    class Options(Options):
        """What it is."""

        finite: bool = False
        noise: float = 0.05
        diverges: float = Field(0.0, description="share of the trainings that diverge on the far right")
        epochs: int = 4
        objective: Literal["val_loss", "val_gain"] = "val_loss"
        folder: str = Field("", description="where a line is left for each training")

    def _define(self):
        ratio = Choice((0.0, 0.25, 0.5, 0.75, 1.0)) if self.options.finite else Float(0, 1)
        self.space = Space(
            {"x": ratio, "kind": Choice(("plain", "bent")), "bend": Int(1, 3)},
            conditions={"bend": Condition("kind", ("bent",))},
            references={"middle": {"x": 0.5, "kind": "plain"}},
        )
        self.fidelity = Fidelity(1, self.options.epochs)
        if self.options.objective == "val_loss":
            self.objective = Objective("val_loss", "min", failure=10, test_metric="test_loss")
        else:
            self.objective = Objective("val_gain", "max", failure=-10)

    def load(self):
        return {}

    def evaluate(self, config, *, epochs, seed, data, checkpoint=None, deadline=None):
        if self.options.folder:
            time.sleep(0.02)
            with open(os.path.join(self.options.folder, "trained"), "a") as file:
                file.write(f"{dict(config)} {seed}\n")
        own = random.Random(f"{config} {seed}")
        deviation = self.options.noise * own.gauss(0, 1)
        lost = config["x"] > 0.7 and own.random() < self.options.diverges and epochs >= 3
        reached = 2 if lost else epochs
        level = (config["x"] - 0.3) ** 2 + 0.1 * config.get("bend", 0) + deviation
        losses = [level + 1 / epoch for epoch in range(1, reached + 1)]
        curve = Curve(
            {
                "val_loss": losses,
                "val_gain": [-loss for loss in losses],
                "test_loss": [loss + 0.1 for loss in losses],
                "seconds": [0.5 + config["x"]] * reached,
            }
        )
        if lost:
            return Evaluation(Status.DIVERGED, curve, 3, lost_seconds=0.5, message="the loss became NaN")
        return Evaluation(Status.OK, curve, epochs, setup_seconds=0.125)

    def cost(self, config):
        return 1.0


class HeldOut(Task):
    """A task with examples held out: what is validated on is told by the values, and so is what is tested on."""

    name = "held_out"
    source = "a test"
    draws_splits = True

    def _define(self):
        self.space = Space({"x": Float(0, 1)})
        self.fidelity = Fidelity(1, 1)
        self.objective = Objective("val_loss", "min", failure=1e9, test_metric="test_loss")

    def load(self):
        return {"train": 2.0 ** np.arange(8), "val": 2.0 ** np.arange(8, 12), "test": np.array([3.0, 4.0])}

    def split(self, data, seed):
        both = np.random.default_rng(seed).permutation(np.concatenate([data["train"], data["val"]]))
        return {**data, "train": both[:8], "val": both[8:]}

    def evaluate(self, config, *, epochs, seed, data, checkpoint=None, deadline=None):
        values = {"val_loss": data["val"].sum() + config["x"], "test_loss": data["test"].sum() + seed}
        curve = Curve({name: [float(value)] for name, value in values.items()} | {"seconds": [0.25]})
        return Evaluation(Status.OK, curve, 1)

    def cost(self, config):
        return 1.0


class Line(Watched):
    """The same, quick enough to be evaluated where the search is."""

    name = "line"
    cheap = True


def _place() -> dict[str, Any]:
    """Node and GPUs, where this process is Ray's."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return {}
    return {"node": ray.get_runtime_context().get_node_id(), "gpus": ray.get_gpu_ids()}


class Breaking(Searcher):
    """Proposes random points, and raises at a chosen trial; draws differently when told to by the environment."""

    name = "breaking"
    parallel = True

    class Settings(Options):
        """When it breaks."""

        at: int = 1000

    def _start(self):
        self._random = random.Random(self.seed + int(os.environ.get("DERBY_TEST_DRIFT", "0")))
        self._count = 0

    def _ask(self):
        if self._count == self.settings.at:
            raise ArithmeticError("the library broke")
        self._count += 1
        return Suggestion(
            self.problem.space.from_unit([self._random.random() for _ in self.problem.space.parameters])
        )

    def _tell(self, suggestion, loss):
        pass


class Drifting(Breaking):
    """A `breaking` that goes on from recorded trials."""

    name = "drifting"

    def _take(self, config, loss):
        self._random.random()


class Dying(Breaking):
    """Proposes random points, and takes its process along at a chosen trial."""

    name = "dying"

    def _ask(self):
        if self._count == self.settings.at:
            ctypes.string_at(0)
        return super()._ask()
