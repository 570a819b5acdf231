"""Figures of trained networks: learning curves, confusion matrix, weights before and after, test images."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from analysis import style
from analysis.figures.canvas import Plot, blank, settle, shortened
from analysis.reproduction.published import Line, class_name, curves, measured
from analysis.reproduction.shown import AFTER, BEFORE, Shown, Violin, densities
from analysis.statistics.bootstrap import FEWEST_UNITS, RESAMPLES, mean_interval
from analysis.words import grouped, joined
from harness.plurals import plural

_PARTS: Final = {
    "train": ("training", style.Look("#0072b2", style.SOLID, "")),
    "val": ("validation", style.Look("#d55e00", style.DASHED, "")),
}
_CURVES: Final = {"loss": "loss", "accuracy": "accuracy"}
_COLORS: Final = {BEFORE: "#9a9a9a", AFTER: "#0072b2"}
_WRONG: Final = "#d55e00"
_COLUMNS: Final = 8


def learning_curves(line: Line) -> Plot | None:
    """Draw training and validation loss and accuracy over epochs; ``None`` where there are none."""
    frame = curves(line)
    wanted = [
        (metric, part) for metric in _CURVES for part in _PARTS if f"{part}_{metric}" in frame and len(frame)
    ]
    if not wanted:
        return None
    pieces = []
    for metric, part in wanted:
        table = frame.pivot_table(index="repetition", columns="epoch", values=f"{part}_{metric}")
        estimate = mean_interval(table.to_numpy(dtype=float))
        pieces.append(
            pd.DataFrame(
                {
                    "metric": metric,
                    "part": part,
                    "epoch": table.columns,
                    "mean": estimate.mean,
                    "low": estimate.low,
                    "high": estimate.high,
                    "repetitions": len(table),
                }
            )
        )
    data = pd.concat(pieces, ignore_index=True)
    repetitions = int(data["repetitions"].iloc[0])
    metrics = list(dict.fromkeys(metric for metric, _ in wanted))
    logarithmic = _spans_orders(data[data["metric"] == "loss"]["mean"].to_numpy(dtype=float))
    with style.applied():
        figure, panels = _panels(_title(line, "learning curves"), 1, len(metrics), style.PAGE_WIDTH, 2.5)
        for metric, axes in zip(metrics, panels, strict=True):
            for part, (_, look) in _PARTS.items():
                own = data[(data["metric"] == metric) & (data["part"] == part)]
                if own.empty:
                    continue
                marker = "o" if len(own) == 1 else None
                axes.plot(
                    own["epoch"], own["mean"], color=look.color, linestyle=look.linestyle, marker=marker
                )
                if repetitions >= FEWEST_UNITS:
                    axes.fill_between(
                        own["epoch"], own["low"], own["high"], color=look.color, alpha=0.18, linewidth=0
                    )
            axes.set_xlabel("epoch")
            axes.set_ylabel(_CURVES[metric])
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            axes.margins(x=0.02)
            if metric == "loss" and logarithmic:
                axes.set_yscale("log")
        shown = [part for part in _PARTS if part in set(data["part"])]
        handles = [Line2D([], [], color=_PARTS[p][1].color, linestyle=_PARTS[p][1].linestyle) for p in shown]
        figure.legend(handles, [_PARTS[p][0] for p in shown], loc="outside lower center", ncols=2)
        settle(figure)
    last = data.groupby(["metric", "part"], sort=False)["mean"].last().reset_index()
    return Plot(
        title=f"Learning curves: {line.experiment.label}",
        caption=joined(
            f"Loss and accuracy of {line.experiment.label} on {line.task} after each epoch, on the training images "
            "(averaged over the epoch while the weights move) and on the validation images; losses include penalties.",
            f"Lines: mean over {plural(repetitions, 'repetition')}."
            + (
                f" Bands: 95 % percentile bootstrap intervals of the mean ({RESAMPLES} resamples of repetitions)."
                if repetitions >= FEWEST_UNITS
                else f" No interval, which needs {FEWEST_UNITS} repetitions."
            ),
            "The loss axis is logarithmic." if logarithmic else "",
            _warning(line),
        ),
        alt="Line plots over epochs. After the last one: "
        + "; ".join(
            f"{row['part']} {row['metric']} {measured(row['mean'])}" for row in last.to_dict("records")
        )
        + ".",
        figure=figure,
        data=data,
    )


def confusion_matrix(line: Line) -> Plot | None:
    """Draw the row-normalised confusion matrix on the test images; ``None`` where none was recorded."""
    if not line.confusion:
        return None
    counts = np.asarray(line.confusion, dtype=float)
    size = len(counts)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    names = [class_name(line, i) for i in range(size)]
    true, predicted = (axis.ravel() for axis in np.meshgrid(range(size), range(size), indexing="ij"))
    data = pd.DataFrame(
        {
            "true": [names[i] for i in true],
            "predicted": [names[i] for i in predicted],
            "count": counts.astype(int).ravel(),
            "share": shares.ravel(),
        }
    )
    with style.applied():
        figure, (axes,) = _panels(_title(line, "confusion matrix"), 1, 1, 5.0, 4.3)
        axes.grid(visible=False)
        edges = np.arange(size + 1) - 0.5
        mesh = axes.pcolormesh(edges, edges, shares, cmap="Blues", vmin=0, vmax=1, linewidth=0)
        for i in range(size):
            for j in range(size):
                percent = 100 * shares[i, j]
                text = "" if counts[i, j] == 0 else "<1" if percent < 0.5 else str(int(percent + 0.5))
                color = "white" if shares[i, j] > 0.55 else "#222222"
                axes.text(j, i, text, ha="center", va="center", fontsize=7, color=color)
        slanted = max(map(len, names)) > 2
        axes.set_xticks(
            range(size), names, rotation=45 if slanted else 0, ha="right" if slanted else "center"
        )
        axes.set_yticks(range(size), names)
        axes.set_ylim(size - 0.5, -0.5)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")
        axes.set_aspect("equal")
        bar = figure.colorbar(mesh, ax=axes, shrink=0.8)
        bar.set_label("share of the true class")
        bar.outline.set_linewidth(0.4)
        settle(figure)
    worst = data[data["true"] != data["predicted"]].nlargest(1, "share").iloc[0]
    return Plot(
        title=f"Confusion matrix: {line.experiment.label}",
        caption=joined(
            f"Predictions of {line.experiment.label} on the test images of {line.task} after the last epoch, in per "
            f"cent of each true class (a row sums to 100), summed over {plural(line.confusions, 'repetition')}. An "
            "empty cell is 0.",
            _warning(line),
        ),
        alt=f"Matrix of {size} classes. Mean of the diagonal {np.mean(np.diag(shares)):.1%}; most often confused: "
        f"{worst['true']} taken for {worst['predicted']} ({worst['share']:.1%}).",
        figure=figure,
        data=data,
    )


def weights(line: Line, shown: Shown) -> Plot | None:
    """Draw violins of each layer's weights before and after training; ``None`` where there are none."""
    layers = list(dict.fromkeys(violin.layer for violin in shown.violins))
    if not layers:
        return None
    rows, columns = math.ceil(len(layers) / 4), min(len(layers), 4)
    with style.applied():
        width = style.PAGE_WIDTH if columns > 1 else style.COLUMN_WIDTH
        figure, panels = _panels(_title(line, "weights"), rows, columns, width, 0.5 + 2.1 * rows)
        for name, axes in zip(layers, panels, strict=False):
            for violin in shown.violins:
                if violin.layer == name:
                    _draw_violin(axes, violin)
                    axes.set_title(f"{name.removesuffix('/kernel')} ({grouped(violin.count)})")
            axes.set_xticks([0, 1], ["before", "after"])
            axes.set_xlim(-0.55, 1.55)
            axes.tick_params(axis="x", length=0)
            axes.grid(visible=False, axis="x")
            axes.yaxis.set_major_locator(MaxNLocator(5))
        for axes in panels[len(layers) :]:
            axes.set_visible(False)
        for axes in panels[::columns]:
            axes.set_ylabel("weight")
        handles = [Patch(color=color) for color in _COLORS.values()]
        figure.legend(handles, ["before training", "after training"], loc="outside lower center", ncols=2)
        settle(figure)
    deviations = {(violin.layer, violin.when): violin.deviation for violin in shown.violins}
    return Plot(
        title=f"Weights before and after training: {line.experiment.label}",
        caption=joined(
            f"Violins of each layer's kernel in {line.experiment.label} on {line.task}, repetition 1, before the first "
            "epoch and after the last; the number of weights in brackets. Each violin is a Gaussian kernel density "
            "estimate (Scott's bandwidth) over the whole range of the weights, scaled to equal width; bar and dot are "
            "quartiles and median. Every panel has its own axis.",
            f"Left out: the first {plural(shown.left_out, 'layer')}." if shown.left_out else "",
            _warning(line),
        ),
        alt="Violins. Standard deviation before and after: "
        + "; ".join(
            f"{name} {deviations[name, BEFORE]:.3g}, {deviations[name, AFTER]:.3g}" for name in layers
        )
        + ".",
        figure=figure,
        data=densities(shown),
    )


def predictions(line: Line, shown: Shown) -> Plot | None:
    """Draw the first test images with predicted and true classes; ``None`` where there are none."""
    count = len(shown.images)
    if not count:
        return None
    true, predicted = shown.true, shown.predicted
    wrong = [a != b for a, b in zip(true, predicted, strict=True)]
    rows, columns = math.ceil(count / _COLUMNS), min(count, _COLUMNS)
    with style.applied():
        title = _title(line, f"the first {count} test images")
        figure, panels = _panels(title, rows, columns, style.PAGE_WIDTH, 0.45 + 1.1 * rows)
        for i, axes in enumerate(panels):
            axes.grid(visible=False)
            axes.set_xticks([])
            axes.set_yticks([])
            if i >= count:
                axes.set_visible(False)
                continue
            image = shown.images[i]
            axes.imshow(image, cmap="gray_r" if image.ndim == 2 else None, interpolation="nearest")
            text = f"{predicted[i]}\ntrue: {true[i]}" if wrong[i] else f"{predicted[i]}\n"
            color = _WRONG if wrong[i] else "#222222"
            axes.set_title(text, fontsize=6.5, color=color, pad=2, linespacing=1.05)
            for spine in axes.spines.values():
                spine.set(
                    visible=True, color=_WRONG if wrong[i] else "#bbbbbb", linewidth=1.4 if wrong[i] else 0.4
                )
        settle(figure)
    data = pd.DataFrame(
        {"image": range(count), "true": true, "predicted": predicted, "right": ~np.array(wrong)}
    )
    return Plot(
        title=f"The first {count} test images: {line.experiment.label}",
        caption=joined(
            f"The first {count} test images of {line.task} with the class that {line.experiment.label}, repetition 1, "
            "predicts after the last epoch, from left to right. Wrong ones are framed and have the true class in the "
            f"second line: {sum(wrong)} of {count}.",
            _warning(line),
        ),
        alt=f"{count} small images in a grid; {sum(wrong)} predicted wrongly"
        + "".join(f"; {t} as {p}" for t, p, bad in zip(true, predicted, wrong, strict=True) if bad)
        + ".",
        figure=figure,
        data=data,
    )


def _draw_violin(axes: Axes, violin: Violin) -> None:
    """Draw one violin around its place on the horizontal axis."""
    place, color = list(_COLORS).index(violin.when), _COLORS[violin.when]
    half = 0.42 * violin.density / violin.density.max()
    axes.fill_betweenx(violin.weight, place - half, place + half, color=color, alpha=0.75, linewidth=0.4)
    low, middle, high = violin.quartiles
    axes.plot([place, place], [low, high], color="black", linewidth=2.2, solid_capstyle="butt")
    axes.plot(
        [place], [middle], color="black", marker="o", markersize=4, markerfacecolor="white", linewidth=0
    )


def _spans_orders(losses: NDArray[np.float64]) -> bool:
    """Whether losses are positive and so far apart that only a logarithmic axis shows them."""
    return bool(len(losses)) and float(losses.min()) > 0 and float(losses.max() / losses.min()) > 100


def _title(line: Line, what: str) -> str:
    return f"{line.experiment.label}: {what}"


def _warning(line: Line) -> str:
    return f"Not comparable with published figures: {line.incomparable}." if line.incomparable else ""


def _panels(title: str, rows: int, columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure at its final size in inches, and its panels row by row."""
    figure = blank(width, height)
    panels: list[Axes] = list(np.ravel(figure.subplots(rows, columns)))
    figure.suptitle(shortened(title, int(width * 14)))
    return figure, panels
