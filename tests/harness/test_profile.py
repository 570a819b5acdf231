"""Where an evaluation's time goes: phases, the table, and the command."""

from __future__ import annotations

import time
from collections import OrderedDict

import pytest
from command import derby

from harness.errors import DerbyError
from harness.phases import Stopwatch, phase
from harness.profile import REST, UNMARKED, Profile, configuration, profile, task_named
from harness.trial import Curve, Evaluation, Status


def test_a_phase_counts_what_is_inside_it_but_for_other_phases():
    watch = Stopwatch()
    with watch.running():
        for _ in range(2):
            with phase("outer"):
                time.sleep(0.02)
                with phase("inner"):
                    time.sleep(0.05)
        with pytest.raises(ZeroDivisionError), phase("failed"):
            _ = 1 / 0
    with phase("unseen"):
        pass
    assert set(watch.seconds) == {"inner", "outer", "failed"}
    assert 0.04 <= watch.seconds["outer"] < watch.seconds["inner"]
    assert watch.seconds["inner"] >= 0.1


def test_table():
    """Later evaluations apart from the first, per epoch, and nothing lost: the parts make the whole."""
    evaluation = Evaluation(Status.OK, Curve({"seconds": [1.0, 1.0]}), 2)
    runs = ({"compile": 5.0, REST: 1.0, "train": 4.0}, {"train": 2.0, REST: 0.0}, {"train": 4.0, REST: 1.0})
    rows = {name: cells for name, *cells in Profile({"load": 0.5}, runs, evaluation).rows()}
    assert list(rows) == ["load", "compile", "train", REST, "in all"]
    assert rows["load"] == ["0.500", "", "", "", ""]
    assert rows["compile"] == ["", "5.000", "0", "0", "0%"]
    assert rows["train"] == ["", "4.000", "3.000", "1.500", "86%"]
    assert rows["in all"] == ["", "10.000", "3.500", "1.750", ""]
    alone = {name: cells for name, *cells in Profile({}, runs[:1], evaluation).rows()}
    assert alone["train"] == ["", "4.000", "", "2.000", "40%"]


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", ["mnist_net/tiny", "branin"])
def test_phases_make_up_the_evaluation(name, monkeypatch):
    from tasks.engine import program

    monkeypatch.setattr(program, "_programs", OrderedDict())  # none kept by an earlier test
    task = task_named(name, {})
    done = profile(task, configuration(task, None, None), epochs=1, threads=1, repeats=2, seed=0)
    assert set(done.once) == {"start", "load"}
    assert done.evaluation.status is Status.OK
    first, second = done.runs
    if task.cheap:
        assert [*first] == [*second] == [UNMARKED]
        return
    assert {"compile", "initial weights", "train", "validate", "test", REST} <= set(first)
    assert "compile" not in second, "the program is kept"
    assert first[REST] < 0.5 * sum(first.values()), "what takes long is marked"
    assert all(seconds >= 0 for run in done.runs for seconds in run.values())


def test_configurations():
    task = task_named("fashion_cnn/tiny", {"protocol": "published"})
    assert task.label == "fashion_cnn/tiny,protocol=published"
    references = task.space.references
    assert configuration(task, None, None) == references["start"]
    assert configuration(task, "published_best", None) == references["published_best"]
    given = configuration(task, '{"lr": 0.01, "layers": 2, "units": 9}', None)
    assert given == {"lr": 0.01, "layers": 2, "units": 9}
    random = [configuration(task, None, seed) for seed in (1, 1, 2)]
    assert random[0] == random[1] != random[2]
    for config, seed, said in (
        ("strat", None, "'start'"),
        ('{"lr": 1', None, "expected a reference's name or JSON"),
        ('{"lr": 5.0, "layers": 2, "units": 9}', None, "lr"),
        ("start", 1, "got both"),
    ):
        with pytest.raises(DerbyError, match=said):
            configuration(task, config, seed)
    assert configuration(task_named("branin", {}), None, None)


@pytest.mark.parametrize(("text", "options"), [("fashion_cnn/big", {}), ("branin", {"images": "folder"})])
def test_a_task_with_other_options_is_refused(text, options):
    with pytest.raises(DerbyError, match="derby tasks"):
        task_named(text, options)


def test_command_works_for_a_plug_in_and_records_nothing(tmp_path, plugin):
    done = derby("profile", "troublesome", "--repeats", "2", "--epochs", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith(UNMARKED) for line in lines)
    assert any(line.startswith("load") for line in lines)
    assert not any(tmp_path.iterdir())
