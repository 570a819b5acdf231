"""In words: what so few tasks or repetitions cannot show, and how many could."""

from __future__ import annotations

import numpy as np

from analysis.statistics.comparison import Comparison
from analysis.statistics.independent import fewest_runs
from analysis.statistics.paired import POWER, repetitions_needed
from analysis.statistics.significance import ALPHA, fewest_blocks
from harness.plurals import plural


def few_tasks(comparison: Comparison) -> str:
    """Return the sentences on what so few tasks cannot say, and how many could; empty with enough of them."""
    if not comparison.few:
        return ""
    k = len(comparison.searchers)
    return (
        f"With {plural(len(comparison.scores), 'task')} no test over tasks could show a difference, however clear: "
        f"{plural(k, 'method')} need at least {plural(comparison.final.needed, 'task')} (signed-rank tests with Holm's "
        f"correction over {plural(k * (k - 1) // 2, 'pair')}). No statement about tasks in general is made. Methods "
        "are compared over repetitions within each task, which speaks about these tasks only."
    )


def planning(comparison: Comparison, task: str) -> str:
    """Return what the repetitions of a task can detect, and how many the observed differences would need, in words."""
    data = comparison.within[comparison.within["task"] == task]
    count, tests = int(data["repetitions"].max()), int(data["comparisons"].iloc[0])
    fewest = (fewest_blocks if comparison.paired else fewest_runs)(comparisons=tests)
    spreads = data["sd"].to_numpy(dtype=float)
    spreads = spreads[np.isfinite(spreads) & (spreads > 0)]
    if count < fewest:
        sentence = (
            f"{plural(count, 'repetition').capitalize()} cannot show a difference at {ALPHA:g} after this correction, "
            f"however large: at least {fewest} are needed."
        )
    elif spreads.size:
        detectable = data["detectable"].to_numpy(dtype=float)
        middle = float(np.median(detectable[np.isfinite(detectable)]))
        sentence = (
            f"These repetitions detect a true mean difference of {middle:.2g} with a power of {POWER:g} (median over "
            "the comparisons, for normal differences of the spread observed)."
        )
    else:
        return ""
    if not spreads.size:
        return sentence
    spread = float(np.median(spreads))
    needs = {
        part: repetitions_needed(part * spread, spread, comparisons=tests, paired=comparison.paired)
        for part in (1.0, 0.5, 0.25)
    }
    needed = ", ".join(f"{part * spread:.2g} needs {number}" for part, number in needs.items())
    return f"{sentence} A difference of {needed} repetitions."
