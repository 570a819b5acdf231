"""What pictures need besides the tables: recorded confusion matrices, and networks looked into, as array files."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np

from harness.errors import WriteError, refusal
from harness.keys import EvaluationKey
from harness.task import Inspection
from harness.trial import ConfusionMatrix
from results.layout import Layout, make_folder
from results.reading import evaluation_of, read_evaluations

_BEFORE, _AFTER = "before:", "after:"
_UNREADABLE: Final = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile)


def confusion_matrices(
    root: Path, task: str, wanted: Iterable[tuple[str, int]]
) -> dict[str, dict[str, ConfusionMatrix]]:
    """Return recorded confusion matrices, by evaluation id and part (``"val"``, ``"test"``).

    Args:
        root: The results folder.
        task: Registered name of the task.
        wanted: Ids of evaluations with the epochs after which their matrices are wanted. What was recorded after
            other epochs only is missing from the result.
    """
    epochs = dict(wanted)
    found: dict[str, dict[str, ConfusionMatrix]] = {}
    for bunch in read_evaluations(Layout(root).evaluations(task)):
        for number, line in enumerate(bunch.lines, start=bunch.number):
            if line.epochs == epochs.get(line.id) and line.id not in found:
                confusion = evaluation_of(line, bunch.path, number).confusion
                if confusion:
                    found[line.id] = dict(confusion)
    return found


def save_inspection(root: Path, key: EvaluationKey, epochs: int, inspection: Inspection) -> None:
    """Keep an inspection, so that its pictures can be drawn again without training.

    Raises:
        WriteError: It cannot be written.
    """
    path = _path(root, key, epochs)
    make_folder(path.parent)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    arrays = {
        **{_BEFORE + name: value for name, value in inspection.before.items()},
        **{_AFTER + name: value for name, value in inspection.after.items()},
        "images": inspection.images,
        "labels": inspection.labels,
        "predicted": inspection.predicted,
        "classes": np.frombuffer(json.dumps(inspection.classes).encode(), np.uint8),
    }
    try:
        with draft.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise WriteError(f"cannot write {path}: {refusal(error)}; make room or mend the folder") from error


def load_inspection(root: Path, key: EvaluationKey, epochs: int) -> Inspection | None:
    """Return a kept inspection; ``None`` where there is none, or its file is damaged and must be made anew."""
    path = _path(root, key, epochs)
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return Inspection(
            before={n.removeprefix(_BEFORE): v for n, v in arrays.items() if n.startswith(_BEFORE)},
            after={n.removeprefix(_AFTER): v for n, v in arrays.items() if n.startswith(_AFTER)},
            images=arrays["images"],
            labels=arrays["labels"],
            predicted=arrays["predicted"],
            classes=tuple(json.loads(arrays["classes"].tobytes())),
        )
    except _UNREADABLE:
        return None


def _path(root: Path, key: EvaluationKey, epochs: int) -> Path:
    return Layout(root).inspection(key.task.name, key.id, epochs)
