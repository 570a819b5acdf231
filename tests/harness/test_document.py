"""Documents that people write: what YAML 1.2's core schema makes of them, and what is refused where."""

from __future__ import annotations

import math
import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness import document


def value_of(text):
    read = document.read(text)
    assert read.problems == []
    return read.value


def told(text):
    return [
        f"{problem.line}, {'-' if problem.place is None else document.field_name(problem.place)}: {problem.message}"
        for problem in document.read(text).problems
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((text, None) for text in ("null", "Null", "NULL", "~", "")),
        *((text, True) for text in ("true", "True", "TRUE")),
        *((text, False) for text in ("false", "False", "FALSE")),
        *(("0", 0), ("-0", 0), ("+12", 12), ("-19", -19), ("0o17", 15), ("0xFf", 255), ("0x00ff", 255)),
        *(
            ("9223372036854775807", 2**63 - 1),
            ("-9223372036854775808", -(2**63)),
            ("0x7fffffffffffffff", 2**63 - 1),
        ),
        *(
            ("1e-4", 1e-4),
            ("1E3", 1000.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("-1.0e+2", -100.0),
            ("0.0", 0.0),
            ("0e9", 0.0),
        ),
        *(
            (text, text)
            for text in ("yes", "no", "on", "off", "y", "n", "tRUE", "nULL", "None", "NaN", "inf")
        ),
        *(
            (text, text)
            for text in ("1:30", "1_000", "2020-01-02", "2020-13-45", "0b1", "0b_", "0o8", "-0x1", "1e", "=")
        ),
        *(
            ("'1'", "1"),
            ('"true"', "true"),
            ("'.inf'", ".inf"),
            ("''", ""),
            ('"\\u00e9"', "é"),
            ("|\n  a\n  b", "a\nb"),
        ),
        ("[1, [a, {b: ~}]]", [1, ["a", {"b": None}]]),
        ("<<: {a: 1}", {"<<": {"a": 1}}),
        ("%YAML 1.2\n---\na: 1\n...\n", {"a": 1}),
        ('{"a":1,"b":[true,null]}', {"a": 1, "b": [True, None]}),
    ],
)
def test_values_are_those_of_the_core_schema(text, value):
    read = value_of(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 017", "2, b: a number with leading zeros is octal to some and decimal to others"),
        ("a: -007", "1, a: a number with leading zeros"),
        ("a: 9223372036854775808", "1, a: a whole number must lie between -2⁶³ and 2⁶³"),
        ("a: 0xffffffffffffffff", "1, a: a whole number must lie between"),
        (f"a: {'9' * 5000}", "1, a: a number must have at most 100 digits"),
        (f"a: 0.{'9' * 5000}", "1, a: a number must have at most 100 digits"),
        *((f"a:\n- {text}", "2, a[0]: a number must be finite") for text in (".inf", "-.INF", "+.Inf", ".nan", ".NaN")),
        ("a: 1e400", "1, a: a number must be smaller than 1.8e308"),
        ("a: -2e-400", "1, a: a number must be 0 or larger than 5e-324"),
        ("a: !!int x", "1, a: tags are not allowed, got !!int"),
        ("a: !x 1", "1, a: tags are not allowed, got !x"),
        ("a: ! 1", "1, a: tags are not allowed, got !"),
        ("a: !!set {b, c}", "1, a: tags are not allowed, got !!set"),
        ("a: !!python/object/apply:os.system ['true']", "1, a: tags are not allowed, got !!python"),
        ("a: &x 1", "1, a: anchors are not allowed, got &x"),
        ("a: *x", "1, a: aliases are not allowed, got *x"),
        ("a: 1\na: 2", "2, a: this field is given twice"),
        ("a: {b: 1, c: 1,\n b: 2}", "2, a.b: this field is given twice"),
        ("a: 1\n'a': 2", "2, a: this field is given twice"),
        ("a:\n  ? [x]\n  : 1", "2, a: a field's name must be text, got ['x']"),
        ("{a: 1}: 1", "1, the file: a field's name must be text, got {'a': 1}"),
        ("1: 1", "1, the file: a field's name must be text, got 1; put it in quotes"),
        ("true: 1", "1, the file: a field's name must be text, got True"),
        ("~: 1", "1, the file: a field's name must be text, got None"),
        ("'': 1", "1, the file: a field's name must be text"),
        ("?\n: 1", "1, the file: a field's name must be text"),
        ('a: "\\x07"', "1, a: text must not hold U+0007 (control character), got '\\x07'"),
        ('a: "\\u202e"', "1, a: text must not hold U+202E (right-to-left override)"),
        ('a: "\\u200b"', "1, a: text must not hold U+200B (zero width space)"),
        ('a: "\\ud800"', "1, a: text must not hold U+D800 (surrogate)"),
        ('a: "\\u2028"', "1, a: text must not hold U+2028 (line separator)"),
        ('"a\\nb\\e[31m": 1', "1, the file: text must not hold U+001B"),
        ("a: [1", "1, -: not valid YAML: "),
        ("a: 1\n b: 2", "2, -: not valid YAML: mapping values are not allowed here"),
        ('a: "\\UFFFFFFFF"', "1, -: not valid YAML: an escape such as"),
        (f"%YAML {'9' * 5000}.1\n--- a", "0, -: not valid YAML: an escape such as"),
        ("%YAML 1.1\n--- yes", "1, -: declares YAML 1.1; it is read as YAML 1.2"),
        ("--- a\n--- b", "2, -: a second document begins here; one is expected"),
        ("a: 1\nb: \x00", "2, -: not valid YAML: U+0000 (control character) is not allowed"),
        ("a: 1\nb: x\u2028y", "2, -: U+2028 (line separator) is no line break in YAML 1.2"),
        ("a: 1\x85b: 2", "1, -: U+0085 (control character) is no line break"),
        ("a: 1\nb: " + "[" * 1000 + "]" * 1000, "2, -: more than 32 lists and mappings inside each other"),
        ("[" * 200_000, "1, -: more than 32 lists"),
        ("- " * 1000 + "a", "1, -: more than 32 lists"),
        ("{a: " * 1000, "1, -: more than 32 lists"),
        ("? " * 1000, "1, -: more than 32 lists"),
        ("".join(f"k{i}: 1\n" for i in range(20_000)), "10000, -: more than 20000 keys and values"),
        ("# comment\n" * 1_000_000, "0, -: longer than 256 KiB"),
    ],
)  # fmt: skip
def test_what_is_not_in_it_is_a_problem_with_its_line_and_place(text, problem):
    began = time.process_time()
    found = told(text)
    assert found
    assert found[0].startswith(problem)
    assert time.process_time() - began < 5


def test_an_alias_bomb_builds_nothing():
    levels = [
        f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]"
        for before, name in zip("abcdef", "bcdefg", strict=True)
    ]
    found = told("\n".join(["a: &a [x, x, x, x, x, x, x, x, x]", *levels]))
    assert found[0] == "1, a: anchors are not allowed, got &a; remove it"
    assert found[1] == "2, b[0]: aliases are not allowed, got *a; write the value out"
    assert len(found) == 7 + 6 * 9


def test_every_problem_is_found_at_once_and_the_rest_is_read():
    read = document.read("a: 017\nb: {c: .inf, d: 1}\ne: [*x, 2]\nf: 3")
    assert [(problem.line, problem.place) for problem in read.problems] == [
        (1, ("a",)),
        (2, ("b", "c")),
        (3, ("e", 0)),
    ]
    assert (read.value["b"]["d"], read.value["e"][1], read.value["f"]) == (1, 2, 3)
    assert not document.is_whole(read.value)
    assert document.is_whole({"f": [read.value["f"]]})


def test_thirty_two_levels_are_read():
    assert value_of("[" * 32 + "]" * 32)


def test_every_place_has_its_line():
    read = document.read("a: 1\nb:\n  - x\n  - {c: 2,\n     d: 3}\n")
    assert {place: line for place, line in read.lines.items() if place} == {
        ("a",): 1,
        ("b",): 2,
        ("b", 0): 3,
        ("b", 1): 4,
        ("b", 1, "c"): 4,
        ("b", 1, "d"): 5,
    }


def test_a_file_is_utf_8_with_any_line_ends(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: \xc3\xa9\r\nb: 2\rc: 3\n")
    assert document.load(file).value == {"a": "é", "b": 2, "c": 3}
    assert document.load(file).text == "a: é\nb: 2\nc: 3\n"
    file.write_bytes(b"a: 1\nb: \xe9\n")
    assert document.load(file).problems == [
        document.Problem(2, None, "not UTF-8: byte 0xe9; save the file as UTF-8")
    ]
    file.write_bytes(b"#" * 300_000)
    assert document.load(file).problems[0].message == "longer than 256 KiB, the most that is read"


TEXT = st.text(st.characters(exclude_categories=document._INVISIBLE), max_size=20) | st.sampled_from(
    [
        "yes",
        "017",
        "1:30",
        "1e-4",
        "0o7",
        "~",
        ".inf",
        "2020-01-01",
        "a\nb",
        " a",
        "- a",
        "a: b",
        "#",
        "<<",
        "=",
        "\ta\n",
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT.filter(bool), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(TEXT.filter(bool), VALUES, min_size=1, max_size=5))
def test_what_is_written_is_read_back(value):
    text = document.write(value)
    read = value_of(text)
    assert read == value
    assert repr(read) == repr(value)


def test_what_is_written_never_refers_back_and_is_the_same_to_yaml_1_1():
    again = [1e-4, "1e-4", "017", "no"]
    text = document.write({"a": again, "b": again})
    assert yaml.safe_load(text) == value_of(text) == {"a": again, "b": again}


@pytest.mark.parametrize("name", ["a", "a b", "é"])
def test_a_place_is_written_as_people_write_it(name):
    assert document.field_name(("tasks", 0, name)) == f"tasks[0].{name}"


def test_a_key_of_control_characters_is_written_escaped():
    assert document.field_name(("a\x1b[31m",)) == r"'a\x1b[31m'"
    assert len(document.field_name(("x" * 5000,))) < 100
    assert len(document.shown("x" * 5000)) == 80


def test_what_cannot_be_seen_is_known():
    assert document.invisible("a é 漢 👍") == ""
    assert document.invisible("a\u00adb") == "\u00ad"
    assert document.blank(" \u3164\u2800")
    assert not document.blank(" .")
    assert math.isfinite(value_of("1.7976931348623157e308"))
