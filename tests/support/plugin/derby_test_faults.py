"""A plug-in that breaks its contracts, one way after the other, as its options say."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import numpy as np
from pydantic import Field

from harness.options import Options
from harness.searcher import Searcher, Suggestion
from harness.space import Float, Space
from harness.task import Task
from harness.trial import Curve, Evaluation, Fidelity, Objective, Status


class UnspeakableError(Exception):
    """An exception that cannot be printed."""

    def __str__(self):
        raise RuntimeError("not even this")

    __repr__ = __str__


def _raised(error: BaseException) -> Any:
    raise error


RAISED = {
    "system_exit": lambda: SystemExit(0),
    "keyboard_interrupt": KeyboardInterrupt,
    "cancelled": asyncio.CancelledError,
    "generator_exit": GeneratorExit,
    "unspeakable": UnspeakableError,
    "surrogates": lambda: ValueError("\ud800 and so on"),
    "endless": lambda: ValueError("on and on " * 100_000),
}
"""What is raised, by name."""


def _sound(length: int, **changed: Any) -> Evaluation:
    """Return an evaluation with fields changed behind its back."""
    rows = {"val_loss": (0.5,) * length, "test_loss": (0.6,) * length, "seconds": (0.25,) * length}
    made = Evaluation(Status.OK, Curve(rows), length)
    for name, value in changed.items():
        object.__setattr__(made, name, value)
    return made


def _curve(**changed: tuple[float, ...]) -> Curve:
    return Curve({"val_loss": (0.5, 0.5), "test_loss": (0.6, 0.6), "seconds": (0.25, 0.25), **changed})


RETURNED = {
    "nothing": lambda: None,
    "text": lambda: "0.5",
    "number": lambda: 0.5,
    "numpy_epochs": lambda: _sound(1, epochs=np.int64(1)),
    "fewer_epochs": lambda: _sound(1, epochs=0),
    "negative_epochs": lambda: _sound(1, epochs=-1, status=Status.DIVERGED),
    "no_epochs": lambda: Evaluation(Status.DIVERGED, Curve(), 0),
    "nan_seconds": lambda: _sound(1, setup_seconds=float("nan")),
    "negative_seconds": lambda: _sound(2, curve=_curve(seconds=(1.0, -1.0))),
    "text_status": lambda: _sound(1, status="ok"),
    "array_message": lambda: _sound(1, message=np.zeros(3)),
    "array_confusion": lambda: _sound(1, confusion={"val": np.eye(2)}),
    "oblong_confusion": lambda: _sound(2, confusion={"val": ((1, 2),)}),
    "timeless_timeout": lambda: Evaluation(Status.TIMEOUT, Curve(), 0),
    "no_curve": lambda: _sound(1, curve={"val_loss": (0.5,)}),
    "lacks_metric": lambda: _sound(2, curve=Curve({"other": (0.5, 0.5)})),
    "reserved_metric": lambda: _sound(2, curve=_curve(step=(1.0, 1.0))),
    "bad_curve": lambda: Curve({"val_loss": (np.float32(0.5),)}),
    "nan_curve": lambda: Curve({"val_loss": (float("nan"),)}),
}
"""What `evaluate` returns, or raises on the way, by name."""

COSTS = {
    "cost_nan": float("nan"),
    "cost_infinite": float("inf"),
    "cost_zero": 0.0,
    "cost_negative": -1.0,
    "cost_nothing": None,
    "cost_text": "1",
    "cost_overflows": 1.7e308,
}
"""What `cost` returns, by name."""

DATA = {"data_nothing": None, "data_list": [1, 2], "data_objects": {"x": np.array([object()])}}
"""What `load` returns, by name."""

HARMLESS = ("none", "changes_folder", "changes_config", "integers")
"""What is put right, or was never wrong."""

FAULTS = (*RAISED, *RETURNED, *COSTS, *DATA, "data_exit", "heavy_checkpoint")
"""What fails the studies on it, and no other."""


class Faulty(Task):
    """A task that breaks its contract."""

    name = "faulty"
    source = "a test"

    class Options(Options):
        """How."""

        fault: str = Field("none", description="how")

    def _define(self):
        self.space = Space({"x": Float(0, 1)})
        self.fidelity = Fidelity(1, 2)
        self.objective = Objective("val_loss", "min", failure=10.0, test_metric="test_loss")

    @property
    def pinned_data(self):
        return "what it says"

    def load(self):
        if self.options.fault == "data_exit":
            raise SystemExit(0)
        return DATA.get(self.options.fault, {})

    def evaluate(self, config, *, epochs, seed, data, checkpoint=None, deadline=None):
        fault = self.options.fault
        if fault == "exit":
            os._exit(0)
        if fault in RAISED:
            raise RAISED[fault]()
        if fault in RETURNED:
            return RETURNED[fault]()
        if fault == "changes_folder":
            os.chdir("/")
        if fault == "changes_config":
            config["x"] = 7.0
        if fault == "integers":
            return _sound(epochs, setup_seconds=1)
        if fault == "heavy_checkpoint":
            checkpoint.state, checkpoint.nbytes = "weights", "heavy"
        return _sound(epochs)

    def cost(self, config):
        return COSTS.get(self.options.fault, 1.0)


class FaultyLine(Faulty):
    """The same, evaluated where the search is."""

    name = "faulty_line"
    cheap = True


SUGGESTED = {
    "text": lambda self: "x = 0.5",
    "configuration": lambda self: {"x": 0.5},
    "no_configuration": lambda self: Suggestion(None),
    "list_configuration": lambda self: Suggestion([0.5]),
    "half_epochs": lambda self: Suggestion({"x": 0.5}, epochs=1.5),
    "text_epochs": lambda self: Suggestion({"x": 0.5}, epochs="1"),
    "no_epochs": lambda self: Suggestion({"x": 0.5}, epochs=0),
    "too_many_epochs": lambda self: Suggestion({"x": 0.5}, epochs=3),
    "nan": lambda self: Suggestion({"x": float("nan")}),
    "outside": lambda self: Suggestion({"x": 2.0}),
    "text_value": lambda self: Suggestion({"x": "0.5"}),
    "array_value": lambda self: Suggestion({"x": np.zeros(2)}),
    "unknown_parameter": lambda self: Suggestion({"x": 0.5, "y": 0.5}),
    "number_as_name": lambda self: Suggestion({0: 0.5}),
    "missing_parameter": lambda self: Suggestion({}),
    "stranger": lambda self: Suggestion({"x": 0.5}, continues=Suggestion({"x": 0.5})),
    "no_suggestion_continued": lambda self: Suggestion({"x": 0.5}, continues="trial 0"),
    "nothing": lambda self: None,
}
"""What `_ask` returns first, by name."""

SEARCHER_FAULTS = (
    *SUGGESTED,
    *(f"{when}_{what}" for when in ("start", "ask", "tell") for what in RAISED),
    "other_configuration",
    "not_further",
)
"""What fails the studies with it, and no other."""


class Misguided(Searcher):
    """A searcher that breaks its contract."""

    name = "misguided"
    multi_fidelity = True

    class Settings(Options):
        """How."""

        fault: str = "none"

    def _do(self, when):
        fault = self.settings.fault
        if fault == f"{when}_exit":
            os._exit(0)
        if fault.startswith(f"{when}_") and fault.removeprefix(f"{when}_") in RAISED:
            raise RAISED[fault.removeprefix(f"{when}_")]()

    def _start(self):
        self._first = None
        self._do("start")

    def _ask(self):
        self._do("ask")
        fault = self.settings.fault
        if fault in SUGGESTED:
            return SUGGESTED[fault](self)
        if self._first is None:
            self._first = Suggestion({"x": 0.25}, epochs=1)
            return self._first
        x = 0.5 if fault == "other_configuration" else 0.25
        epochs = 1 if fault == "not_further" else 2
        return Suggestion({"x": x}, epochs=epochs, continues=self._first)

    def _tell(self, suggestion, loss):
        self._do("tell")
