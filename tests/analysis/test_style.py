"""The frozen looks of methods."""

import itertools
import warnings

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from analysis import style
from harness import registry

# Machado, Oliveira & Fernandes (2009), severity 1: linear RGB as seen without one kind of cone.
SIGHT = {
    "normal": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(color):
    rgb = np.array(to_rgb(color))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(color, sight):
    xyz = XYZ @ np.clip(np.asarray(SIGHT[sight]) @ linear(color), 0, 1) / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_random_search_is_grey_and_dashed():
    red, green, blue = to_rgb(style.look("random").color)
    assert red == green == blue
    assert style.look("random").dash


def test_every_searcher_that_ships_has_its_look_and_nothing_else_has():
    # Here and not by entry points: those of plug-ins that are installed beside are no part of this.
    shipped = {
        name for name, kind in registry.searchers().items() if kind.__module__.startswith("searchers.")
    }
    assert set(style.LOOKS) == shipped


def test_no_two_fixed_looks_can_be_taken_for_each_other():
    assert len({look.color for look in style.LOOKS.values()}) == len(style.LOOKS)
    assert len({(look.dash, look.marker) for look in style.LOOKS.values()}) == len(style.LOOKS)


def test_fixed_colours_that_some_readers_cannot_tell_apart_differ_in_dash_and_marker():
    for (one, a), (two, b) in itertools.combinations(style.LOOKS.items(), 2):
        distance = min(np.linalg.norm(lab(a.color, sight) - lab(b.color, sight)) for sight in SIGHT)
        assert distance > 15 or (a.dash != b.dash and a.marker != b.marker), (one, two, distance)


def test_a_method_that_stands_back_is_taken_for_none_that_does_not():
    looks = style.highlighted(style.looks(["random", "grid", "mine"]), ["grid"])
    assert looks == {"random": style.QUIET, "grid": style.look("grid"), "mine": style.QUIET}
    assert style.QUIET.color not in {look.color for look in style.LOOKS.values()}
    assert not style.QUIET.marker


def test_colours_are_seen_on_white():
    for look in [*style.LOOKS.values(), *style.looks(f"method {i}" for i in range(40)).values()]:
        luminance = float(XYZ[1] @ linear(look.color))
        assert 1.05 / (luminance + 0.05) > 2, look


def test_unknown_methods_have_looks_of_their_own_that_depend_on_the_name_only():
    names = [f"method {index}" for index in range(12)]
    everything = style.looks([*names, *style.LOOKS])
    assert len(set(everything.values())) == len(names) + len(style.LOOKS)
    free = [name for name in names if everything[name] == style.look(name)]
    assert len(free) >= 10
    for name in free:
        assert style.looks([name, "random"])[name] == everything[name]
    assert style.looks(reversed(names)) == style.looks(names)
    assert style.look("bohb") == style.Look("#44aa99", style.DASHED, "h")  # in every process


def test_looks_are_frozen():
    """Changing one changes every figure ever published with it: add methods, do not restyle them."""
    seen = {name: (look.color, look.dash, look.marker) for name, look in style.LOOKS.items()}
    assert seen == {
        "random": ("#7f7f7f", style.DASHED, "o"),
        "grid": ("#000000", style.DOTTED, "s"),
        "optuna_tpe": ("#0072b2", style.SOLID, "^"),
        "skopt_gp": ("#d55e00", style.SOLID, "D"),
        "gpyopt_gp": ("#e69f00", style.LONG, "v"),
        "hyperopt_tpe": ("#56b4e9", style.DASH_DOT, "<"),
        "optuna_cmaes": ("#009e73", style.SOLID, "X"),
        "optuna_gp": ("#882255", style.LONG, "P"),
        "optuna_hyperband": ("#332288", style.SOLID, "*"),
        "kerastuner_bayes": ("#cc79a7", style.DASH_DOT, ">"),
        "pyswarms_pso": ("#999933", style.DASH_DOT_DOT, "p"),
        "optuna_sha": ("#7b3294", style.LONG, "o"),
        "optuna_qmc": ("#5b5bd6", style.DASH_DOT, "P"),
        "hyperopt_random": ("#8c564b", style.DASH_DOT_DOT, "s"),
        "hyperopt_anneal": ("#1f4e79", style.DASHED, "p"),
        "kerastuner_random": ("#3b82f6", style.DOTTED, "D"),
        "kerastuner_grid": ("#556b2f", style.LONG, ">"),
        "kerastuner_hyperband": ("#c44e9b", style.DASH_DOT_DOT, "<"),
        "raytune_asha": ("#aa4499", style.DOTTED, "X"),
        "raytune_hyperopt": ("#00b37d", style.DASHED, "^"),
        "raytune_optuna": ("#6699cc", style.DASH_DOT_DOT, "*"),
        "skopt_forest": ("#005f60", style.DASH_DOT, "v"),
        "skopt_gbrt": ("#17becf", style.LONG, "s"),
        "references": ("#b22222", style.DOTTED, "v"),
        "smac_forest": ("#d14108", style.DASHED, "s"),
        "smac_gp": ("#a6b92f", style.DOTTED, "*"),
        "smac_hyperband": ("#1b3442", style.DASH_DOT_DOT, "X"),
        "dehb": ("#791d06", style.DASH_DOT, "X"),
        "raytune_search": ("#7230e8", style.DASHED, "P"),
        "nevergrad": ("#3c206f", style.DOTTED, ">"),
        "nevergrad_cma": ("#6713ae", style.DASH_DOT_DOT, "v"),
        "nevergrad_de": ("#810e35", style.SOLID, "o"),
        "nevergrad_oneplusone": ("#cb6e4d", style.DASH_DOT, "o"),
        "nevergrad_pso": ("#6f2067", style.SOLID, "<"),
        "pymoo_ga": ("#6f2620", style.DASHED, "*"),
        "pymoo_de": ("#0e815c", style.DOTTED, "p"),
        "pymoo_mixed_ga": ("#181cdc", style.DOTTED, "<"),
        "ax_botorch": ("#3c0634", style.SOLID, "s"),
        "flaml_cfo": ("#13064c", style.SOLID, "v"),
        "flaml_blendsearch": ("#8289e6", style.SOLID, "P"),
    }


def test_a_users_own_settings_do_not_reach_a_figure_and_survive_it():
    with mpl.rc_context({"lines.linewidth": 9, "font.size": 20}):
        with style.applied():
            assert mpl.rcParams["lines.linewidth"] == style.RC["lines.linewidth"]
            assert 7 <= mpl.rcParams["font.size"] <= 9
        assert mpl.rcParams["lines.linewidth"] == 9


@pytest.mark.parametrize(
    "text", ["AVATAR fi-ffi_2 χ² ≤ 0.05 …", "задача ▲ ﬁ ż", "mnist_mlp/small, $x$ → ±3 %"]
)
def test_texts_look_as_in_the_whole_font(text):
    drawn = []
    for family in (None, [style.FONT]):
        with style.applied(), mpl.rc_context({"font.family": family} if family else {}):
            figure = Figure(figsize=(4, 0.5))
            canvas = FigureCanvasAgg(figure)
            figure.text(0.02, 0.3, text)
            with warnings.catch_warnings(action="error"):  # such as that a glyph is missing
                canvas.draw()
            drawn.append(np.asarray(canvas.buffer_rgba()).copy())
    np.testing.assert_array_equal(*drawn)
    assert (drawn[0] < 128).any()
