"""Winners re-evaluated: values in the search beside values with fresh seeds, over tasks and on one."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis import style, words
from analysis.figures.canvas import Plot, looks_of
from analysis.figures.charts import Panel, draw_forest
from analysis.statistics.bootstrap import RESAMPLES, mean_interval
from analysis.statistics.comparison import Comparison
from analysis.statistics.inputs import Inputs
from analysis.statistics.reevaluation import mean_reevaluation, reevaluation
from analysis.words import joined
from harness.plurals import plural

_WHAT = (
    "each run's final incumbent as the search saw it ({left}), trained again with {seeds} that no search used, which "
    "is charged to nobody ({middle}), and by how much the former was better ({right}). Above 0 it was lucky: the best "
    "of many values that vary with the seed is best by chance, too. Luck with the validation examples is not in it, "
    "where these are the same"
)


def luck_over_tasks(inputs: Inputs, comparison: Comparison) -> Plot | None:
    """Draw regret in the search, with fresh seeds, and their difference, as means over tasks; ``None`` without any."""
    runs = reevaluation(inputs)
    runs = runs[runs["searcher"].isin(comparison.searchers) & runs["task"].isin(list(comparison.scores))]
    scales = {task: facts.references for task, facts in inputs.facts.items()}
    runs = runs[runs["regret"].notna()]
    if runs.empty:
        return None
    rows = zip(runs["task"], runs["selected"], runs["again"], strict=True)
    regrets = [(scale.regret(one), scale.regret(two)) for task, one, two in rows if (scale := scales[task])]
    runs = runs.assign(one=[one for one, _ in regrets], two=[two for _, two in regrets])
    means = {
        name: runs.pivot_table(index="task", columns="searcher", values=column, aggfunc="mean")
        for name, column in (("selected", "one"), ("again", "two"), ("luck", "regret"))
    }
    lacking = means["luck"].isna().sum()
    absent = [
        f"{name} ({plural(int(n), 'task')} without a winner trained again)"
        for name, n in lacking.items()
        if n
    ]
    names = [str(name) for name in means["luck"].columns[lacking == 0]]
    data = pd.DataFrame({"searcher": names, "tasks": len(means["luck"])})
    for name, table in means.items():
        estimate = mean_interval(table[names].to_numpy(dtype=float))
        data = data.assign(
            **{name: estimate.mean, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
        )
    order = [name for name in comparison.mean_ranks if name in set(names)]
    if not order:
        return None
    caption = joined(
        f"Winners re-evaluated, in units of normalised regret: {_what(inputs)}. Methods by mean rank.",
        f"Dots: mean over repetitions, then over {plural(len(means['luck']), 'task')}.",
        f"Whiskers: {words.INTERVAL}, resampling tasks ({RESAMPLES} resamples)."
        if len(means["luck"]) > 1
        else "One task: no interval over tasks.",
        _failures(inputs, list(comparison.scores), comparison.searchers),
        f"{words.extent(comparison)}.",
        words.few(comparison),
        words.end(inputs, comparison, absent),
    )
    return _plot("Winners re-evaluated over tasks", caption, data, order, "regret", inputs)


def luck_on_task(inputs: Inputs, task: str) -> Plot | None:
    """Draw the values in the search, with fresh seeds, and their difference on one task; ``None`` without any."""
    data = mean_reevaluation(inputs)
    data = data[(data["task"] == task) & (data["repetitions"] > 0)].reset_index(drop=True)
    if data.empty:
        return None
    facts = inputs.facts[task]
    counts = {str(s): int(r) for s, r in zip(data["searcher"], data["repetitions"], strict=True)}
    metric = facts.metrics["validation"]
    caption = joined(
        f"Winners re-evaluated on {task} ({metric}): {_what(inputs)}.",
        f"Dots: mean over finished repetitions with a winner ({words.repetition_counts(counts)}, 1 task).",
        f"Whiskers: {words.INTERVAL}, resampling repetitions ({RESAMPLES} resamples)."
        if max(counts.values()) > 1
        else "One repetition: no interval.",
        _failures(inputs, [task], list(counts)),
        words.caveats(inputs.tables, facts),
    )
    return _plot(f"Winners re-evaluated on {task}", caption, data, style.ordered(counts), metric, inputs)


def _plot(
    title: str, caption: str, data: pd.DataFrame, order: Sequence[str], unit: str, inputs: Inputs
) -> Plot:
    panels = [
        _panel(f"{unit} in the search", data, "selected"),
        _panel(f"{unit} with fresh seeds", data, "again"),
        _panel("luck", data, "luck", line=0.0),
    ]
    return Plot(
        title=title,
        caption=caption,
        alt="Dots with whiskers in three panels. Luck: "
        + ", ".join(f"{row.searcher} {row.luck:.2g}" for row in data.itertuples())
        + ".",
        figure=draw_forest(panels, order, title, looks_of(inputs.tables)),
        data=data,
    )


def _panel(label: str, data: pd.DataFrame, name: str, line: float | None = None) -> Panel:
    ends = {name: "mean", f"{name}_low": "low", f"{name}_high": "high"}
    return Panel(label, data[["searcher", *ends]].rename(columns=ends), line)


def _what(inputs: Inputs) -> str:
    left, middle, right = words.sides(3)
    seeds = plural(int(inputs.tables.reevaluations["number"].max()), "fresh seed")
    return _WHAT.format(seeds=seeds, left=left, middle=middle, right=right)


def _failures(inputs: Inputs, tasks: Sequence[str], searchers: Sequence[str]) -> str:
    """Name what failed and what is missing; empty where all succeeded."""
    rows = inputs.tables.reevaluations
    rows = rows[rows["task"].isin(list(tasks)) & rows["searcher"].isin(list(searchers))]
    counts = rows.loc[rows["status"] != "ok", "status"].value_counts().sort_index()
    if counts.empty:
        return ""
    said = ", ".join(f"{number} {status}" for status, number in counts.items())
    return f"Of {len(rows)} re-evaluations {said}; these have no value and are left out."
