"""Selection by validation, seen on the test set: overtuning over tasks and on one."""

from __future__ import annotations

import pandas as pd

from analysis import style, words
from analysis.figures.canvas import Plot, looks_of
from analysis.figures.charts import Panel, draw_forest
from analysis.statistics.bootstrap import mean_interval
from analysis.statistics.comparison import Comparison
from analysis.statistics.curves import shown_singly
from analysis.statistics.inputs import Inputs
from analysis.statistics.overtuning import mean_overtuning, overtuning
from analysis.words import joined
from harness.plurals import plural


def overtuning_over_tasks(inputs: Inputs, comparison: Comparison) -> Plot | None:
    """Draw the mean overtuning over tasks, in regret; ``None`` where no task has a test set and references."""
    rows = overtuning(inputs)
    rows = rows[rows["regret"].notna() & rows["searcher"].isin(comparison.searchers)]
    rows = rows[rows["task"].isin(list(comparison.scores))]
    if rows.empty:
        return None
    means = rows.pivot_table(index="task", columns="searcher", values="regret", aggfunc="mean")
    absent = [
        f"{name} ({plural(int(count), 'task')} without a success)"
        for name, count in means.isna().sum().items()
        if count
    ]
    means = means.dropna(axis=1)
    estimate = mean_interval(means.to_numpy(dtype=float))
    data = pd.DataFrame(
        {
            "searcher": means.columns.astype(str),
            "mean": estimate.mean,
            "low": estimate.low,
            "high": estimate.high,
            "tasks": len(means),
        }
    )
    order = [name for name in comparison.mean_ranks if name in set(data["searcher"])]
    singles = [(str(name), str(task), value) for name, own in means.items() for task, value in own.items()]
    units = pd.DataFrame(singles if shown_singly(len(means)) else [], columns=["searcher", "unit", "value"])
    caption = joined(
        "Overtuning: how much worse on the test set the final incumbent is than the best incumbent that the run ever "
        "had, in units of normalised regret; 0 means that selecting by validation lost nothing. Methods by mean "
        "rank.",
        f"Dots: mean over repetitions, then over {plural(len(means), 'task')} with a test set.",
        words.uncertainty([len(means)], "task", marks="Whiskers", singly="Small dots"),
        words.extent(comparison) + ".",
        words.few(comparison),
        words.end(inputs, comparison, absent),
    )
    return Plot(
        title="Overtuning over tasks",
        caption=caption,
        alt="Dots with whiskers. "
        + ", ".join(f"{row.searcher} {row.mean:.2g}" for row in data.itertuples())
        + ".",
        figure=draw_forest(
            [Panel("overtuning (regret)", data, line=0.0, units=units)],
            order,
            "Overtuning",
            looks_of(inputs.tables),
        ),
        data=data,
        units=units,
        details=words.scope(comparison),
    )


def overtuning_of_task(inputs: Inputs, task: str) -> Plot | None:
    """Draw the mean overtuning of every method on one task; ``None`` without a test set."""
    data = mean_overtuning(inputs)
    data = data[data["task"] == task]
    if data.empty:
        return None
    facts = inputs.facts[task]
    counts = {str(s): int(r) for s, r in zip(data["searcher"], data["repetitions"], strict=True)}
    order = style.ordered(counts)
    few = [name for name, count in counts.items() if shown_singly(count)]
    rows = overtuning(inputs)
    rows = rows[(rows["task"] == task) & rows["searcher"].isin(few)]
    units = pd.DataFrame(
        {
            "searcher": rows["searcher"],
            "unit": [f"repetition {number}" for number in rows["repetition"]],
            "value": rows["overtuning"],
        }
    ).reset_index(drop=True)
    caption = joined(
        f"Overtuning on {task}: how much worse on the test set ({facts.metrics['test']}) the final incumbent is than "
        "the best incumbent that the run ever had, in the metric's own unit; 0 means that selecting by validation "
        "lost nothing.",
        f"Dots: mean over finished repetitions with a success ({words.repetition_counts(counts)}, 1 task).",
        words.uncertainty(list(counts.values()), "repetition", marks="Whiskers", singly="Small dots"),
        words.caveats(inputs.tables, facts),
    )
    return Plot(
        title=f"Overtuning on {task}",
        caption=caption,
        alt="Dots with whiskers. "
        + ", ".join(f"{row.searcher} {row.mean:.2g}" for row in data.itertuples())
        + ".",
        figure=draw_forest(
            [Panel("overtuning", data, line=0.0, units=units)],
            order,
            f"Overtuning on {task}",
            looks_of(inputs.tables),
        ),
        data=data,
        units=units,
    )
