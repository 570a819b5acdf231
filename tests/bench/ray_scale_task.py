"""The bench's own task: an evaluation that takes its time, costs no processor, and says when it ran."""

from __future__ import annotations

import time

from pydantic import Field

from harness.options import Options
from harness.space import Float, Space
from harness.task import Task
from harness.trial import Curve, Evaluation, Fidelity, Objective, Status


class Sleeping(Task):
    """Sleeps; its curve holds when it began and when it ended, in seconds since the epoch."""

    name = "sleeping"
    source = "a benchmark of the harness"

    class Options(Options):
        """How long."""

        seconds: float = Field(1.0, gt=0, strict=False, description="seconds an evaluation takes")

    def _define(self):
        self.space = Space({"x": Float(0, 1)})
        self.fidelity = Fidelity(1, 1)
        self.objective = Objective("value", "min", failure=1.0)

    def load(self):
        return {}

    def evaluate(self, config, *, epochs, seed, data, checkpoint=None, deadline=None):
        began = time.time()
        time.sleep(self.options.seconds)
        ended = time.time()
        curve = {"value": [config["x"]], "began": [began], "ended": [ended], "seconds": [ended - began]}
        return Evaluation(Status.OK, Curve(curve), 1)

    def cost(self, config):
        return 1.0
