"""Ray gives the record that serial gives, whatever becomes of its evaluators on the way."""

from __future__ import annotations

from collections import defaultdict

import pytest
from records import study_records
from watching import evaluation_records, training, watched

pytestmark = pytest.mark.cluster

SWEEP = """\
name: same
seed: 11
repetitions: {repetitions}
workers: {workers}
budget: {{full: 2}}
tasks: [mnist_mlp/tiny, fashion_mlp/tiny, watched, line]
searchers: [random, hyperopt_tpe, optuna_tpe, optuna_hyperband, optuna_sha, kerastuner_hyperband]
"""


@pytest.mark.parametrize(("workers", "repetitions"), [(1, 1), (4, 2)])
def test_ray_gives_the_record_of_serial(run_sweep, tmp_path, on_ray, workers, repetitions):
    text = SWEEP.format(workers=workers, repetitions=repetitions)
    by_ray = run_sweep(text, tmp_path / "ray", executor=on_ray())
    serial = run_sweep(text, tmp_path / "serial")
    assert by_ray.failed == serial.failed == {}
    records = study_records(tmp_path / "ray")
    assert len(records) == 4 * 6 * repetitions
    assert records == study_records(tmp_path / "serial")
    assert evaluation_records(tmp_path / "ray") == evaluation_records(tmp_path / "serial")
    assert continued(records) > 0


def continued(records):
    """Count the proposals that continue a trial."""
    count = 0
    for events in records.values():
        trials = [event["trial"] for event in events if event["event"] == "asked"]
        count += len(trials) - len(set(trials))
    return count


HYPERBAND = """\
name: hyperband
repetitions: 1
workers: 2
budget: {{epochs: {epochs}}}
tasks: [{{name: watched, options: {{seconds: 0.02, folder: "{folder}"}}}}]
searchers: [{searchers}]
"""


def started(executor, evaluators):
    """Return an executor when so many of its evaluators have started."""
    executor.demand(evaluators, 0)
    while executor.workforce.idle < evaluators:
        executor.wait()
    return executor


def test_a_trial_is_continued_where_its_checkpoint_is(run_sweep, tmp_path, on_ray):
    text = HYPERBAND.format(folder=tmp_path, epochs=63, searchers="optuna_hyperband, kerastuner_hyperband")
    run_sweep(text, executor=started(on_ray(), 2))
    begun = watched(tmp_path, "begin")
    assert len({entry["pid"] for entry in begun}) == 2
    reached = defaultdict(int)
    for entry in begun:
        assert entry["first"] == reached[training(entry)[:-1]]
        reached[training(entry)[:-1]] = entry["last"]
    assert sum(entry["first"] > 0 for entry in begun) > 3


def test_recycled_evaluators_change_nothing(run_sweep, tmp_path, on_ray):
    text = HYPERBAND.format(folder=tmp_path, epochs=27, searchers="optuna_hyperband")
    run_sweep(text, tmp_path / "serial")
    (tmp_path / "watched").unlink()
    run_sweep(text, tmp_path / "ray", executor=on_ray(evaluators=1, recycle_after=3))
    assert study_records(tmp_path / "ray") == study_records(tmp_path / "serial")
    assert evaluation_records(tmp_path / "ray") == evaluation_records(tmp_path / "serial")
    served = defaultdict(int)
    for entry in watched(tmp_path, "begin"):
        served[entry["pid"]] += 1
    assert max(served.values()) == 3
    assert len(served) > 1


def test_no_more_evaluators_are_started_than_were_allowed(run_sweep, tmp_path, on_ray):
    executor, sizes = on_ray(evaluators=1), set()
    wait = executor.wait

    def look():
        force = executor.workforce
        sizes.add(force.busy + force.idle + force.starting)
        return wait()

    executor.wait = look
    run_sweep(HYPERBAND.format(folder=tmp_path, epochs=27, searchers="optuna_hyperband"), executor=executor)
    assert max(sizes) == 1


def test_where_there_is_room_for_fewer_evaluators_than_were_allowed_those_do_it(run_sweep, tmp_path, on_ray):
    text = HYPERBAND.format(folder=tmp_path, epochs=27, searchers="optuna_hyperband")
    run_sweep(text, executor=started(on_ray(evaluators=5), 2))
    assert len({entry["pid"] for entry in watched(tmp_path)}) == 2


def test_evaluators_without_further_use_are_given_back(run_sweep, tmp_path, on_ray, cluster):
    import ray

    text = f"""\
name: uneven
repetitions: 1
budget: {{evaluations: 1}}
tasks:
  - {{name: watched, options: {{seconds: 0.01, folder: "{tmp_path}"}}}}
  - {{name: watched, options: {{seconds: 0.5, folder: "{tmp_path}"}}}}
searchers: [random]
"""
    executor, free = on_ray(), []
    wait = executor.wait

    def look():
        free.append(ray.available_resources().get("CPU", 0.0))
        return wait()

    executor.wait = look
    run_sweep(text, executor=executor)
    assert 0.0 in free  # both at work
    assert free[-1] == 1.0
