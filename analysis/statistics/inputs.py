"""What every analysis of a sweep starts from, computed once: incumbents, final values, complete blocks, cost axes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from analysis.statistics.curves import final_values
from analysis.statistics.ranks import Field, rankable
from analysis.statistics.steps import cost_axes, distinct_costs, incumbents, primary_cost
from analysis.statistics.tasks import TaskFacts, task_facts
from results.tables import SweepTables


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """A sweep, prepared for analysis.

    Attributes:
        tables: The sweep.
        best: What `analysis.statistics.steps.incumbents` returns.
        by_task: Its rows of every task that has some.
        finals: What `analysis.statistics.curves.final_values` returns: one row per finished study.
        facts: The facts of every planned task, by label, sorted.
        field: Which tasks, methods and repetitions can be compared over tasks, and what is left out.
        primary: The cost in which the budgets are counted.
        axes: The costs to draw besides, those left out that would repeat an earlier one.
    """

    tables: SweepTables
    best: pd.DataFrame
    by_task: Mapping[str, pd.DataFrame]
    finals: pd.DataFrame
    facts: Mapping[str, TaskFacts]
    field: Field
    primary: str
    axes: tuple[str, ...]

    def of_task(self, task: str) -> Inputs:
        """Return the inputs with the evaluations of one task only; plans and colours stay the sweep's."""
        tables = dataclasses.replace(
            self.tables, trials=self.tables.trials[self.tables.trials["task"] == task]
        )
        return dataclasses.replace(
            self,
            tables=tables,
            best=self.by_task.get(task, self.best.iloc[:0]),
            by_task={name: own for name, own in self.by_task.items() if name == task},
            finals=self.finals[self.finals["task"] == task],
        )


def prepare(tables: SweepTables) -> Inputs:
    """Prepare a sweep for analysis.

    Raises:
        AnalysisError: Nothing was told yet, two studies share a (task, searcher, repetition), or a task's
            references contradict its direction.
    """
    best = incumbents(tables)
    tasks = [str(task) for task in sorted(tables.tasks.index) if task in set(tables.studies["task"])]
    primary = primary_cost(tables, tasks)
    others = [cost for cost in cost_axes(tables) if cost != primary]
    axes = distinct_costs(best, [primary, *others])
    return Inputs(
        tables=tables,
        best=best,
        by_task={str(task): own for task, own in best.groupby("task", sort=True)},
        finals=final_values(tables, best),
        facts={task: task_facts(tables, task) for task in tasks},
        field=rankable(tables),
        primary=primary,
        axes=tuple(cost for cost in axes if cost != primary),
    )
