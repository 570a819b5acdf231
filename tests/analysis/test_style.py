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


def test_fixed_looks_do_not_share_colour_or_marker():
    assert len({look.color for look in style.LOOKS.values()}) == len(style.LOOKS)
    assert len({look.marker for look in style.LOOKS.values()}) == len(style.LOOKS)


def test_fixed_colours_that_some_readers_cannot_tell_apart_differ_in_dash_and_marker():
    for (one, a), (two, b) in itertools.combinations(style.LOOKS.items(), 2):
        distance = min(np.linalg.norm(lab(a.color, sight) - lab(b.color, sight)) for sight in SIGHT)
        assert distance > 10 or (a.dash != b.dash and a.marker != b.marker), (one, two, distance)


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
    seen = {name: (look.color, look.marker) for name, look in style.LOOKS.items()}
    assert seen == {
        "random": ("#7f7f7f", "o"),
        "grid": ("#000000", "s"),
        "optuna_tpe": ("#0072b2", "^"),
        "skopt_gp": ("#d55e00", "D"),
        "gpyopt_gp": ("#e69f00", "v"),
        "hyperopt_tpe": ("#56b4e9", "<"),
        "optuna_cmaes": ("#009e73", "X"),
        "optuna_gp": ("#882255", "P"),
        "hyperband": ("#332288", "*"),
        "kerastuner_bayes": ("#cc79a7", ">"),
        "pso": ("#999933", "p"),
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
