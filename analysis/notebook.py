"""What notebooks and scripts start from: results read from any folder, prepared once, and drawn as was chosen."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from analysis import style
from analysis.errors import AnalysisError
from analysis.figures import named
from analysis.figures.canvas import Plot, write_drawing
from analysis.figures.chosen import Chosen, choose
from analysis.statistics.comparison import Comparison, compare
from analysis.statistics.inputs import Inputs, prepare
from harness.errors import SweepError, nearest
from harness.figure_fields import FiguresSpec, parse, recorded
from results import merge
from results.sources import source_names, source_of
from results.tables import SweepTables


def read(*folders: str | Path) -> SweepTables:
    """Read recorded results; works while a sweep runs.

    Args:
        folders: Of each: a sweep's folder (``results/local/sweeps/NAME``), a results folder with one sweep, tables that
            ``derby export`` wrote, or a published folder. Several are merged as ``derby compare`` does.

    Returns:
        The tables as DataFrames: ``trials``, ``studies``, ``tasks``, ``epochs``, ``reevaluations``; and ``provenance``.

    Raises:
        RecordError: A folder is none of these, is damaged, or several cannot be compared; the message says why.
        SweepError: No folder is given.
    """
    if not folders:
        raise SweepError('expected one or more folders, such as derby.read("results/local/sweeps/NAME")')
    sources = [source_of(Path(folder)) for folder in folders]
    if len(sources) == 1:
        return merge.read(sources[0])
    names = source_names(sources)
    return merge.merged({name: merge.read(source) for name, source in zip(names, sources, strict=True)})


def select(tables: SweepTables, **choices: Any) -> SweepTables:
    """Return the tables of some methods and tasks alone, under other names; everything is then computed of these.

    Args:
        tables: What `read` returned.
        choices: ``only`` (labels of methods), ``tasks`` (labels of tasks), ``labels`` (other names by label).

    Raises:
        SweepError: The sweep has no such method or task, or a choice has no such field.
    """
    if unknown := sorted(choices.keys() - {"only", "tasks", "labels"}):
        raise SweepError(
            f"select takes no {unknown[0]!r}; {nearest(unknown[0], ('only', 'tasks', 'labels'))}"
        )
    return choose(tables, _spec(choices), "select").tables


@dataclass(frozen=True, slots=True, eq=False)
class Analysed:
    """Results and what every statistic of them starts from."""

    inputs: Inputs

    @property
    def comparison(self) -> Comparison:
        """The comparison of the methods, or `AnalysisError` with the reason why there is none."""
        return _compared(self.inputs)

    def task(self, task: str | None) -> str:
        """Return a task's label: the one given, or the only one.

        Raises:
            AnalysisError: There is no such task, or there are several and none is given.
        """
        tasks = list(self.inputs.facts)
        if task is None and len(tasks) == 1:
            return tasks[0]
        if task is None:
            raise AnalysisError(f"expected one of several tasks; say which: {', '.join(tasks)}")
        if task not in tasks:
            raise AnalysisError(f"the sweep has no task {task!r}; {nearest(task, tasks)}")
        return task

    def cost(self, over: str | None) -> str:
        """Return a cost's column: the one named, or that in which the budget is counted."""
        if over is None:
            return self.inputs.primary
        if over not in named.OVER:
            raise AnalysisError(f"no cost is called {over!r}; {nearest(over, named.OVER)}")
        return named.OVER[over]


@functools.lru_cache(maxsize=4)  # by identity: tables are not changed
def analysed(tables: SweepTables) -> Analysed:
    """Return the analysis of tables, prepared when they are first seen."""
    return Analysed(prepare(tables))


@functools.lru_cache(maxsize=4)
def _compared(inputs: Inputs) -> Comparison:
    return compare(inputs)


def plot(
    tables: SweepTables, name: str, *, task: str | None = None, over: str | None = None, **choices: Any
) -> Plot:
    """Draw a figure, with its caption and the numbers drawn.

    Args:
        tables: What `read` returned.
        name: One of `analysis.figures.named.FIGURES`.
        task: Label of a task, as it is shown.
        over: A cost to draw over, such as ``evaluations``, ``epochs`` or ``seconds``.
        choices: Fields of `harness.figure_fields.FiguresSpec`, such as ``width="3.3in"``. They are said later than
            the block ``figures`` of the sweep's file, which holds for the rest.

    Returns:
        ``figure`` (matplotlib's), ``caption``, ``details``, ``alt``, ``data`` and ``units`` (DataFrames).

    Raises:
        SweepError: A choice is unusable.
        AnalysisError: There is no such figure, or it has nothing to show.
    """
    spec = _spec(choices).over(recorded(str(tables.provenance.get("sweep", ""))))
    chosen = _chosen(tables, spec.model_dump_json())
    with style.using(chosen.style):
        drawn = named.draw(analysed(chosen.tables).inputs, name, task=chosen.task(task), over=over).plot
        with style.applied():  # all of it, so that whoever shows it makes nothing in another style
            drawn.figure.draw_without_rendering()
    return drawn


@functools.lru_cache(maxsize=8)
def _chosen(tables: SweepTables, spec: str) -> Chosen:
    return choose(tables, FiguresSpec.model_validate_json(spec))


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure of `plot`, in the format that the file's ending says, without a time of creation.

    Raises:
        SweepError: The ending is none of ``.pdf``, ``.svg`` and ``.png``.
    """
    target = Path(path)
    ending = target.suffix.removeprefix(".").lower()
    if ending not in style.SAVING:
        raise SweepError(
            f"{target}: expected a name that ends in {', '.join(f'.{own}' for own in style.SAVING)}"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    write_drawing(figure, target, ending)
    return target


def _spec(choices: dict[str, Any]) -> FiguresSpec:
    """Return choices as fields, also from tuples and other sequences."""
    plain = {
        name: list(value) if isinstance(value, (tuple, set, frozenset)) else value
        for name, value in choices.items()
    }
    return parse(plain, "the figure's options")
