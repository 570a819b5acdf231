"""Two drawings agree to rounding by their numbers and pixels; what differs by more is told apart."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from results.agreement import disagreement


def pair(tmp_path, suffix, first, second):
    paths = tmp_path / f"first{suffix}", tmp_path / f"second{suffix}"
    for path, text in zip(paths, (first, second), strict=True):
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    return disagreement(*paths)


@pytest.mark.parametrize(
    ("suffix", "first", "second", "expected"),
    [
        (".csv", "a,b\nx,0.5\n", "a,b\nx,0.5\n", 0.0),
        (".csv", "a,b\nx,0.5\n", "a,b\nx,0.5000000000000001\n", pytest.approx(2.2e-16, rel=0.1)),
        (".csv", "a\n1e-05\n", "a\n0.00001000000001\n", pytest.approx(1e-9)),
        (".csv", "a\n0.5\n", "a\n0.500000001\n", "it says 0.500000001 for 0.5"),
        (".csv", "a,b\nx,1.0,0.0\n", "a,b\nx,1.0,1.1e-16\n", 1.1e-16),  # 0 by another order of sums
        (".csv", "a,b\nx,1.0,0.0\n", "a,b\nx,1.0,1e-12\n", "it says 1e-12 for 0.0"),
        (".csv", "a,b\nx,0.5\n", "a,b\ny,0.5\n", "its text differs"),
        (".csv", "a\n0.5\n", "a\n0.5\n0.5\n", "its text differs"),
        (".csv", "a\nnan\n", "a\n0.5\n", "its text differs"),
        (".csv", "a\n-0.5\n", "a\n0.5\n", "it says 0.5 for -0.5"),
        (
            ".tex",
            r"x & .43 & \textbf{2.25}",
            r"x & .44 & \textbf{2.25}",
            0.0,
        ),  # one in the last printed digit
        (".tex", r"x & .43", r"x & .45", "it says .45 for .43"),
        (".tex", r"x & 3 wins", r"x & 5 wins", "it says 5 for 3"),
        (".svg", 'd="M 1.234567 2"', 'd="M 1.234568 2"', 0.0),
        (".svg", 'd="M 1.234567 2"', 'd="M 1.234667 2"', "it says 1.234667 for 1.234567"),
        (".svg", 'd="M 1e-05 2"', 'd="M 3e-05 2"', "it says 3e-05 for 1e-05"),
        (".html", "<p>1.0</p>", "<p>1.00</p>", "its bytes differ"),
    ],
)
def test_texts(tmp_path, suffix, first, second, expected):
    assert pair(tmp_path, suffix, first, second) == expected


def test_pixels(tmp_path):
    image = np.full((20, 30, 3), 128, dtype=np.uint8)
    blended, moved = image.copy(), image.copy()
    blended[3, 4, 0] = 129
    moved[5, 6] = 140
    paths = {}
    for name, pixels in {"a": image, "b": blended, "c": moved, "d": image[:10]}.items():
        paths[name] = tmp_path / f"{name}.png"
        Image.fromarray(pixels).save(paths[name])
    assert disagreement(paths["a"], paths["b"]) == 0.0
    assert disagreement(paths["a"], paths["c"]) == "1 of 600 pixels differ"
    assert disagreement(paths["a"], paths["d"]) == "it is 30 × 10 pixels, not 30 × 20"


@pytest.mark.parametrize("kind", ["pdf", "svg", "png"])
def test_drawings_of_matplotlib(tmp_path, kind):
    """As the report's are: a curve moved by rounding agrees, a curve moved by a hundredth does not."""
    paths = {}
    x = np.linspace(0, 1, 50)
    with mpl.rc_context({"svg.hashsalt": "x", "pdf.compression": 6}):
        for name, shift in {"here": 0.0, "there": 3e-16, "elsewhere": 1e-2}.items():
            figure = Figure()
            figure.subplots().plot(x, np.sin(7 * x) * (1 + shift))
            paths[name] = tmp_path / f"{name}.{kind}"
            figure.savefig(
                paths[name],
                metadata={} if kind == "png" else {"Date" if kind == "svg" else "CreationDate": None},
            )
    assert disagreement(paths["here"], paths["there"]) == 0.0
    assert isinstance(disagreement(paths["here"], paths["elsewhere"]), str)
