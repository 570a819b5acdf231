"""Time the search itself takes."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from analysis import words
from analysis.figures.canvas import Plot, by_end, leading, standing_back
from analysis.figures.curves import draw_lines
from analysis.statistics.inputs import Inputs
from analysis.statistics.overhead import overhead_over_history, overhead_shares, search_seconds
from analysis.words import joined
from harness.plurals import plural


def search_time(inputs: Inputs, highlight: Collection[str] | None = None) -> Plot | None:
    """Draw the time of ask and tell over the length of the history; ``None`` where it is 0 throughout."""
    seconds = search_seconds(inputs.tables)
    data = overhead_over_history(seconds)
    if not data["mean"].max() > 0:
        return None
    shares = overhead_shares(seconds).set_index("searcher")["share"]
    floor = float(data.loc[data["mean"] > 0, "mean"].min())
    tasks = int(seconds["task"].nunique())
    looks = leading(inputs.tables, by_end(data, -1.0), highlight)
    caption = joined(
        "Search overhead: seconds that a method takes to propose an evaluation and to be told of it, over the number "
        "of evaluations asked so far.",
        f"Lines: median over {plural(tasks, 'task')} and all finished repetitions; bands: 10 % to 90 % quantiles, a "
        "spread and no interval. Both axes are logarithmic.",
        standing_back(looks, data["searcher"]),
    )
    last = data.groupby("searcher")["mean"].last()
    figure, curves = draw_lines(
        data,
        "Search time per evaluation",
        "evaluations asked",
        "seconds of ask and tell",
        looks,
        log=True,
        floor=floor / 2,
    )
    return Plot(
        title="Time of the search itself",
        caption=caption,
        details="Share of search in all seconds: "
        + words.by_method(shares.map(_percent))
        + ". Seconds are as measured while the sweep ran, on whatever else the machine did. Neighbouring counts of "
        "evaluations are pooled where they would overlap; times of 0 are drawn at the lower end of the axis.",
        alt="Step curves. Seconds per evaluation at the end: " + words.by_method(last, ".2g") + ".",
        figure=figure,
        data=data.rename(columns={"mean": "median", "low": "quantile_10", "high": "quantile_90"}),
        curves=[curves],
    )


def _percent(share: float) -> str:
    return "none" if not np.isfinite(share) else f"{100 * share:.2g} %"
