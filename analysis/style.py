"""The look of every figure: one frozen colour, dash and marker per method, sizes, fonts and fixed metadata.

What a user chooses in its place is a `Style`, in force inside `using`: drawing functions ask here for widths, sizes and
looks, and none is handed a style.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import itertools
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import matplotlib as mpl
from fontTools import subset  # type: ignore[import-untyped]
from matplotlib import font_manager

from harness.figure_fields import DASHES

Dash = tuple[float, ...]
"""Lengths of marks and gaps in line widths; empty is solid."""

SOLID: Final[Dash] = DASHES["solid"]
DASHED: Final[Dash] = DASHES["dashed"]
DOTTED: Final[Dash] = DASHES["dotted"]
DASH_DOT: Final[Dash] = DASHES["dash-dot"]
LONG: Final[Dash] = DASHES["long"]
DASH_DOT_DOT: Final[Dash] = DASHES["dash-dot-dot"]


@dataclass(frozen=True, slots=True)
class Look:
    """How one method is drawn."""

    color: str
    dash: Dash
    marker: str

    @property
    def linestyle(self) -> tuple[float, Dash]:
        """The dash as matplotlib wants it."""
        return (0.0, self.dash)


# Colours from Okabe & Ito (2008) and Tol's "muted" scheme, both made for colour-blind readers, then others chosen to
# lie apart from these in normal and deficient sight. No scheme keeps this many apart by hue alone: no two entries share
# both dash and marker, and two whose colours are close share neither.
LOOKS: Final = MappingProxyType(
    {
        "random": Look("#7f7f7f", DASHED, "o"),
        "grid": Look("#000000", DOTTED, "s"),
        "optuna_tpe": Look("#0072b2", SOLID, "^"),
        "skopt_gp": Look("#d55e00", SOLID, "D"),
        "gpyopt_gp": Look("#e69f00", LONG, "v"),
        "hyperopt_tpe": Look("#56b4e9", DASH_DOT, "<"),
        "optuna_cmaes": Look("#009e73", SOLID, "X"),
        "optuna_gp": Look("#882255", LONG, "P"),
        "optuna_hyperband": Look("#332288", SOLID, "*"),
        "kerastuner_bayes": Look("#cc79a7", DASH_DOT, ">"),
        "pyswarms_pso": Look("#999933", DASH_DOT_DOT, "p"),
        "optuna_sha": Look("#7b3294", LONG, "o"),
        "optuna_qmc": Look("#5b5bd6", DASH_DOT, "P"),
        "hyperopt_random": Look("#8c564b", DASH_DOT_DOT, "s"),
        "hyperopt_anneal": Look("#1f4e79", DASHED, "p"),
        "kerastuner_random": Look("#3b82f6", DOTTED, "D"),
        "kerastuner_grid": Look("#556b2f", LONG, ">"),
        "kerastuner_hyperband": Look("#c44e9b", DASH_DOT_DOT, "<"),
        "raytune_asha": Look("#aa4499", DOTTED, "X"),
        "raytune_hyperopt": Look("#00b37d", DASHED, "^"),
        "raytune_optuna": Look("#6699cc", DASH_DOT_DOT, "*"),
        "skopt_forest": Look("#005f60", DASH_DOT, "v"),
        "skopt_gbrt": Look("#17becf", LONG, "s"),
        "references": Look("#b22222", DOTTED, "v"),
        "smac_forest": Look("#d14108", DASHED, "s"),
        "smac_gp": Look("#a6b92f", DOTTED, "*"),
        "smac_hyperband": Look("#1b3442", DASH_DOT_DOT, "X"),
        "dehb": Look("#791d06", DASH_DOT, "X"),
        "raytune_search": Look("#7230e8", DASHED, "P"),
        "nevergrad": Look("#3c206f", DOTTED, ">"),
        "nevergrad_cma": Look("#6713ae", DASH_DOT_DOT, "v"),
        "nevergrad_de": Look("#810e35", SOLID, "o"),
        "nevergrad_oneplusone": Look("#cb6e4d", DASH_DOT, "o"),
        "nevergrad_pso": Look("#6f2067", SOLID, "<"),
        "pymoo_ga": Look("#6f2620", DASHED, "*"),
        "pymoo_de": Look("#0e815c", DOTTED, "p"),
        "pymoo_mixed_ga": Look("#181cdc", DOTTED, "<"),
        "ax_botorch": Look("#3c0634", SOLID, "s"),
        "flaml_cfo": Look("#13064c", SOLID, "v"),
        "flaml_blendsearch": Look("#8289e6", SOLID, "P"),
    }
)
"""The searchers that ship, in the order of legends. Frozen: changing one changes every figure published with it."""

QUIET: Final = Look("#b9bec4", SOLID, "")
"""How a method is drawn that stands back behind others: thin, grey, without marker and band."""

# What the fixed entries leave: unnamed methods have other markers than the named ones.
_COLORS = ("#44aa99", "#aa4499", "#117733", "#0072b2", "#d55e00", "#332288", "#882255", "#e69f00")
_DASHES = (DASHED, DOTTED, DASH_DOT_DOT, DASH_DOT, LONG, SOLID)
_MARKERS = ("h", "d", "8", "H")
_REMAINDER: Final = tuple(
    Look(color, dash, marker) for color, dash, marker in itertools.product(_COLORS, _DASHES, _MARKERS)
)


def look(name: str) -> Look:
    """Return the look of a method: its fixed entry, or one of the remainder chosen by its name alone."""
    return LOOKS.get(name) or _REMAINDER[_position(name)]


def looks(names: Iterable[str]) -> dict[str, Look]:
    """Return the looks of the methods of one sweep: those of the style, or all different.

    Each is that of `look`, so it is the same in every figure and sweep, except where two unnamed
    methods chose the same entry (about 1 in 200 pairs): the later name then takes the next free one.
    """
    chosen = current().looks
    result: dict[str, Look] = {}
    taken: set[Look] = set()
    for name in ordered(names):
        if name in chosen:
            result[name] = chosen[name]
            continue
        entry, position = look(name), _position(name)
        while entry in taken:
            position = (position + 1) % len(_REMAINDER)
            entry = _REMAINDER[position]
        result[name] = entry
        taken.add(entry)
    return result


def highlighted(looks: Mapping[str, Look], names: Collection[str]) -> dict[str, Look]:
    """Return the looks with all but those of ``names`` replaced by `QUIET`."""
    return {name: look if name in names else QUIET for name, look in looks.items()}


def ordered(names: Iterable[str]) -> list[str]:
    """Return distinct names in the order of legends: those of the style, then the fixed entries, the rest by name."""
    first = {name: index for index, name in enumerate(current().order)}
    known = {name: index for index, name in enumerate(LOOKS)}
    return sorted(
        set(names), key=lambda name: (first.get(name, len(first)), known.get(name, len(known)), name)
    )


def _position(name: str) -> int:
    """Return a position in the remainder that depends on the name only."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % len(_REMAINDER)


COLUMN_WIDTH: Final = 3.3
PAGE_WIDTH: Final = 6.9
"""Final widths in inches: one column, and the page, of a two-column paper."""

TEXT: Final = 8.0
"""Points of titles and axes."""


@dataclass(frozen=True, slots=True)
class Style:
    """What a user chooses of the figures' look; the default is the project's own.

    Attributes:
        width: Of every figure in inches; ``None``: `COLUMN_WIDTH` or `PAGE_WIDTH`, each figure its own.
        font: Family of texts; empty for `FONT`.
        size: Points of titles and axes; all other texts, and the room for them, are in proportion.
        comma: Whether numbers have a decimal comma.
        titles: Whether figures have their title in them.
        formats: Files of each figure.
        order: Methods that come first in legends.
        looks: Looks of methods that have others than `looks` would give them.
        note: What every caption ends with: what is left out by choice.
        brief: Whether a report has only the figures that are read first, each as one image.
    """

    width: float | None = None
    font: str = ""
    size: float = TEXT
    comma: bool = False
    titles: bool = True
    formats: tuple[str, ...] = ("pdf", "svg", "png")
    order: tuple[str, ...] = ()
    looks: Mapping[str, Look] = field(default_factory=dict)
    note: str = ""
    brief: bool = False

    @property
    def fitted(self) -> bool:
        """Whether texts must be made to fit: the default sizes were chosen so that they do."""
        return self.width is not None or self.size != TEXT or bool(self.font)


_STYLE: ContextVar[Style] = ContextVar("style", default=Style())  # noqa: B039 - frozen


def current() -> Style:
    """Return the style in force."""
    return _STYLE.get()


def numbers() -> str:
    """Return where the numbers of a figure are, for captions: a brief report has no files of them."""
    return "The numbers that `derby figure` writes" if current().brief else "The numbers in the CSV"


@contextmanager
def using(style: Style) -> Iterator[None]:
    """Draw in a style inside this."""
    token = _STYLE.set(style)
    try:
        yield
    finally:
        _STYLE.reset(token)


LEAST_PANEL: Final = 2.2
"""Inches of width that a panel needs: where there are fewer, panels lie below each other."""


def column_width() -> float:
    """Return the width of a figure that fits a column, in inches."""
    return current().width or COLUMN_WIDTH


def page_width() -> float:
    """Return the width of a figure that fits a page, in inches."""
    return current().width or PAGE_WIDTH


def beside(panels: int, least: float = LEAST_PANEL) -> int:
    """Return how many of some panels a figure of a page's width has beside each other.

    Args:
        panels: How many there are; all of them lie beside each other on a page of the default width.
        least: Inches that each needs where another width was chosen.
    """
    width = current().width
    return panels if width is None else max(1, min(panels, int(width / (least * scaled(1.0)))))


def scaled(amount: float) -> float:
    """Return a size of text in points, or the inches that lines of text take, in proportion to the texts' size."""
    size = current().size
    return amount if size == TEXT else amount * size / TEXT


def numeral(text: str) -> str:
    """Return the text of a number with the decimal sign of the style."""
    return text.replace(".", ",") if current().comma else text


PNG_DPI: Final = 220

RC: Final[Mapping[Any, Any]] = MappingProxyType(
    {
        "font.size": 8,
        "axes.titlesize": 8,
        "axes.labelsize": 8,
        "figure.titlesize": 9,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "legend.fontsize": 7,
        "legend.frameon": False,
        "legend.handlelength": 3.6,
        "legend.borderpad": 0.1,
        "legend.borderaxespad": 0.2,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.6,
        "axes.axisbelow": True,
        "axes.grid": True,
        "grid.color": "#e4e4e4",
        "grid.linewidth": 0.5,
        "lines.linewidth": 1.2,
        "lines.markersize": 3.5,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.minor.width": 0.4,
        "ytick.minor.width": 0.4,
        "text.parse_math": False,  # names of tasks and methods are shown as they are, dollar signs included
        "pdf.fonttype": 42,  # embedded as TrueType: publishers refuse Type 3
        "svg.fonttype": "path",
        "svg.hashsalt": "hpo-derby",  # else element ids are random
        "savefig.facecolor": "white",
        "figure.facecolor": "white",
    }
)

SAVING: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "pdf": {"metadata": {"CreationDate": None}},
        "svg": {"metadata": {"Date": None}},
        "png": {"pil_kwargs": {"compress_level": 3}},  # packing drawings harder takes longer for nothing
    }
)
"""Options for ``savefig`` by format: no time of creation, so that the same figure is the same bytes."""


FONT: Final = "DejaVu Sans"
"""It ships with matplotlib: the same glyphs on every machine."""

_LETTERS: Final = (range(0x180), range(0x370, 0x400), range(0x2000, 0x2070), range(0x2200, 0x2300))
"""Characters that most texts are made of: Latin, Greek, punctuation and operators."""


@functools.cache
def _fonts() -> tuple[str, ...]:
    """Return the fonts of all texts: `FONT` cut to `_LETTERS`, then all of it for any other character.

    A PDF embeds the glyphs that it uses, and to choose them from the whole font takes as long as to draw.
    """
    options = subset.Options(
        layout_features=["kern", "liga"],
        glyph_names=True,
        recommended_glyphs=True,
        notdef_outline=True,
        name_IDs=["*"],
        recalc_timestamp=False,
    )
    options.drop_tables += ["FFTM"]
    font = subset.load_font(font_manager.findfont(FONT, fallback_to_default=False), options)
    chosen = subset.Subsetter(options)
    chosen.populate(unicodes=set(font.getBestCmap()).intersection(itertools.chain(*_LETTERS)))
    chosen.subset(font)
    name = f"{FONT} Cut"
    for record in font["name"].names:
        if record.nameID in (1, 16):  # the family
            record.string = name
    folder = tempfile.mkdtemp(prefix="derby-font-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / "DejaVuSans.ttf"
    font.save(path)
    font_manager.fontManager.addfont(path)
    return (name, FONT)


def families() -> list[str]:
    """Return the families of fonts that there are to choose from."""
    return font_manager.get_font_names()


@contextmanager
def applied() -> Iterator[None]:
    """Draw and save inside this: matplotlib's defaults, `RC` and the style, whatever the user's own settings are."""
    chosen = current()
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update({**RC, "font.family": [*([chosen.font] if chosen.font else []), *_fonts()]})
        if chosen.size != TEXT:
            mpl.rcParams.update(
                {key: scaled(RC[key]) for key in RC if key.endswith("size") and "marker" not in key}
            )
        yield
