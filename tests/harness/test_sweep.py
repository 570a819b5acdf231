"""Sweep files: what they may say, and how wrong ones are reported."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.errors import SweepError
from harness.sweep import load_sweep, make_sweep, parse_sweep
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
        (
            broken("name: first", "name: ../../etc"),
            [
                "line 1, name: expected 1 to 80 letters, digits, '.', '_' and '-', beginning with a letter or digit, "
                "got '../../etc'"
            ],
        ),
        (
            broken("- random\n", "- {name: pymoo_de, settings: {variant: DE/worst/1/bin}}\n"),
            [
                "searchers[0].settings.variant: expected DE/<rand, best or target-to-best>/<1 or 2 differences>/",
                "got 'DE/worst/1/bin'",
            ],
        ),
        (broken("seed: 7", "seed: 7\nseed: 8"), ["line 3, seed: this field is given twice"]),
        (broken("seed: 7", "seed: [7"), ["not valid YAML"]),
        (
            broken("seed: 7", "seed: !!python/object/apply:os.system ['true']"),
            ["line 2, seed: tags are not allowed"],
        ),
        (broken("seed: 7", "seed: yes"), ["line 2, seed: input should be a valid integer, got 'yes'"]),
        ("", ["s.yaml: the file is empty"]),
        ("- a\n- b\n", ["s.yaml, line 1, the file: "]),
        (GOOD + "workers: 0\n", ["line 15, workers: input should be greater than or equal to 1"]),
        (GOOD + "workers: 10001\n", ["line 15, workers: input should be less than or equal to 10000"]),
        (GOOD + f"workers: {10**23}\n", ["line 15, workers: a whole number must lie between -2⁶³ and 2⁶³"]),
        (GOOD + "threads: 1025\n", ["line 15, threads: input should be less than or equal to 1024"]),
        (GOOD + "deadline: .inf\n", ["line 15, deadline: a number must be finite"]),
        (GOOD + "deadline: true\n", ["line 15, deadline: input should be a valid number, got True"]),
        (GOOD + "deadline: '3'\n", ["line 15, deadline: input should be a valid number, got '3'"]),
        (GOOD + "deadline: 1:30\n", ["line 15, deadline: input should be a valid number, got '1:30'"]),
        (GOOD + "deadline: 1e8\n", ["line 15, deadline: input should be less than or equal to 31536000"]),
        (broken("seed: 7", "seed: 017"), ["line 2, seed: a number with leading zeros"]),
        (broken("seed: 7", "seed: 2020-13-45"), ["line 2, seed: input should be a valid integer"]),
        (broken("seed: 7", "seed: 0b_"), ["line 2, seed: input should be a valid integer, got '0b_'"]),
        (broken("evaluations: 12", "epochs: ~"), ["line 4, budget: give exactly one of"]),
        (broken("evaluations: 12", "evaluations: 12, epochs: ~"), ["line 4, budget: give exactly one of"]),
        (
            broken("evaluations: 12", f"evaluations: {10**10}"),
            ["line 4, budget.evaluations: input should be less"],
        ),
        (broken("{evaluations: 12}", "12"), ["line 4, budget: expected a mapping of fields, got 12"]),
        (
            broken("repetitions: 2", "repetitions: 99999999"),
            ["line 3, repetitions: input should be less than"],
        ),
        (
            broken("repetitions: 2", "repetitions: 50000"),
            ["line 3, repetitions: 50000 × 2 × 2 studies are more than the 100000 of a sweep"],
        ),
        (
            broken("resolution: 2", "resolution: .nan"),
            ["line 14, searchers[1].settings.resolution: a number must"],
        ),
        (
            broken("coarse grid", "'   '"),
            ["line 13, searchers[1].label: a label must be visible: it is blank"],
        ),
        (
            broken("coarse grid", "'grid '"),
            ["line 13, searchers[1].label: a label must not begin or end with"],
        ),
        (
            broken("coarse grid", '"a\\nb"'),
            ["line 13, searchers[1].label: a label must be visible: it holds U+000A"],
        ),
        (broken("coarse grid", '"a\\x07"'), ["line 13, searchers[1].label: text must not hold U+0007"]),
        (broken("coarse grid", '"a\\u202e"'), ["line 13, searchers[1].label: text must not hold U+202E"]),
        (
            broken("coarse grid", '"a\\u200d"'),
            ["line 13, searchers[1].label: a label must be visible: it holds U+200D"],
        ),
        (
            broken("coarse grid", "random\u00a0"),
            ["line 13, searchers[1].label: a label must not begin or end with"],
        ),
        (broken("coarse grid", "ｒandom"), ["line 12, searchers[1]: label 'ｒandom' is used twice"]),
        (
            broken("    options: {variant: tiny, objective: val_macro_f1}", "    options: {self: 1}"),
            ["line 8, tasks[1].options.self: unknown field"],
        ),
        (
            broken("name: mnist_mlp\n", "name: mnist_mlp/tiny\n"),
            ["line 7, tasks[1]: the variant is given twice: in the name and in the options"],
        ),
        (broken("  - branin", "  - branin/"), ["line 6, tasks[0].options.variant: unknown field"]),
        (broken("  - branin", f"  - {'x' * 201}"), ["line 6, tasks[0].name: string should have at most 200"]),
        (GOOD + 'description: "\\e[31m"\n', ["line 15, description: text must not hold U+001B"]),
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


def test_what_cannot_be_read_hides_nothing_else():
    text = (
        broken("seed: 7", "seed: 017")
        .replace("  - random", "  - ramdom")
        .replace("resolution: 2", "resolution: *x")
    )
    with pytest.raises(SweepError) as caught:
        parse_sweep(text + "workers: 0\n", "s.yaml")
    assert [line.partition(": ")[0] for line in str(caught.value).splitlines()] == [
        "s.yaml, line 2, seed",
        "s.yaml, line 11, searchers[0].name",
        "s.yaml, line 14, searchers[1].settings.resolution",
        "s.yaml, line 15, workers",
    ]
    with pytest.raises(SweepError, match=r"line 11, searchers\[0\].name: no searcher is called 'ramdom'"):
        parse_sweep(broken("  - random", "  - ramdom").replace("variant: tiny", "variant: !x tiny"), "s.yaml")


def test_of_many_problems_the_first_are_listed_and_the_rest_counted():
    with pytest.raises(SweepError) as caught:
        parse_sweep(GOOD + "".join(f"k{i}: 1\n" for i in range(5000)), "s.yaml")
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("s.yaml, line 15, k0: unknown field")
    assert lines[50:] == ["s.yaml: and 4950 problems more"]
    with pytest.raises(SweepError, match="s.yaml: and 949 problems more"):
        parse_sweep(broken("  - random", "".join(f"  - r{i}\n" for i in range(999))), "s.yaml")


@pytest.mark.parametrize("entry", ["mnist_mlp/tiny", "{name: mnist_mlp, options: {variant: tiny}}"])
def test_a_variant_may_be_part_of_a_name_everywhere(entry):
    def sweep(task):
        return parse_sweep(
            f"{{name: s, repetitions: 1, budget: {{evaluations: 2}}, tasks: [{task}], searchers: [random]}}",
            "s",
        )

    named = (
        sweep("{name: mnist_mlp/tiny, budget: {evaluations: 3}, options: {objective: val_macro_f1}}")
        .studies[0]
        .key
    )
    assert named.task.options == sweep(entry).studies[0].key.task.options
    assert named.task.scoring["objective"] == "val_macro_f1"
    assert named.budget == Budget("evaluations", 3)


def test_numbers_are_those_of_yaml_1_2():
    sweep = parse_sweep(GOOD + "deadline: 1e-4\n", "s.yaml")
    assert sweep.studies[0].key.deadline == 1e-4
    given = parse_sweep(
        "{name: s, repetitions: 1, budget: {evaluations: 2}, tasks: [branin], searchers: ["
        "{name: references, settings: {configurations: [{x1: 1e-4, x2: 0o17}]}}]}",
        "s.yaml",
    )
    assert given.studies[0].key.settings["configurations"] == [{"x1": 1e-4, "x2": 15}]


def test_a_reference_must_be_finite_however_it_is_given():
    def content(value):
        configurations = [{"x1": value, "x2": 1.0}]
        return {
            "name": "s",
            "repetitions": 1,
            "budget": {"evaluations": 2},
            "tasks": ["branin"],
            "searchers": [{"name": "references", "settings": {"configurations": configurations}}],
        }

    assert (
        parse_sweep(make_sweep(content(1e-4), "s").text, "s").studies
        == make_sweep(content(1e-4), "s").studies
    )
    for value in (float("inf"), float("nan")):
        with pytest.raises(SweepError, match=r"s, searchers\[0\].*(finite|is not in)"):
            make_sweep(content(value), "s")


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_setting_must_be_finite_however_it_is_given(value):
    from harness import registry

    with pytest.raises(ValueError, match="finite number"):
        registry.searcher("hyperopt_tpe").Settings(gamma=value)
    content = {"name": "s", "repetitions": 1, "budget": {"evaluations": 2}, "deadline": value}
    with pytest.raises(SweepError, match="s, deadline: input should be"):
        make_sweep({**content, "tasks": ["branin"], "searchers": ["random"]}, "s")


def test_a_task_that_its_options_break_is_named(monkeypatch):
    from harness import registry
    from harness.errors import SpaceError

    def broken_definition(self):
        raise SpaceError("Int needs low <= high")

    monkeypatch.setattr(registry.task("mnist_mlp"), "_define", broken_definition)
    with pytest.raises(SweepError, match=r"s.yaml, line 8, tasks\[1\].options: Int needs low <= high"):
        parse_sweep(GOOD, "s.yaml")


def test_a_file_that_never_ends_is_not_read_to_its_end():
    with pytest.raises(SweepError, match="/dev/zero: longer than 256 KiB"):
        load_sweep(Path("/dev/zero"))


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


def test_a_searchers_version_is_part_of_its_studies_identity(monkeypatch):
    from harness import registry

    before = parse_sweep(GOOD, "s.yaml")
    monkeypatch.setattr(registry.searcher("random"), "version", 7)
    after = parse_sweep(GOOD, "s.yaml")
    for one, other in zip(before.studies, after.studies, strict=True):
        same = one.key.searcher != "random"
        assert (one.key.id == other.key.id) == same
        assert one.key.search_seed == other.key.search_seed
        assert one.key.training_seed == other.key.training_seed
        assert ("searcher_version" in other.key.as_json()) == (other.key.searcher_version != 1)


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


def test_groups_of_tasks_are_planned_and_checked(plugin, monkeypatch):
    import derby_test_plugin

    from harness.registry import tasks

    text = VALID_TASKS.format("[branin, troublesome]")
    planned = parse_sweep(text, "sweep.yaml").as_plan().tasks
    assert {label: task.group for label, task in planned.items()} == {"branin": "function", "troublesome": ""}
    monkeypatch.setattr(derby_test_plugin.Troublesome, "group", "Image <b>")
    with pytest.raises(
        SweepError, match=r"line 4.*task 'troublesome': group must be .* such as 'image', got 'Image"
    ):
        parse_sweep(text, "sweep.yaml")
    own = {name: kind.group for name, kind in tasks().items() if kind.__module__.startswith("tasks.")}
    assert own.pop("replay") == ""  # each recording says its own
    assert set(own.values()) == {"image", "function", "tabular", "architecture"}
    assert {name for name, group in own.items() if group == "function"} == {"branin", "hartmann6", "mixed"}


VALID_TASKS = """\
name: groups
repetitions: 1
budget: {{evaluations: 2}}
tasks: {}
searchers: [random]
"""


def test_wrong_fields_hide_no_unknown_names():
    text = """\
name: all
repetitions: 0
budget: {evaluations: 5}
tasks: [branni, {name: mixed, optoins: {}}, {name: branin, options: {nope: 1}}]
searchers: [ramdom, {name: grid, settings: {resolution: -1}}]
nope: 1
"""
    with pytest.raises(SweepError) as refused:
        parse_sweep(text, "s.yaml")
    message = str(refused.value)
    for line, field, words in (
        (2, "repetitions", "greater than or equal to 1"),
        (4, "tasks[0].name", "no task is called 'branni'; did you mean 'branin'?"),
        (4, "tasks[1].optoins", "unknown field; did you mean 'options'?"),
        (4, "tasks[2].options.nope", "unknown field"),
        (5, "searchers[0].name", "no searcher is called 'ramdom'; did you mean 'random'?"),
        (5, "searchers[1].settings.resolution", "greater than or equal to 1"),
        (6, "nope", "unknown field"),
    ):
        assert re.search(rf"^s.yaml, line {line}, {re.escape(field)}: .*{re.escape(words)}", message, re.M), (
            field
        )
    assert len(message.splitlines()) == 7  # each once


@pytest.mark.parametrize(
    "field",
    ["budget: {evaluations: -6}", "budget: 5", "workers: many", "tasks: 3", "searchers: {}", "compare: 7"],
)
def test_what_is_readable_is_checked_whatever_else_is_not(field):
    fields = {
        "name": "some",
        "repetitions": "1",
        "budget": "{evaluations: 5}",
        "tasks": "[branni]",
        "searchers": "[ramdom]",
    }
    name, _, wrong = field.partition(": ")
    fields[name] = wrong
    with pytest.raises(SweepError) as refused:
        parse_sweep("\n".join(f"{key}: {value}" for key, value in fields.items()), "s.yaml")
    message = str(refused.value)
    assert f", {name}" in message
    assert ("'branni'" in message) == (name != "tasks")
    assert ("'ramdom'" in message) == (name != "searchers")


def test_a_method_cannot_search_a_task_is_said_beside_a_wrong_field():
    text = "{name: a b, repetitions: 1, budget: {evaluations: 5}, tasks: [mixed], searchers: [optuna_cmaes]}"
    with pytest.raises(SweepError) as refused:
        parse_sweep(text, "s.yaml")
    assert "name: " in str(refused.value)
    assert "searcher 'optuna_cmaes' cannot search task 'mixed'" in str(refused.value)
