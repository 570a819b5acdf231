"""Sweep files: what they may say, and how wrong ones are reported."""

from __future__ import annotations

import pytest

from harness.errors import SweepError
from harness.sweep import load_sweep, parse_sweep
from harness.trial import Budget

GOOD = """\
name: first
seed: 7
repetitions: 2
budget: {evaluations: 12}
tasks:
  - branin
  - name: mnist_mlp
    options: {variant: tiny, objective: val_macro_f1}
    budget: {full: 3}
searchers:
  - random
  - name: grid
    label: coarse grid
    settings: {resolution: 2}
"""


def test_a_sweep_is_its_studies():
    sweep = parse_sweep(GOOD, "first.yaml")
    assert list(sweep.tasks) == ["branin", "mnist_mlp/tiny,objective=val_macro_f1"]
    assert [study.label for study in sweep.studies[:4]] == [
        "random on branin, repetition 0",
        "coarse grid on branin, repetition 0",
        "random on mnist_mlp/tiny,objective=val_macro_f1, repetition 0",
        "coarse grid on mnist_mlp/tiny,objective=val_macro_f1, repetition 0",
    ]
    assert len({study.key.id for study in sweep.studies}) == 2 * 2 * 2
    full = sweep.tasks["mnist_mlp/tiny,objective=val_macro_f1"].fidelity.high
    assert sweep.studies[0].key.budget == Budget("evaluations", 12)
    assert sweep.studies[2].key.budget == Budget("epochs", 3 * full)
    assert sweep.studies[1].key.settings["resolution"] == 2


def test_a_study_is_the_same_study_in_another_sweep():
    alone = parse_sweep(
        "{name: other, seed: 7, repetitions: 1, budget: {evaluations: 12}, tasks: [branin], searchers: [random]}",
        "other.yaml",
    )
    assert alone.studies[0].key == parse_sweep(GOOD, "first.yaml").studies[0].key


def broken(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        (
            broken("  - random", "  - ramdom"),
            ["s.yaml, line 11, searchers[0].name: no searcher is called 'ramdom'; did you mean 'random'"],
        ),
        (
            broken("  - branin", "  - brannin"),
            ["s.yaml, line 6, tasks[0].name: no task is called 'brannin'; did you mean 'branin'"],
        ),
        (
            broken("repetitions", "repetition"),
            [
                "line 3, repetition: unknown field; did you mean 'repetitions'",
                "repetitions: this field is required",
            ],
        ),
        (
            broken("evaluations: 12", "evaluations: -12"),
            ["line 4, budget.evaluations: input should be greater than or equal to 1, got -12"],
        ),
        (broken("evaluations: 12", "evaluations: 12, epochs: 3"), ["line 4, budget: give exactly one of"]),
        (
            broken("evaluations: 12", "evaluation: 12"),
            ["line 4, budget.evaluation: unknown field; did you mean 'evaluations'"],
        ),
        (
            broken("{full: 3}", "{ful: 3}"),
            ["line 9, tasks[1].budget.ful: unknown field; did you mean 'full'"],
        ),
        (
            broken("    label: coarse grid", "    lable: coarse grid"),
            ["line 13, searchers[1].lable: unknown field; did you mean 'label'"],
        ),
        (
            broken("    label: coarse grid", "    label: random"),
            ["line 12, searchers[1]: label 'random' is used twice"],
        ),
        (
            broken("resolution: 2", "resolutoin: 2"),
            ["line 14, searchers[1].settings.resolutoin: unknown field; did you mean 'resolution'"],
        ),
        (
            broken("resolution: 2", "resolution: two"),
            ["line 14, searchers[1].settings.resolution:", "got 'two'"],
        ),
        (
            broken("variant: tiny", "variant: tinny"),
            ["line 8, tasks[1].options.variant: input should be", "got 'tinny'"],
        ),
        (
            broken("variant: tiny,", "varaint: tiny,"),
            ["line 8, tasks[1].options.varaint: unknown field; did you mean 'variant'"],
        ),
        (
            broken("- name: mnist_mlp\n", "- nam: mnist_mlp\n"),
            [
                "line 7, tasks[1].nam: unknown field; did you mean 'name'",
                "line 7, tasks[1].name: this field is required",
            ],
        ),
        (broken("name: first", "name: ../../etc"), ["line 1, name: string should match pattern"]),
        (broken("seed: 7", "seed: 7\nseed: 8"), ["line 3, seed: this field is given twice"]),
        (broken("seed: 7", "seed: [7"), ["not valid YAML"]),
        (broken("seed: 7", "seed: !!python/object/apply:os.system ['true']"), ["line 2: not valid YAML"]),
        (broken("seed: 7", "seed: yes"), ["line 2, seed: input should be a valid integer, got True"]),
        ("", ["s.yaml: the file is empty"]),
        ("- a\n- b\n", ["s.yaml, line 1, the file: "]),
        (GOOD + "workers: 0\n", ["line 15, workers: input should be greater than or equal to 1"]),
    ],
)
def test_a_wrong_file_is_refused_with_file_line_field_and_nearest_name(text, messages):
    with pytest.raises(SweepError) as caught:
        parse_sweep(text, "s.yaml")
    for message in messages:
        assert message in str(caught.value)


def test_every_problem_is_reported_at_once():
    text = (
        broken("  - random", "  - ramdom")
        .replace("branin", "brannin")
        .replace("variant: tiny", "variant: huge")
    )
    with pytest.raises(SweepError) as caught:
        parse_sweep(text, "s.yaml")
    lines = str(caught.value).splitlines()
    assert [line.split(",")[1] for line in lines] == [" line 6", " line 8", " line 11"]


def test_a_searcher_that_cannot_search_the_space_is_refused(monkeypatch):
    from harness import registry

    monkeypatch.setattr(registry.searcher("skopt_gp"), "drops_inactive", False)
    text = """\
name: bad
repetitions: 1
workers: 1
budget: {evaluations: 3}
tasks: [fashion_mlp/tiny]
searchers: [random, skopt_gp]
"""
    with pytest.raises(
        SweepError,
        match=r"line 6, searchers\[1\]: searcher 'skopt_gp' cannot search task 'fashion_mlp/tiny'.*conditional",
    ):
        parse_sweep(text, "s.yaml")


def test_several_workers_need_parallel_searchers(monkeypatch):
    from harness import registry

    monkeypatch.setattr(registry.searcher("random"), "parallel", False)
    with pytest.raises(SweepError, match=r"searchers\[0\]: searcher 'random' proposes one at a time"):
        parse_sweep(GOOD + "workers: 4\n", "s.yaml")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SweepError, match="cannot read sweep file .*none.yaml"):
        load_sweep(tmp_path / "none.yaml")


def test_a_missing_library_is_known_before_anything_runs(monkeypatch):
    from harness import registry

    monkeypatch.setattr(registry.task("mnist_mlp"), "libraries", {"no_such_module": "no-such-thing"})
    monkeypatch.setattr(registry.searcher("grid"), "libraries", {"no_such_module": "no-such-thing"})
    with pytest.raises(SweepError) as caught:
        parse_sweep(GOOD, "s.yaml")
    assert "line 7, tasks[1]: task 'mnist_mlp' needs no-such-thing: run `pip install" in str(caught.value)
    assert "line 12, searchers[1]: searcher 'grid' needs no-such-thing: run `pip install" in str(caught.value)
