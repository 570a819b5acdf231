"""Sweep files of any content: a sweep within what its page allows, or an error that names the file, and no hang."""

from __future__ import annotations

import math
import re

import pytest
import yaml
from fuzzing import fuzzed
from hypothesis import event, given
from hypothesis import strategies as st

from harness import document, registry
from harness.errors import SweepError
from harness.sweep import Sweep, load_sweep
from harness.sweep_fields import MOST_STUDIES

GOOD = {
    "name": "first",
    "description": "A sweep.",
    "seed": 7,
    "repetitions": 2,
    "budget": {"evaluations": 12},
    "workers": 1,
    "threads": 1,
    "deadline": 60.0,
    "arithmetic": "portable",
    "tasks": [
        "branin",
        "mnist_mlp/tiny",
        {"name": "fashion_cnn/tiny", "options": {"protocol": "published"}, "budget": {"full": 3}},
    ],
    "searchers": [
        "random",
        {"name": "grid", "label": "coarse", "settings": {"resolution": 2}},
        {"name": "hyperopt_tpe", "settings": {"gamma": 0.3, "n_startup_jobs": 4}},
    ],
}
POINTS = {
    "name": "points",
    "repetitions": 1,
    "budget": {"epochs": 40},
    "tasks": ["branin"],
    "searchers": [
        {"name": "references", "settings": {"configurations": [{"x1": 0.5, "x2": 1}], "epochs": 1}},
        {"name": "skopt_gp", "label": "EI", "settings": {"acq_func": "EI"}},
    ],
}
RUNGS = {
    "name": "rungs",
    "repetitions": 3,
    "budget": {"full": 9},
    "workers": 2,
    "tasks": [{"name": "fashion_mlp", "options": {"variant": "small"}}],
    "searchers": [
        {"name": "optuna_hyperband", "settings": {"reduction_factor": 2, "start_at_reference": True}},
        {"name": "references", "label": "published", "settings": {"epochs": 2}},
    ],
}
SWEEPS = [GOOD, POINTS, RUNGS]

NASTY = [
    *("", "~", "null", "true", "yes", "no", "on", "'3'", '"a"', "0", "-1", "017", "-017", "0o17", "0x1F", "0b_"),
    *("1_000", "1:30", "190:20:30.15", "1e-4", "1e400", "1e-400", "-1e308", ".5", "5.", "1.5", "+1", "-0.0", "=", "<<"),
    *(".inf", "-.inf", ".nan", ".NaN", "2020-13-45", "2020-01-01", "9" * 30, "9" * 5000, "0." + "9" * 5000, "1" * 18),
    *("!!int x", "!!binary x", "!!set {a}", "!!python/name:os.system ''", "! a", "!<%FF> a", "&a [*a]", "*a", "&a b"),
    *("[]", "{}", "[1]", "[~]", "[[]]", "{a: 1}", "{? [a] : 1}", "{1: 1}", "{~: 1}", "{a: 1, a: 2}", "{'': 1}"),
    *('"\\u200b"', '"\\u202eabc"', '"\\0"', '"\\ud800"', '"\\UFFFFFFFF"', '"a\\nb"', '"\\e[31m"', "\u3164", "'a '"),
    *("x" * 5000, "a/b", "a/b/c", "/", "branin/", "mnist_mlp/tiny", "random", "self", "name", "{self: 1}", "../../etc"),
    *("[" * 40 + "]" * 40, "[" * 1000, "{a: " * 50 + "}" * 50, "- " * 50, "? " * 50, "\t", "\x85", "\u2028", "\x00"),
    *("{evaluations: ~}", "{epochs: 1}", "{full: 10}", "{evaluations: 1, epochs: 1}", "{variant: tiny}", "1000000000"),
    *("99999999", "100001", "1000000", "31536000", "|\n  a", "--- b"),
    *("[" + "random, " * 900 + "]", "[" + "branin, " * 1500 + "]", "31536001", "'   '", "0b101"),
]  # fmt: skip
"""Texts that go where a value belongs."""

LIKELY = {
    "name": [
        "a",
        "random",
        "grid",
        "branin",
        "mnist_mlp",
        "mnist_mlp/tiny",
        "references",
        "optuna_tpe",
        "A-1._b",
    ],
    "description": ["a", "é 漢 \\U0001F600", '"a\\nb"', "|\n  a\n  b", "yes", "'017'"],
    "seed": ["0", "1", "0x10", "9223372036854775807", "9223372036854775808", "-1", "1.0"],
    "repetitions": ["1", "2", "5", "50", "0", "100001"],
    "budget": ["{evaluations: 1}", "{epochs: 1000000000}", "{full: 2}", "{full: 1000000001}", "{}"],
    "workers": ["1", "2", "10000", "10001"],
    "threads": ["1", "4", "1024", "1025"],
    "deadline": ["1e-4", "1", "~", "31536000", "0", "-0.0", "1e-323"],
    "arithmetic": ["native", "portable", "~"],
    "tasks": ["[branin]", "[branin, hartmann6]", "[branin, branin]", "[fashion_mlp/tiny]", "[]"],
    "searchers": ["[random]", "[random, grid]", "[{name: random, label: é}]", "[skopt_gp, gpyopt_gp]", "[]"],
    "label": ["a", "é", "'017'", "a b", '"a\\tb"', "x" * 40, "x" * 41, "random"],
    "settings": ["{}", "{start_at_reference: true}", "{start_at_reference: false}", "{resolution: 3}"],
    "options": ["{}", "{variant: tiny}", "{variant: small}", "{variant: huge}"],
}
"""Texts that are right in these fields, or nearly."""
OTHERS = ["1", "2", "3", "1000000", "0.5", "1e-1", "a", "true", "~"]
"""The same, of other fields."""


def likely(place):
    """Return a text that may be right in a place."""
    return st.sampled_from(LIKELY.get(str(place[-1]), OTHERS))


INTEGERS = st.integers(-300, 300) | st.integers(min_value=MOST_STUDIES + 1) | st.integers(max_value=-300)
"""A sweep of as many studies as are allowed takes its time, and is no hang."""
SCALARS = st.sampled_from(NASTY) | st.text(max_size=20) | INTEGERS.map(str) | st.floats().map(repr)
NAMES = [
    *GOOD,
    "options",
    "settings",
    "label",
    "evaluations",
    "epochs",
    "full",
    "variant",
    "configurations",
    "names",
    "a",
]


@pytest.fixture(scope="module", autouse=True)
def everything_is_loaded():
    """Load tasks and searchers first: that takes seconds, and is no hang."""
    registry.tasks()
    registry.searchers()


def places(value, place=()):
    """Return every place of a document."""
    found = [place] if place else []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        found += places(item, (*place, key))
    return found


def mutated(value, place, text):
    """Return a document in which other texts stand in some places."""
    marks = {}

    def marked(value, here=()):
        if here in place:
            marks[f"MARK{len(marks)}."] = text[place.index(here)]
            return list(marks)[-1]
        if isinstance(value, dict):
            return {key: marked(item, (*here, key)) for key, item in value.items()}
        return (
            [marked(item, (*here, i)) for i, item in enumerate(value)] if isinstance(value, list) else value
        )

    whole = yaml.safe_dump(marked(value), sort_keys=False, allow_unicode=True)
    for mark, new in marks.items():
        whole = whole.replace(mark, new)
    return whole


@st.composite
def changed_sweeps(draw):
    """Good sweep files with values replaced, lines repeated, moved or left out, and bytes changed."""
    good = draw(st.sampled_from(SWEEPS))
    chosen = draw(st.lists(st.sampled_from(places(good)), min_size=1, max_size=3, unique=True))
    mild = draw(st.integers(0, 2)) > 0
    text = mutated(good, chosen, [draw(likely(place) if mild else SCALARS) for place in chosen])
    lines = text.split("\n")
    for _ in range(0 if mild else draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["twice", "gone", "indented", "new", "comment"])):
            case "twice":
                lines.insert(draw(st.integers(0, len(lines))), lines[at])
            case "gone":
                lines[at : at + 1] = lines[at : at + 1] if len(lines) == 1 else []
            case "indented":
                lines[at] = (
                    draw(st.sampled_from([" ", "  ", "\t", "- ", "? ", ": ", "&a ", "!!str "])) + lines[at]
                )
            case "new":
                lines.insert(at, f"{draw(st.sampled_from(NAMES))}: {draw(SCALARS)}")
            case _:
                lines.insert(at, "#" + draw(st.text(max_size=5)))
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def grown(inner):
    """Return flow-style lists and mappings of texts."""
    items = st.lists(inner, max_size=4).map(lambda each: "[" + ", ".join(each) + "]")
    pairs = st.lists(st.tuples(st.sampled_from(NAMES) | SCALARS, inner), max_size=5)
    return items | pairs.map(lambda each: "{" + ", ".join(f"{key}: {value}" for key, value in each) + "}")


GRAMMAR = st.recursive(SCALARS, grown, max_leaves=25)
FIELDS = st.lists(st.tuples(st.sampled_from(NAMES) | SCALARS, GRAMMAR), max_size=8).map(
    lambda each: "\n".join(f"{key}: {value}" for key, value in each)
)
PARTS = st.sampled_from([*NASTY, "[", "{a: ", "- ", "? ", "# x\n", "a: 1\n", "\n", "- random\n"])
REPEATED = st.tuples(PARTS, st.integers(1, 4000)).map(lambda each: each[0] * each[1])
OTHER_FILES = (GRAMMAR | FIELDS | REPEATED).map(
    lambda text: text.encode("utf-8", "surrogatepass")
) | st.binary(max_size=200)
FILES = st.integers(0, 3).flatmap(lambda chosen: changed_sweeps() if chosen else OTHER_FILES)


def check_allowed(sweep: Sweep) -> None:
    """Assert of an accepted sweep what `docs/sweeps.md` says of sweep files."""
    spec = sweep.spec
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", spec.name)
    assert spec.repetitions >= 1
    assert 1 <= len(sweep.studies) <= MOST_STUDIES
    assert len(sweep.studies) == spec.repetitions * len(spec.tasks) * len(spec.searchers)
    assert 0 <= spec.seed < 2**63
    assert 1 <= spec.workers <= 10_000
    assert 1 <= spec.threads <= 1024
    assert spec.deadline is None or 0 < spec.deadline <= 31_536_000
    assert type(spec.deadline) in (float, type(None))
    labels = {study.searcher for study in sweep.studies}
    assert len(labels) == len(spec.searchers)
    for label in labels | set(sweep.tasks):
        assert label == label.strip()
        assert not document.invisible(label, "")
        assert not document.blank(label)
    assert not document.invisible(spec.description)
    for study in sweep.studies[:100]:
        assert study.key.budget.amount >= 1
        check_plain(study.key.as_json())
    sweep.as_plan()


def check_plain(value: object) -> None:
    """Assert that a value is made of JSON's types and finite."""
    if isinstance(value, dict):
        for key, item in value.items():
            assert isinstance(key, str)
            check_plain(item)
    elif isinstance(value, list | tuple):
        for item in value:
            check_plain(item)
    else:
        assert value is None or isinstance(value, bool | int | float | str)
        assert not isinstance(value, float) or math.isfinite(value)


@fuzzed
@given(FILES)
def test_a_file_is_a_sweep_or_an_error_that_names_it(tmp_path_factory, data):
    file = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    file.write_bytes(data)
    try:
        sweep = load_sweep(file)
    except SweepError as error:
        event("refused")
        messages = str(error).split(f"{file}")
        assert messages[0] == ""
        assert len(str(error)) < 60_000
        for message in messages[1:]:
            assert message[:2] in (", ", ": ")
            line = re.match(r", line (\d+)", message)
            assert line is None or 1 <= int(line[1]) <= data.count(b"\n") + data.count(b"\r") + 1
        return
    event("accepted")
    check_allowed(sweep)


@pytest.mark.parametrize("good", SWEEPS, ids=lambda good: good["name"])
def test_what_is_changed_was_right_before(good, tmp_path):
    file = tmp_path / "s.yaml"
    file.write_text(document.write(good), encoding="utf-8")
    check_allowed(load_sweep(file))
