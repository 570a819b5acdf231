"""A plug-in as a third party would install it: a task and a searcher that make trouble on demand."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import Literal

from pydantic import Field

from harness.errors import DataError
from harness.options import Options
from harness.searcher import Searcher, Suggestion
from harness.space import Float, Int, Space
from harness.task import Task
from harness.trial import Curve, Evaluation, Fidelity, Objective, Status


class Troublesome(Task):
    """A line, which makes trouble on the right half."""

    name = "troublesome"
    source = "a test"

    class Options(Options):
        """What trouble it makes."""

        trouble: Literal["none", "raise", "die", "die_once", "diverge", "no_data", "sleep", "short"] = "none"
        folder: str = Field("", description="where die_once leaves its mark and none counts its trainings")

    def _define(self):
        self.space = Space({"x": Float(0, 1), "n": Int(1, 3)})
        self.fidelity = Fidelity(1, 9)
        self.objective = Objective("val_loss", "min", failure=10.0, test_metric="test_loss")

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
            if trouble == "diverge":
                curve = self._curve(config, seed, 1)
                return Evaluation(Status.DIVERGED, curve, 2, message="the loss became NaN in epoch 2")
        return Evaluation(Status.OK, self._curve(config, seed, epochs), epochs)

    def _curve(self, config, seed, epochs):
        noise = random.Random(seed).random() / 100
        values = [config["x"] / epoch + config["n"] + noise for epoch in range(1, epochs + 1)]
        test = [value + 0.1 for value in values]
        return Curve({"val_loss": values, "test_loss": test, "seconds": [0.25] * epochs})

    def cost(self, config):
        return float(config["n"])


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
