"""Random and grid search, and references: distributions drawn, the grid fitted to the budget, orders and ends."""

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.errors import IncompatibleError
from harness.space import Choice, Condition, Float, Int, Space
from harness.trial import Budget, Fidelity, Objective, Problem
from searchers.basic import LARGEST_GRID, Grid, Random, References, fitted_resolution


def problem(space, epochs=1):
    return Problem(space, Fidelity(1, epochs), Objective("error", "min", failure=1.0))


def configs(searcher, limit=10**6):
    out = []
    while len(out) < limit and (proposal := searcher.ask()) is not None:
        out.append(dict(proposal.config))
    return out


def grid(space, evaluations=10**4, seed=0, **options):
    return configs(Grid(problem(space), seed=seed, budget=Budget("evaluations", evaluations), **options))


def random(space, n, seed=0, **options):
    return configs(Random(problem(space), seed=seed, budget=Budget("evaluations", n), **options), n)


CONDITIONAL = Space(
    {"kind": Choice(("a", "b", "c")), "p": Float(1.0, 3.0), "q": Int(1, 2), "r": Float(1e-4, 1.0, log=True)},
    conditions={"p": Condition("kind", ("a", "b")), "q": Condition("kind", ("b",))},
)


STARTED = Space(
    {"x": Float(0, 1), "rate": Float(1e-4, 1e-2, log=True), "n": Int(1, 9), "kind": Choice((1, True))},
    references={
        "published": {"x": 0.25, "rate": 1e-3, "n": 5, "kind": True},
        "other": {"x": 0.5, "rate": 1e-2, "n": 5, "kind": True},
    },
)


# Random search. Fixed seeds; each test statistic is one that a right implementation exceeds with
# probability 1e-4 over seeds.


@pytest.mark.parametrize(
    ("domain", "scale"),
    [
        (Float(-2.0, 3.0), lambda x: (x + 2) / 5),
        (Float(1e-5, 1e-1, log=True), lambda x: (math.log10(x) + 5) / 4),
    ],
)
def test_random_is_uniform_on_a_real_parameters_scale(domain, scale):
    drawn = [scale(c["x"]) for c in random(Space({"x": domain}), 4000)]
    assert stats.kstest(drawn, "uniform").pvalue > 1e-4


@pytest.mark.parametrize("domain", [Int(-3, 4), Choice(("x", 1, 1.0, True))])
def test_random_gives_each_whole_number_and_category_the_same_share(domain):
    drawn = Counter((type(c["x"]), c["x"]) for c in random(Space({"x": domain}), 4000))
    assert len(drawn) == domain.size
    assert stats.chisquare(list(drawn.values())).pvalue > 1e-4


def test_random_is_uniform_in_the_logarithm_of_whole_numbers():
    drawn = Counter(c["x"] for c in random(Space({"x": Int(1, 8, log=True)}), 4000))
    width = math.log(8.5 / 0.5)
    expected = [4000 * math.log((k + 0.5) / (k - 0.5)) / width for k in range(1, 9)]
    assert stats.chisquare([drawn[k] for k in range(1, 9)], expected).pvalue > 1e-4


def test_random_draws_conditional_parameters_where_they_are_active():
    drawn = random(CONDITIONAL, 3000)
    kinds = Counter(c["kind"] for c in drawn)
    assert stats.chisquare(list(kinds.values())).pvalue > 1e-4
    assert all(("p" in c) == (c["kind"] in "ab") and ("q" in c) == (c["kind"] == "b") for c in drawn)
    active = [(c["p"] - 1) / 2 for c in drawn if "p" in c]
    assert stats.kstest(active, "uniform").pvalue > 1e-4


def test_random_parameters_are_independent():
    drawn = random(Space({"x": Float(0, 1), "y": Float(0, 1)}), 4000)
    assert stats.pearsonr([c["x"] for c in drawn], [c["y"] for c in drawn]).pvalue > 1e-4


def test_latin_hypercube_takes_each_interval_once_and_then_begins_another():
    drawn = random(Space({"x": Float(0, 1), "y": Float(0, 1)}), 16, design="lhs")
    for name in ("x", "y"):
        assert sorted(int(c[name] * 16) for c in drawn) == list(range(16))
    searcher = Random(
        problem(Space({"x": Float(0, 1)}), epochs=10), seed=0, budget=Budget("epochs", 45), design="lhs"
    )
    drawn = [c["x"] for c in configs(searcher, 8)]
    assert sorted(int(x * 4) for x in drawn[:4]) == sorted(int(x * 4) for x in drawn[4:]) == [0, 1, 2, 3]
    assert drawn[:4] != drawn[4:]


def test_sobol_fills_every_quarter_of_each_plane_evenly():
    drawn = random(Space({k: Float(0, 1) for k in "xyz"}), 64, design="sobol")
    for a, b in ("xy", "xz", "yz"):
        quarters = Counter((int(c[a] * 4), int(c[b] * 4)) for c in drawn)
        assert len(quarters) == 16
        assert max(quarters.values()) - min(quarters.values()) <= 4
    for name in "xyz":
        assert sorted(int(c[name] * 64) for c in drawn) == list(range(64))


def test_uniform_design_is_independent_of_the_budget_and_lhs_is_not():
    space = Space({"x": Float(0, 1)})
    for design, same in (("uniform", True), ("sobol", True), ("lhs", False)):
        runs = [
            configs(Random(problem(space), seed=0, budget=Budget("evaluations", n), design=design), 5)
            for n in (5, 50)
        ]
        assert (runs[0] == runs[1]) is same


def test_sobol_dimensions_are_limited():
    space = Space({f"x{i}": Float(0, 1) for i in range(21_202)})
    with pytest.raises(IncompatibleError, match="21202 parameters"):
        random(space, 1, design="sobol")


@pytest.mark.parametrize("design", ["uniform", "sobol"])
def test_random_goes_on_after_its_starting_point_as_it_would_have_begun(design):
    drawn = random(STARTED, 9, start_at_reference=True, design=design)
    assert drawn[0] == STARTED.references["published"]
    assert drawn[1:] == random(STARTED, 8, design=design)


def test_latin_hypercube_fits_what_the_starting_point_leaves_of_the_budget():
    drawn = random(STARTED, 9, start_at_reference=True, design="lhs")
    assert drawn[0] == STARTED.references["published"]
    assert sorted(int(c["x"] * 8) for c in drawn[1:]) == list(range(8))


# Grid search.

SHAPES = st.lists(
    st.one_of(
        st.just(Float(0.0, 1.0)),
        st.just(Float(1e-3, 1.0, log=True)),
        st.builds(lambda low, n: Int(low, low + n), st.integers(-3, 3), st.integers(0, 5)),
        st.builds(lambda n: Int(1, 1 + n, log=True), st.integers(0, 30)),
        st.builds(lambda n: Choice(tuple(range(n))), st.integers(1, 3)),
    ),
    min_size=1,
    max_size=4,
)


def step_by_step(space, affordable):
    """The rule as the docstring of `Grid` words it, one point at a time."""
    numeric = {k: d for k, d in space.parameters.items() if not isinstance(d, Choice)}
    points = dict.fromkeys(numeric, 1)

    def finer(name):
        for n in range(points[name] + 1, 2000):
            if len(numeric[name].grid(n)) > len(numeric[name].grid(points[name])):
                return n
            if numeric[name].size == len(numeric[name].grid(points[name])):
                return None
        return None

    while True:
        candidates = [(len(numeric[k].grid(points[k])), i, k) for i, k in enumerate(numeric) if finer(k)]
        if not candidates:
            return points
        name = min(candidates)[2]
        raised = {**points, name: finer(name)}
        if space.grid_size(raised) > affordable:
            return points
        points = raised


@settings(deadline=None, max_examples=150)
@given(SHAPES, st.integers(1, 200))
def test_fitted_grid_is_what_the_rule_says(domains, affordable):
    space = Space({f"x{i}": domain for i, domain in enumerate(domains)})
    fitted, expected = fitted_resolution(space, affordable), step_by_step(space, affordable)
    counts = [{k: len(space.parameters[k].grid(n)) for k, n in each.items()} for each in (fitted, expected)]
    assert counts[0] == counts[1]


@pytest.mark.parametrize("order", ["shuffled", "lexicographic"])
@pytest.mark.parametrize("evaluations", [1, 7, 60, 1000])
def test_grid_fits_the_budget_and_visits_each_point_once(order, evaluations):
    space = Space({"a": Float(0, 1), "b": Int(1, 3), "c": Float(1e-4, 1, log=True), "d": Choice(("x", "y"))})
    visited = grid(space, evaluations, order=order)
    assert len({tuple(c.items()) for c in visited}) == len(visited)
    assert len(visited) <= max(evaluations, 2)  # both categories, even if only one can be paid for
    assert {c["d"] for c in visited} == {"x", "y"}
    if evaluations == 60:
        assert len(visited) == 3 * 3 * 3 * 2


def test_budget_in_epochs_counts_full_trainings():
    space = Space({"a": Float(0, 1)})
    searcher = Grid(problem(space, epochs=10), seed=0, budget=Budget("epochs", 55))
    assert len(configs(searcher)) == 5


def test_explicit_resolution():
    space = Space({"a": Float(0, 1), "b": Int(1, 100), "c": Choice(("x", "y"))})
    visited = grid(space, 4, resolution=3, order="lexicographic")
    assert [(c["a"], c["b"], c["c"]) for c in visited[:4]] == [
        (0.0, 1, "x"),
        (0.0, 1, "y"),
        (0.0, 50, "x"),
        (0.0, 50, "y"),
    ]
    assert len(visited) == 3 * 3 * 2


def test_one_point_is_the_middle():
    assert grid(Space({"a": Float(1e-4, 1e-2, log=True)}), resolution=1) == [{"a": pytest.approx(1e-3)}]


def test_conditional_grid_has_each_active_combination_once():
    visited = grid(CONDITIONAL, resolution=2)
    # a: p, r; b: p, q, r; c: r
    assert len(visited) == len({tuple(c.items()) for c in visited}) == 2 * 2 + 2 * 2 * 2 + 2


@pytest.mark.parametrize("order", ["shuffled", "lexicographic"])
@pytest.mark.parametrize(("resolution", "on_the_grid"), [(5, True), (3, False)])
def test_grid_starts_at_a_point_and_does_not_repeat_it(resolution, on_the_grid, order):
    options = {"resolution": resolution, "order": order}
    visited, without = grid(STARTED, **options, start_at_reference=True), grid(STARTED, **options)
    start = dict(STARTED.references["published"])
    assert visited[0] == start
    own = [config for config in without if config["kind"] is not True or config != pytest.approx(start)]
    assert len(own) == len(without) - on_the_grid
    assert visited[1:] == own
    # exp(log) gives it a last digit of its own on the grid, which makes no other point of it.
    assert STARTED.parameters["rate"].grid(5)[2] != start["rate"]


@pytest.mark.parametrize("evaluations", [1, 2, 7, 60, 1000])
def test_grid_fits_what_the_starting_point_leaves_of_the_budget(evaluations):
    visited = grid(STARTED, evaluations, start_at_reference=True)
    assert visited[0] == STARTED.references["published"]
    assert len(visited) <= max(evaluations, 3)  # both categories, even if they cannot be paid for
    assert len({repr(config) for config in visited}) == len(visited)
    fitted = grid(STARTED, max(evaluations - 1, 1), order="lexicographic")
    assert len(fitted) <= len(visited) <= len(fitted) + 1


def test_grid_starts_at_a_conditional_configuration():
    space = Space(
        CONDITIONAL.parameters, CONDITIONAL.conditions, references={"published": {"kind": "c", "r": 1.0}}
    )
    visited = grid(space, resolution=2, start_at_reference=True)
    assert visited[0] == {"kind": "c", "r": 1.0}
    assert len(visited) == len({tuple(c.items()) for c in visited}) == 14


def test_shuffled_is_a_permutation_from_the_seed_and_lexicographic_is_not():
    space = Space({"a": Float(0, 1), "b": Float(0, 1)})
    lexicographic = grid(space, resolution=5, order="lexicographic")
    assert grid(space, resolution=5, order="lexicographic", seed=9) == lexicographic
    shuffled = [grid(space, resolution=5, seed=seed) for seed in (1, 1, 2)]
    assert shuffled[0] == shuffled[1] != shuffled[2]
    for one in shuffled:
        assert one != lexicographic
        assert sorted(map(str, one)) == sorted(map(str, lexicographic))


def test_a_shuffled_beginning_is_unbiased():
    space = Space({"a": Int(0, 9), "b": Int(0, 9)})
    first = Counter(grid(space, resolution=10, seed=seed)[0]["a"] for seed in range(600))
    assert stats.chisquare([first[k] for k in range(10)]).pvalue > 1e-4


def test_grid_ends_with_none_for_good():
    searcher = Grid(problem(Space({"a": Choice((1, 2))})), seed=0, budget=Budget("evaluations", 50))
    assert len(configs(searcher)) == 2
    assert searcher.ask() is None
    assert searcher.ask() is None


@pytest.mark.parametrize(
    ("space", "options"),
    [
        (Space({f"x{i}": Float(0, 1) for i in range(7)}), {"resolution": 10}),
        (Space({f"x{i}": Choice(tuple(range(10))) for i in range(7)}), {}),
    ],
)
def test_huge_grids_are_refused_before_they_are_built(space, options):
    with pytest.raises(IncompatibleError, match=f"10000000 points.*more than {LARGEST_GRID}"):
        grid(space, **options)


def test_fitting_a_large_budget_is_quick():
    space = Space({"a": Int(1, 1000, log=True), "b": Float(0, 1), "c": Choice(("x", "y"))})
    assert 99_000 < space.grid_size(fitted_resolution(space, 100_000)) <= 100_000


# References.


def references(space=STARTED, **settings):
    return configs(References(problem(space), seed=0, budget=Budget("evaluations", 99), **settings))


def test_references_are_proposed_once_in_the_spaces_order():
    assert references() == [dict(config) for config in STARTED.references.values()]


def test_references_can_be_of_fewer_epochs_and_are_the_same_study_without():
    own = References(problem(STARTED), seed=0, budget=Budget("evaluations", 9), epochs=1)
    assert own.ask().epochs == 1
    assert "epochs" not in References.Settings().as_json()
    assert References.Settings(epochs=2).as_json()["epochs"] == 2
    with pytest.raises(IncompatibleError, match="99 epochs are outside"):
        references(epochs=99)


def test_references_can_be_chosen_and_ordered_by_name():
    published, other = (dict(config) for config in STARTED.references.values())
    assert references(names=["other", "published"]) == [other, published]


def test_configurations_can_be_given_in_full():
    given = {"x": 0, "rate": 1e-2, "n": 9, "kind": 1}
    (config,) = references(configurations=[given])
    assert config == given
    assert [type(value) for value in config.values()] == [float, float, int, int]
    assert references(CONDITIONAL, configurations=[{"kind": "c", "r": 0.5}]) == [{"kind": "c", "r": 0.5}]


@pytest.mark.parametrize(
    ("space", "settings", "words"),
    [
        (CONDITIONAL, {}, "no reference configuration"),
        (STARTED, {"names": ["publisht"]}, "did you mean 'published'"),
        (STARTED, {"configurations": [{"x": 2.0, "rate": 1e-2, "n": 9, "kind": 1}]}, "parameter 'x'"),
        (CONDITIONAL, {"configurations": [{"kind": "c", "p": 2.0, "r": 0.5}]}, "not active"),
    ],
)
def test_references_that_the_space_does_not_have_are_refused(space, settings, words):
    with pytest.raises(IncompatibleError, match=words):
        references(space, **settings)


def test_references_are_named_or_given_not_both():
    with pytest.raises(ValueError, match="not both"):
        references(names=["other"], configurations=[{"x": 0.5, "rate": 1e-2, "n": 5, "kind": True}])
    with pytest.raises(ValueError, match="names"):
        references(names=[])
