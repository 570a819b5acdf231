"""What users choose of figures: lengths, looks, who says what last, and what is refused with its place."""

from __future__ import annotations

import pytest

from harness.errors import SweepError
from harness.figure_fields import FiguresSpec, inches, load_style, parse, recorded
from harness.sweep import parse_sweep

SWEEP = """\
name: drawn
repetitions: 1
budget: {evaluations: 3}
tasks: [branin]
searchers: [random, optuna_tpe]
"""


@pytest.mark.parametrize(
    ("length", "expected"),
    [("3.3in", 3.3), ("84mm", 84 / 25.4), ("8.4 cm", 8.4 / 2.54), ("240pt", 240 / 72.27), ("7", 7), (7.0, 7)],
)
def test_lengths(length, expected):
    assert inches(length) == pytest.approx(expected)


@pytest.mark.parametrize("length", ["3.3 feet", "wide", "", "-3in", "1in", "30in", "nan", "3in 4in"])
def test_what_is_no_width_is_refused(length):
    with pytest.raises(SweepError, match=r"options, width: expected a width"):
        parse({"width": length}, "options")


def test_what_is_said_later_holds_key_by_key():
    file = parse({"labels": {"a": "A", "b": "B"}, "width": "7in", "only": ["a", "b"]}, "file")
    option = parse({"labels": {"b": "Other"}, "only": ["a"]}, "options")
    assert option.over(file).as_json() == {
        "labels": {"a": "A", "b": "Other"},
        "width": "7in",
        "only": ["a"],
    }


def test_everything_wrong_with_a_style_file_is_said_at_once_with_its_line(tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text(
        "width: broad\nfont_size: 40\nfonts: Arial\nlooks:\n  random: {color: red, dash: wavy}\nlabels: {a: ' '}\n"
    )
    with pytest.raises(SweepError) as error:
        load_style(path)
    said = str(error.value)
    for text in (
        f"{path}, line 1, width: expected a width such as 3.3in",
        f"{path}, line 2, font_size: ",
        f"{path}, line 3, fonts: unknown field; did you mean 'font'?",
        f'{path}, line 5, looks.random.color: expected a colour such as "#0072b2", in quotes',
        f"{path}, line 5, looks.random.dash: expected one of solid, dashed",
        f"{path}, line 6, labels: of 'a': a label must be visible: it is blank",
    ):
        assert text in said
    with pytest.raises(SweepError, match="cannot read style file"):
        load_style(tmp_path / "none.yaml")


def test_a_sweep_files_block_is_checked_against_its_labels():
    block = "figures:\n  only: [random, tpe]\n  tasks: [branin, hartmann6]\n  labels: {optuna_tpe: random}\n"
    with pytest.raises(SweepError) as error:
        parse_sweep(SWEEP + block, "my.yaml")
    said = str(error.value)
    assert "my.yaml, line 7, figures.only[1]: this sweep has no method called 'tpe'" in said
    assert "my.yaml, line 8, figures.tasks[1]: this sweep has no task called 'hartmann6'" in said
    assert "my.yaml, line 9, figures.labels: 'random' would be the name of several" in said
    with pytest.raises(SweepError, match=r"line 7, figures\.wdth: unknown field; did you mean 'width'\?"):
        parse_sweep(SWEEP + "figures:\n  wdth: 3in\n", "my.yaml")


def test_the_block_is_no_part_of_any_studys_identity():
    plain = parse_sweep(SWEEP, "my.yaml")
    drawn = parse_sweep(SWEEP + "figures: {only: [random], labels: {random: Chance}}\n", "my.yaml")
    assert drawn.as_plan() == plain.as_plan()
    assert recorded(drawn.text).labels == {"random": "Chance"}
    assert recorded(plain.text) == FiguresSpec.model_validate({})


def test_other_names_may_change_places():
    text = SWEEP + "figures: {labels: {random: optuna_tpe, optuna_tpe: random}}\n"
    assert parse_sweep(text, "my.yaml").spec.figures.labels["random"] == "optuna_tpe"


@pytest.mark.parametrize("width", ["abc", "1in", "30in"])
def test_a_wrong_width_is_shown_once(width):
    with pytest.raises(SweepError) as caught:
        parse({"width": width}, "options")
    assert str(caught.value).count("got") == 1
