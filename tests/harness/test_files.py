"""Tasks and searchers in a file of a user's own."""

from __future__ import annotations

import json
import re

import pytest
from command import derby

from harness import files, registry
from harness.errors import DerbyError, SweepError, UnknownNameError
from harness.sweep import parse_sweep

FUNCTION = """
import derby

@derby.task(space={"x": derby.Float(0, 1)}, direction="max", name=NAME)
def value(config, seed):
    return config["x"]
"""
LAMBDA = """
other = derby.task(space={"x": derby.Float(0, 1)}, direction="max")(lambda config: config["x"])
"""
SEARCHER = """
from derby import Searcher, Suggestion

class Mine(Searcher):
    def _ask(self):
        return Suggestion(self.problem.space.from_unit([0.25]))

    def _tell(self, suggestion, loss):
        pass
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return a function that writes a file into the folder that the test then runs in."""
    monkeypatch.chdir(tmp_path)

    def write(name, text):
        (tmp_path / name).write_text(text)

    return write


def sweep(task="mine.py:value", searchers="random", **more):
    content = {
        "name": "s",
        "repetitions": 2,
        "budget": {"evaluations": 3},
        "tasks": [task],
        "searchers": [searchers],
    }
    return json.dumps({**content, **more})


def test_the_content_is_part_of_the_identity_and_of_no_seed(write):
    write("mine.py", FUNCTION.replace("NAME", "None") + SEARCHER)
    one = parse_sweep(sweep(searchers="mine.py:Mine"), "a").studies[0]
    again = parse_sweep(sweep(searchers="mine.py:Mine"), "a").studies[0]
    write("mine.py", FUNCTION.replace("NAME", "None") + SEARCHER + "# edited\n")
    other = parse_sweep(sweep(searchers="mine.py:Mine"), "a").studies[0]
    assert one.key.id == again.key.id != other.key.id
    assert one.key.task.id != other.key.task.id
    assert (one.key.search_seed, one.key.training_seed) == (other.key.search_seed, other.key.training_seed)
    assert re.fullmatch("mine.py [0-9a-f]{16}", one.key.searcher_file)
    assert one.key.task.package == one.key.searcher_file
    assert type(one.key).from_json(json.loads(json.dumps(one.key.as_json()))) == one.key
    assert (one.task, one.searcher) == ("value", "Mine")


def test_an_edited_method_is_evaluated_anew(write, run_sweep):
    write("mine.py", SEARCHER)
    text = sweep("branin", "mine.py:Mine").replace("0.25]", "0.25, 0.25]")
    write("mine.py", SEARCHER.replace("[0.25]", "[0.25, 0.25]"))
    assert run_sweep(text).told == 6
    assert run_sweep(text).told == 0
    write("mine.py", SEARCHER.replace("[0.25]", "[0.75, 0.25]"))
    assert run_sweep(text).told == 6


def test_content_travels_to_a_process_that_has_no_such_file(write, tmp_path):
    write("mine.py", FUNCTION.replace("NAME", "'travelling'"))
    key = parse_sweep(sweep(), "a").studies[0].key.task
    (source,) = [source for source in files.sources() if source.origin == key.package]
    (tmp_path / "mine.py").unlink()
    code = (
        "import sys, json; from harness import files; from harness.evaluator import task_of, TaskKey\n"
        "path, text, key = json.loads(sys.argv[1])\n"
        "files.add((files.Source(path, text),))\n"
        "task = task_of(TaskKey(**key))\n"
        "print(task.evaluate({'x': 0.5}, epochs=1, seed=0, data={}).curve['value'])"
    )
    import subprocess
    import sys

    given = json.dumps([source.path, source.text, key.as_json()])
    done = subprocess.run([sys.executable, "-c", code, given], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "(0.5,)", done.stderr


@pytest.mark.ray
def test_it_runs_on_ray(write, run_sweep):
    from harness.executors.ray import RayExecutor

    write("mine.py", FUNCTION.replace("NAME", "None") + SEARCHER)
    executor = RayExecutor(1, evaluators=1)
    try:
        assert run_sweep(sweep(searchers="mine.py:Mine"), executor=executor).told == 6
    finally:
        executor.close()


@pytest.mark.parametrize(
    ("text", "named", "words"),
    [
        ("", "mine.py:value", "has no task called 'value'; valid: none"),
        (
            FUNCTION.replace("NAME", "None"),
            "mine.py:valeu",
            "has no task called 'valeu'; did you mean 'value'",
        ),
        ("value = 1", "mine.py:value", "called 'value', and value is a int"),
        (
            FUNCTION.replace("NAME", "'branin'"),
            "mine.py:value",
            "the name 'branin' is taken by tasks.synthetic.Branin",
        ),
        (FUNCTION.replace("NAME", "'a b'"), "mine.py:value", "value has no usable name: 'a b'"),
        ("import derby\n\n1 / 0", "mine.py:value", r"mine.py, line 3 cannot be loaded: ZeroDivisionError"),
        ("import derby\nx = (", "mine.py:value", "mine.py, line 2 cannot be loaded: SyntaxError"),
        ("x = 1\0", "mine.py:value", "mine.py cannot be loaded: SyntaxError"),
        ("from . import helpers", "mine.py:value", "relative import .*stands alone"),
        ("def f(): import helpers", "mine.py:value", "helpers.py, which lies beside it: .*stands alone"),
        ("import helpers", "mine.py:value", "No module named 'helpers'; .*stands alone"),
        ("import no_such_library_", "mine.py:value", "No module named 'no_such_library_'$"),
        (
            "def f(): import no_such_library_" + FUNCTION.replace("NAME", "None"),
            "mine.py:value",
            "pip install no_such",
        ),
        ("", "other.py:value", "cannot read other.py: .*relative to the folder that derby runs in"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(write, text, named, words):
    write("mine.py", text)
    write("helpers.py", "")
    with pytest.raises(SweepError, match=words):
        parse_sweep(sweep(named), "a")


def test_a_file_that_imports_another_beside_it_is_refused(write, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    write("beside_it.py", "")
    write("mine.py", "import beside_it")
    with pytest.raises(DerbyError, match=r"mine.py imports \S+beside_it.py, which lies beside it"):
        registry.named_task("mine.py:value", {})


def test_a_byte_order_mark_is_no_code_and_other_encodings_are_named(write, tmp_path):
    write("mine.py", "\ufeff" + FUNCTION.replace("NAME", "None"))
    assert registry.named_task("mine.py:value", {})[0].name == "value"
    (tmp_path / "mine.py").write_bytes(b"# \xe4\n")
    with pytest.raises(DerbyError, match=r"mine.py is not UTF-8: .*save it as UTF-8"):
        registry.named_task("mine.py:value", {})


def test_a_lambda_has_the_name_that_it_has_in_the_file(write):
    write("mine.py", FUNCTION.replace("NAME", "None") + LAMBDA)
    assert registry.named_task("mine.py:other", {})[0].name == "other"


def test_two_files_whose_tasks_have_one_name_are_told_what_to_do(write, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write(f"{folder}/mine.py", FUNCTION.replace("NAME", "None") + f"# {folder}\n")
    with pytest.raises(SweepError, match="'value' is listed twice; of two files .* needs another `name`"):
        parse_sweep(sweep("a/mine.py:value", tasks=["a/mine.py:value", "b/mine.py:value"]), "a")


def test_what_a_class_lacks_is_said(write):
    write("mine.py", SEARCHER.replace("_tell", "_told"))
    with pytest.raises(DerbyError, match="Mine is the class Mine, which lacks _tell; valid: none"):
        registry.named_searcher("mine.py:Mine")


def test_a_second_name_of_a_task_is_one(write):
    write("mine.py", FUNCTION.replace("NAME", "None") + "best = value")
    assert registry.named_task("mine.py:best", {})[0].name == "value"


def test_what_derives_from_another_in_the_file_has_a_name_of_its_own(write):
    write("mine.py", SEARCHER + "\nclass Better(Mine):\n    pass\n\nAlias = Better\n")
    kinds = [registry.named_searcher(f"mine.py:{label}") for label in ("Mine", "Better", "Alias")]
    assert [kind.name for kind in kinds] == ["Mine", "Better", "Better"]


def test_what_a_file_imports_is_what_it_needs():
    text = "import os, numpy, keras.layers\ndef f():\n from sklearn import svm\ntry:\n import torch\nexcept E:\n 0"
    assert files.imported(text) == {"keras": "keras", "sklearn": "scikit-learn"}


def test_both_commands_describe_a_member_of_a_file(write):
    write("mine.py", FUNCTION.replace("NAME", "None") + SEARCHER)
    assert "objective: maximise value" in derby("tasks", "mine.py:value").stdout
    assert derby("searchers", "mine.py:Mine").returncode == 0
    with pytest.raises(UnknownNameError):
        registry.named_searcher("mine.py:value")


BROKEN = """
import derby

@derby.task(space={"x": derby.Float(0, 1)}, direction="max", cheap=CHEAP)
def value(config):
    return missing
"""


@pytest.mark.parametrize("cheap", [True, False])
def test_a_task_that_never_works_is_given_up_after_two_studies(write, tmp_path, cheap):
    write("mine.py", BROKEN.replace("CHEAP", str(cheap)))
    write("sweep.yaml", sweep(repetitions=20, tasks=["mine.py:value", "branin"]))
    done = derby("run", "sweep.yaml")
    assert done.returncode == 1
    assert "20 of 40 studies done" in done.stdout
    (failed,) = (line for line in done.stdout.splitlines() if line.startswith("failed: "))
    place = rf"{re.escape(str(tmp_path / 'mine.py'))}, line 6"
    assert re.match(
        rf"failed: random on value, repetition 0 and 18 studies more: {place}: task 'value'", failed
    )
    assert failed.endswith("; and 1 study more likewise")
    assert "not begun: 18 of these, because task 'value' has never worked" in done.stdout
    assert len([*(tmp_path / "results" / "local" / "studies").iterdir()]) == 22


def test_a_task_that_works_sometimes_is_not_given_up(write):
    write(
        "mine.py", BROKEN.replace("CHEAP", "True").replace("return missing", "return 1 / (config['x'] > 0.1)")
    )
    write("sweep.yaml", sweep(repetitions=20))
    done = derby("run", "sweep.yaml")
    (failed,) = (line for line in done.stdout.splitlines() if line.startswith("failed: "))
    assert "ZeroDivisionError" in failed
    assert 2 < int(re.search(r"; and (\d+) studies more likewise$", failed)[1]) + 1 < 20
    assert "not begun" not in done.stdout


ASKING = "        return Suggestion(self.problem.space.from_unit([0.25] * len(self.problem.space)))"
EVERYWHERE = SEARCHER.replace("[0.25]", "[0.25] * len(self.problem.space)")
THREE = ["branin", "mixed", "hartmann6"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (ASKING, "        raise KeyError(self.problem.objective.metric + str(self.seed))", "KeyError: '"),
        (ASKING, "        return Suggestion({'no': float(self.seed)})", "trial 0: it proposed {'no': "),
        ("        pass", "        self.seen += [loss]", "'Mine' object has no attribute 'seen'"),
    ],
)
def test_a_method_that_never_works_is_given_up_after_three_studies(write, tmp_path, old, new, words):
    write("mine.py", EVERYWHERE.replace(old, new))
    write("sweep.yaml", sweep(repetitions=8, tasks=THREE).replace('"random"', '"random", "mine.py:Mine"'))
    done = derby("run", "sweep.yaml")
    assert done.returncode == 1
    assert "24 of 48 studies done" in done.stdout
    (failed,) = (line for line in done.stdout.splitlines() if line.startswith("failed: "))
    assert failed.startswith("failed: Mine on branin, repetition 0 and 21 studies more: ")
    assert words in failed
    assert failed.endswith("; and 2 studies more likewise")
    assert "not begun: 21 of these, because method 'Mine' has never worked" in done.stdout
    assert len([*(tmp_path / "results" / "local" / "studies").iterdir()]) == 27
    assert len([line for line in derby("status", "s").stdout.splitlines() if "failed: " in line]) == 1
    write("mine.py", EVERYWHERE)
    assert "48 of 48 studies done" in derby("run", "sweep.yaml").stdout


@pytest.mark.parametrize(
    "raised",
    [
        "if len(self.problem.space) < 6: raise KeyError('it')",
        "raise KeyError('it') if len(self.problem.space) < 6 else ValueError('it')",
    ],
)
def test_a_method_that_fails_on_some_tasks_or_in_several_ways_is_not_given_up(write, raised):
    write("mine.py", EVERYWHERE.replace(ASKING, f"        {raised}\n{ASKING}"))
    write("sweep.yaml", sweep(repetitions=8, tasks=THREE, searchers="mine.py:Mine"))
    assert "not begun" not in derby("run", "sweep.yaml").stdout


def test_what_a_file_held_is_recorded_exported_and_published(write, tmp_path):
    text = FUNCTION.replace("NAME", "None") + SEARCHER
    write("mine.py", text)
    write("sweep.yaml", sweep(searchers="mine.py:Mine"))
    assert derby("run", "sweep.yaml").returncode == 0
    folder = tmp_path / "results/local/sweeps/s/sources"
    (kept,) = folder.iterdir()
    assert re.fullmatch(r"mine-[0-9a-f]{16}\.py", kept.name)
    assert kept.read_text() == text
    write("mine.py", text + "# later\n")  # what was run is not what is there now
    assert derby("publish", "s").returncode == 0
    published = tmp_path / "results/published/s"
    assert (published / "sources" / kept.name).read_text() == text
    assert f"sources/{kept.name}" in json.loads((published / "manifest.json").read_text())["files"]
    assert list(json.loads((published / "provenance.json").read_text())["sources"].values()) == [text]

    assert derby("run", "sweep.yaml").returncode == 0
    assert len(list(folder.iterdir())) == 2  # the former stays: what it gave is on record
    assert derby("export", "s").returncode == 0
    about = json.loads((tmp_path / "results/local/sweeps/s/export/provenance.json").read_text())
    assert list(about["sources"].values()) == [text + "# later\n"]
    (now,) = [path for path in folder.iterdir() if path != kept]
    now.write_text("# another\n")
    refused = derby("export", "s")
    assert refused.returncode == 3
    assert f"{now.relative_to(tmp_path)} was changed after it was written" in refused.stderr


def test_a_copy_of_the_record_has_the_files(write, tmp_path):
    write("mine.py", FUNCTION.replace("NAME", "None"))
    write("sweep.yaml", sweep())
    assert derby("run", "sweep.yaml", "--sync-to", tmp_path / "copy").returncode == 0
    assert len(list((tmp_path / "copy/sweeps/s/sources").iterdir())) == 1


def test_a_sweep_without_files_records_none(write, tmp_path):
    write("sweep.yaml", sweep("branin"))
    assert derby("run", "sweep.yaml").returncode == 0
    assert not (tmp_path / "results/local/sweeps/s/sources").exists()
