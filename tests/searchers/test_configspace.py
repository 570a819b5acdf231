"""Spaces as SMAC and DEHB are given them, and what ConfigSpace cannot take."""

import importlib.util
import math
import re
from importlib.metadata import metadata

import pytest
from native import CONDITIONAL, CONTINUOUS, MIXED

from harness import registry
from harness.errors import MissingLibraryError
from harness.space import Choice, Condition, Float, Int, Space
from harness.trial import Budget, Fidelity, Objective, Problem
from searchers import _configspace

METHODS = ["smac_forest", "smac_gp", "smac_hyperband", "dehb"]
HALVED = Fidelity(1, 9)


def reasons(name, space, fidelity=HALVED, **settings):
    kind = registry.searcher(name)
    asked = Problem(space, fidelity, Objective("error", "min", failure=9.0))
    return kind.incompatibilities(asked, Budget("evaluations", 9), kind.Settings(**settings))


@pytest.mark.parametrize(
    ("domain", "words"),
    [
        (Float(1e-14, 1e-3, log=True), "rounds reals to 13 decimals"),
        (Float(1e-300, 1e300, log=True), "up to 1e\\+290"),
        (Float(-1e300, 1e300), "up to 1e\\+290"),
        (Float(0.5, 0.5 + 1e-12), "too few values"),
    ],
)
@pytest.mark.parametrize("name", METHODS)
def test_ranges_that_configspace_cannot_take_are_refused_when_a_sweep_is_planned(name, domain, words):
    (reason,) = reasons(name, Space({"a": Float(0, 1), "b": domain}))
    assert "'b'" in reason
    assert re.search(words, reason)


@pytest.mark.parametrize(
    "domain",
    [
        Float(1e-12, 1.0, log=True),
        Float(1e-300, 1e-300),
        Float(-1e6, 1e6),
        Int(-(2**53), -1),
        Choice((1, 1.0, True)),
    ],
)
def test_what_it_can_take_is_not(domain):
    assert _configspace.limits(Space({"a": domain})) == []


@pytest.mark.parametrize(("name", "setting"), [("dehb", "min_fidelity"), ("smac_hyperband", "min_budget")])
def test_fidelities_without_room_for_a_rung_are_refused(name, setting):
    assert not reasons(name, CONTINUOUS)
    assert "nothing to halve" in reasons(name, CONTINUOUS, Fidelity(5, 9))[0]
    assert "nothing to halve" in reasons(name, CONTINUOUS, eta=10)[0]
    assert "nothing to halve" in reasons(name, CONTINUOUS, **{setting: 4})[0]
    assert "needs 2 epochs" in reasons(name, CONTINUOUS, Fidelity(2, 9), **{setting: 1})[0]
    assert not reasons(name, CONTINUOUS, Fidelity(2, 9), **{setting: 3})


@pytest.mark.parametrize("name", METHODS)
def test_a_missing_library_is_named_with_its_extra(name):
    kind = registry.searcher(name)
    extra = name.partition("_")[0]
    if importlib.util.find_spec(extra) is not None:
        kind.require_libraries()
        return
    if extra not in (metadata("hpo-derby").get_all("Provides-Extra") or ()):
        pytest.skip("the project was installed before it had this extra")
    with pytest.raises(MissingLibraryError, match=rf"pip install 'hpo-derby\[{extra}\]'"):
        kind.require_libraries()


# With ConfigSpace


def built(space, seed=1):
    pytest.importorskip("ConfigSpace", reason="not installed with the project")
    return _configspace.configuration_space(space, seed)


@pytest.mark.parametrize(
    "space", [MIXED, CONDITIONAL, CONTINUOUS], ids=["mixed", "conditional", "continuous"]
)
def test_samples_are_configurations_of_the_space(space):
    own = built(space)
    for sample in own.sample_configuration(200):
        config = _configspace.decoded(space, sample)
        assert space.validate(config) == config
        assert _configspace.encoded(space, own, config) == sample


NESTED = Space(
    {
        "kind": Choice(("a", "b", 1, 1.0, True)),
        "n": Int(1, 4),
        "fixed": Int(3, 3),
        "low": Float(0.0, 1.0),
        "deep": Float(0.0, 1.0),
        "of fixed": Float(0.0, 1.0),
        "never": Choice((1, 2)),
        "of never": Int(1, 9),
    },
    conditions={
        "n": Condition("kind", ("b", 1)),
        "fixed": Condition("kind", (1.0, True)),
        "low": Condition("n", (2, 3)),
        "deep": Condition("low", (0.0,)),
        "of fixed": Condition("fixed", (3,)),
        "never": Condition("kind", ()),
        "of never": Condition("never", (1,)),
    },
)


def test_conditions_on_any_kind_of_parameter_on_constants_and_on_nothing():
    own = built(NESTED)
    assert set(own) == {"kind", "n", "low", "deep", "of fixed"}
    seen = [_configspace.decoded(NESTED, sample) for sample in own.sample_configuration(300)]
    assert [NESTED.validate(config) for config in seen] == seen
    assert {frozenset(config) for config in seen} == {
        frozenset({"kind"}),
        frozenset({"kind", "n"}),
        frozenset({"kind", "n", "low"}),
        frozenset({"kind", "fixed", "of fixed"}),
    }


def test_values_and_bounds_are_rounded_to_thirteen_decimals_and_come_back_inside():
    low, high = 1.23456789012344e-5, 0.333333333333333333
    space = Space(
        {"rate": Float(low, high, log=True)}, references={"low": {"rate": low}, "high": {"rate": high}}
    )
    own = built(space)
    assert own["rate"].lower != low
    for reference in space.references.values():
        given = _configspace.encoded(space, own, reference)
        back = space.validate(_configspace.decoded(space, given))
        assert math.isclose(back["rate"], reference["rate"], abs_tol=1e-13)
    for sample in own.sample_configuration(50):
        config = _configspace.decoded(space, sample)
        assert config["rate"] == round(config["rate"], 13) or config["rate"] in (low, high)
        assert math.isclose(config["rate"], sample["rate"], abs_tol=1e-13)
