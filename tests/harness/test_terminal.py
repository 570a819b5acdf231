"""How commands print tables: no word is cut, however narrow the terminal."""

from __future__ import annotations

import re

import pytest
from command import derby

from harness.commands.terminal import table

HEADER = ("task", "studies done", "what it is")
ROWS = [
    (
        "hpobench_mlp/blood_transfusion",
        "0/8",
        "Perceptrons of scikit-learn on eight tabular data sets of OpenML.",
    ),
    ("car", "1/8", "Short."),
]


def printed(capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    table(HEADER, ROWS)
    return capsys.readouterr().out


@pytest.mark.parametrize("width", [60, 80, 140])
def test_columns_share_the_width_and_keep_their_words(capsys, monkeypatch, width):
    lines = printed(capsys, monkeypatch, width).splitlines()
    assert max(map(len, lines)) <= width
    assert any(line.startswith("hpobench_mlp/blood_transfusion  0/8") for line in lines)
    said = " ".join(" ".join(line[32:].split()) for line in lines)
    assert all(word in said for word in ("Perceptrons", "scikit-learn", "tabular", "OpenML.", "Short."))


@pytest.mark.parametrize("width", [20, 40])
def test_what_has_no_room_beside_each_other_is_a_paragraph_for_each_row(capsys, monkeypatch, width):
    out = printed(capsys, monkeypatch, width)
    assert out.startswith("hpobench_mlp/blood_transfusion\n  studies done: 0/8;")
    paragraph = " ".join(out.split())
    assert (
        "what it is: Perceptrons of scikit-learn on eight tabular data sets of OpenML. car studies"
        in paragraph
    )


def test_a_name_with_brackets_is_no_markup(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    table(("[bold]task",), [("[red]x",)])
    assert capsys.readouterr().out.split() == ["[bold]task", "[red]x"]


@pytest.mark.parametrize(
    "arguments", [("tasks",), ("searchers",), ("tasks", "replay"), ("plan", "docs/sweeps/demo.yaml")]
)
def test_listings_cut_nothing_at_80_columns(arguments, pytestconfig):
    said = derby(*arguments, cwd=pytestconfig.rootpath, COLUMNS="80")
    assert said.returncode == 0, said.stderr
    assert not re.search(r"\w…", said.stdout)
