"""Replays: what was recorded comes back, and what is between follows from it."""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import shutil
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import FINITE, METRICS, MIXED, about, drawn, recorded, spaces, training
from records import study_records

from harness import registry
from harness.errors import DataError, SweepError
from harness.interpolation import Coordinates, weights
from harness.keys import canonical_json
from harness.profile import task_named
from harness.recording import OK, Recording, Row, Scales, named
from harness.recording_file import load, save
from harness.space import Float, Space
from harness.sweep import parse_sweep
from harness.task import Checkpoint
from harness.trial import Curve, Evaluation, Status
from results.tables import read_tables
from tasks.replay import Replay


@pytest.fixture
def replay(tmp_path):
    """Return a function that saves a recording and returns its replay."""

    def made(recording, name="one"):
        path = tmp_path / f"{name}.parquet"
        save(recording, path)
        return Replay(recording=str(path))

    return made


def evaluated(task, config, seed=1, epochs=None, **rest):
    return task.evaluate(config, epochs=epochs or task.fidelity.high, seed=seed, data={}, **rest)


def plain(evaluation):
    """An evaluation without its message, to be compared."""
    return (
        evaluation.status,
        evaluation.curve,
        evaluation.epochs,
        evaluation.setup_seconds,
        evaluation.lost_seconds,
    )


@pytest.mark.parametrize("name", sorted(Replay.shipped()))
def test_every_recording_that_comes_along_is_replayed_to_the_last_digit(name):
    task = Replay(recording=name)
    recording = load(Replay.shipped()[name])
    for row in recording.rows():
        assert plain(evaluated(task, row.config, row.seed)) == plain(row.evaluation)
    assert task.label == f"replay/{name}"
    assert task.regret is not None
    assert task.source == recording.about.source
    known = registry.task(recording.about.task["name"])
    kind = known(**recording.about.task["options"], **recording.about.task["scoring"])
    assert kind.problem == task.problem


@settings(deadline=None)
@given(
    space=spaces(),
    seed=st.integers(0, 1000),
    diverges=st.sampled_from([0.0, 0.5]),
    missing=st.sampled_from([0.0, 0.5]),
)
def test_what_was_recorded_comes_back_in_any_space(tmp_path_factory, space, seed, diverges, missing):
    path = tmp_path_factory.getbasetemp() / "any.parquet"
    recording = recorded(space, 5, seed=seed, diverges=diverges, missing=missing)
    save(recording, path)
    task = Replay(recording=str(path))
    for row in recording.rows():
        assert plain(evaluated(task, row.config, row.seed)) == plain(row.evaluation)
    rng = random.Random(seed)
    for _ in range(5):
        config = space.from_unit([rng.random() for _ in space.parameters])
        made = evaluated(task, config, seed)
        assert made.status in (Status.OK, Status.DIVERGED)
        assert 0 < task.cost(config) < math.inf
        succeeded = recording.curves[recording.training[recording.status == OK]]
        low, high = succeeded.min(axis=(0, 2)), succeeded.max(axis=(0, 2))
        if made.status is Status.OK:
            for number, metric in enumerate(METRICS):
                assert low[number] <= min(made.curve[metric]) <= max(made.curve[metric]) <= high[number]


def test_other_seeds_meet_one_of_the_recorded_trainings(replay):
    recording = recorded(FINITE, [*FINITE.grid(3)], diverges=0.3, missing=0.3, scales=None)
    task = replay(recording)
    for place, config in enumerate(recording.configs):
        own = [row.evaluation for row in recording.rows() if named(row.config) == named(config)]
        found = [evaluated(task, config, seed) for seed in range(100, 160)]
        assert all(any(plain(each) == plain(one) for one in own) for each in found)
        met = {plain(each) for each in found}
        assert len(met) == len(own), "each of them is met"
        again = [evaluated(task, config, seed) for seed in range(100, 160)]
        assert list(map(plain, again)) == list(map(plain, found)), place
    # The luck of one configuration says nothing of another's.
    first, second = recording.configs[:2]
    three = recorded(FINITE, [first, second])
    task = replay(three, "three")
    luck = [
        tuple(
            [*map(plain, (evaluated(task, c, s) for s in three.seeds.tolist()))].index(
                plain(evaluated(task, c, seed))
            )
            for c in (first, second)
        )
        for seed in range(100, 200)
    ]
    assert len(Counter(luck)) == 9


def expected(recording, config, seed):
    """What `Replay` says between recorded configurations, by loops over Python's floats."""
    scales = recording.about.scales
    squared = Coordinates.of(recording.space, recording.configs).distances(config, scales)
    near, share = (values.tolist() for values in weights(squared, scales))
    digest = hashlib.sha256(f"{seed} {canonical_json(config)}".encode()).digest()
    words = [int.from_bytes(digest[at : at + 8], "little") for at in range(0, 32, 8)]
    uniform = [(word >> 11) / 2**53 for word in words]
    trainings = {
        place: [row.evaluation for row in recording.rows() if row.config == recording.configs[place]]
        for place in near
    }
    ok = {place: [e for e in own if e.status is Status.OK] for place, own in trainings.items()}
    lost = {place: [e for e in own if e.status is Status.DIVERGED] for place, own in trainings.items()}
    risk = [each * len(lost[place]) / len(trainings[place]) for place, each in zip(near, share, strict=True)]

    def by(places, chances, word):
        left = uniform[word] * sum(chances)
        for place, chance in zip(places, chances, strict=True):
            left -= chance
            if left < 0:
                return place
        raise AssertionError

    if uniform[0] < sum(risk):
        own = lost[by(near, risk, 1)]
        return own[words[2] % len(own)]
    usable = [(place, each) for place, each in zip(near, share, strict=True) if ok[place]]
    near, share = zip(*usable, strict=True)
    total = sum(share)
    donor = by(near, share, 1)
    real = ok[donor][words[2] % len(ok[donor])]
    factor = math.sqrt(len(ok[donor]) / max(len(ok[donor]) - 1, 1))
    every = [row.evaluation.curve for row in recording.rows() if row.evaluation.status is Status.OK]
    columns = {}
    for metric in METRICS:
        low = min(min(curve[metric]) for curve in every)
        high = max(max(curve[metric]) for curve in every)

        def mean(place, epoch, metric=metric):
            return sum(one.curve[metric][epoch] for one in ok[place]) / len(ok[place])

        columns[metric] = [
            min(
                max(
                    sum(each / total * mean(place, epoch) for place, each in zip(near, share, strict=True))
                    + factor * (real.curve[metric][epoch] - mean(donor, epoch)),
                    low,
                ),
                high,
            )
            for epoch in range(recording.about.fidelity[1])
        ]
    setup = sum(
        each / total * sum(one.setup_seconds for one in ok[place]) / len(ok[place])
        for place, each in zip(near, share, strict=True)
    )
    return Evaluation(Status.OK, Curve(columns), recording.about.fidelity[1], setup_seconds=setup)


@pytest.mark.parametrize(("diverges", "missing"), [(0.0, 0.0), (0.4, 0.0), (0.4, 0.4)])
def test_between_recorded_configurations_a_loop_says_the_same(replay, diverges, missing):
    recording = recorded(MIXED, 30, seeds=(1, 2, 3, 4), diverges=diverges, missing=missing)
    task, statuses = replay(recording), Counter()
    for seed, config in enumerate(drawn(MIXED, 80, random.Random(7))):
        found, wanted = evaluated(task, config, seed), expected(recording, config, seed)
        statuses[found.status] += 1
        assert (found.status, found.epochs) == (wanted.status, wanted.epochs)
        assert set(found.curve) == set(wanted.curve)
        for metric in found.curve:
            assert found.curve[metric] == pytest.approx(wanted.curve[metric], rel=1e-12)
        assert found.setup_seconds == pytest.approx(wanted.setup_seconds, rel=1e-12)
        assert found.lost_seconds == wanted.lost_seconds
    assert (statuses[Status.DIVERGED] > 5) == (diverges > 0)


@pytest.mark.parametrize("diverges", [0.0, 0.5])
def test_a_curve_contains_every_shorter_one_and_is_continued(replay, diverges):
    recording = recorded(MIXED, 20, diverges=diverges)
    task = replay(recording)
    for config in [*recording.configs[:6], *drawn(MIXED, 30, random.Random(3))]:
        whole = evaluated(task, config)
        checkpoint = Checkpoint.fresh()
        for epochs in range(1, 5):
            part = evaluated(task, config, epochs=epochs, checkpoint=checkpoint)
            assert plain(part) == plain(whole.at(epochs) or whole)
            assert checkpoint.curve == part.curve


def test_a_configuration_diverges_as_often_as_its_neighbours(replay):
    space = Space({"x": Float(0.0, 1.0)})
    rng = random.Random(0)

    def row(x, seed, lost):
        made = training(rng, 4)
        bad = Evaluation(Status.DIVERGED, made.curve.prefix(1), 2, lost_seconds=0.5)
        return Row({"x": x}, seed, bad if lost else made)

    rows = [row(0.0, seed, False) for seed in range(4)] + [row(1.0, seed, seed < 2) for seed in range(4)]
    rows += [row(0.9, seed, True) for seed in range(4)]
    task = replay(Recording.of(about(space, 4, scales=Scales({"x": 1.0}, 2, 2)), rows))

    def share(x):
        return sum(evaluated(task, {"x": x}, seed).status is Status.DIVERGED for seed in range(2000)) / 2000

    # Of 0.95 both neighbours are as near: one always diverges, the other every second time.
    assert share(0.95) == pytest.approx(0.75, abs=0.04)
    near, far = 1 / 0.6**2, 1 / 0.3**2
    assert share(0.6) == pytest.approx(far / (near + far), abs=0.04)
    assert share(0.9) == 1.0
    assert share(0.0) == 0.0
    # Where the neighbours lost all their trainings, there is nothing else to be had, and an epoch has its cost.
    alone = replay(Recording.of(about(space, 4, scales=Scales({"x": 1.0}, 1, 2)), rows), "alone")
    assert evaluated(alone, {"x": 0.85}).status is Status.DIVERGED
    assert alone.cost({"x": 0.85}) > 0
    assert alone.cost({"x": 0.9}) == alone.cost({"x": 0.91})


def test_the_cost_of_an_epoch_is_its_recorded_seconds(replay):
    recording = recorded(MIXED, 10, diverges=0.3)
    task = replay(recording)
    by_config = {}
    for place, config in enumerate(recording.configs):
        own = [
            row.evaluation.curve["seconds"]
            for row in recording.rows()
            if row.config == config and row.evaluation.status is Status.OK
        ]
        if own:
            by_config[place] = np.mean(own)
            assert task.cost(config) == pytest.approx(by_config[place], rel=1e-12)
    for config in drawn(MIXED, 10, random.Random(5)):
        squared = Coordinates.of(recording.space, recording.configs).distances(config, recording.about.scales)
        near, weight = weights(squared, recording.about.scales)
        kept = [
            (by_config[place], share) for place, share in zip(near, weight, strict=True) if place in by_config
        ]
        mean = sum(value * share for value, share in kept) / sum(share for _, share in kept)
        assert task.cost(config) == pytest.approx(mean, rel=1e-12)


def test_without_a_clock_epochs_cost_the_same(replay):
    timeless = recorded(MIXED, 6, metrics=("val_loss", "test_loss"))
    assert {replay(timeless).cost(config) for config in drawn(MIXED, 9, random.Random(1))} == {1.0}
    rows = [
        Row(config, 1, Evaluation(Status.OK, Curve({name: [0.0, 0.0] for name in METRICS}), 2))
        for config in drawn(MIXED, 4, random.Random(1))
    ]
    still = replay(Recording.of(about(MIXED, 2), rows), "still")
    assert all(still.cost(row.config) > 0 for row in rows)


@pytest.mark.parametrize("changed", [{}, {"direction": "max", "failure": 0.0}])
def test_regret_is_0_at_the_best_and_1_at_the_median(replay, changed):
    recording = recorded(MIXED, 9, diverges=0.3, **changed)
    task = replay(recording)
    sign = task.objective.sign
    every = [
        sign * value
        for row in recording.rows()
        if row.evaluation.curve
        for value in row.evaluation.curve["val_loss"]
    ]
    assert task.regret.best == sign * min(every)
    means = sorted(recording.mean_losses.tolist())
    assert task.regret.reference == sign * means[4]
    for seed, config in enumerate(drawn(MIXED, 40, random.Random(2))):
        for epochs in (1, 4):
            made = evaluated(task, config, seed, epochs)
            if made.status is Status.OK:
                assert sign * made.curve["val_loss"][-1] >= sign * task.regret.best


def test_without_a_difference_there_is_no_regret(replay):
    rows = [
        Row(config, 1, Evaluation(Status.OK, Curve({name: [0.5, 0.5] for name in METRICS}), 2))
        for config in drawn(MIXED, 4, random.Random(1))
    ]
    assert replay(Recording.of(about(MIXED, 2), rows)).regret is None


def test_one_configuration_and_one_seed_are_enough(replay):
    recording = recorded(MIXED, 1, seeds=(4,), scales=Scales(dict.fromkeys(MIXED.parameters, 1.0), 1, 2))
    task = replay(recording)
    for config in drawn(MIXED, 5, random.Random(1)):
        assert plain(evaluated(task, config)) == plain(recording.evaluation(0, 0))


# Names and identity.


def test_it_is_found_by_name_or_by_path(replay, tmp_path, monkeypatch):
    task = replay(recorded(), "my own")
    assert task.label == "replay/my own"
    name = next(iter(Replay.shipped()))
    assert task_named(f"replay/{name}", {}).path == Replay.shipped()[name]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    shutil.copy(tmp_path / "my own.parquet", tmp_path / "sub" / "two.parquet")
    assert task_named("replay/sub/two.parquet", {}).recording.digest == task.recording.digest
    (tmp_path / name).mkdir()  # a folder of that name hides nothing
    assert Replay(recording=name).path == Replay.shipped()[name]
    with pytest.raises(DataError, match=f"no recording is called '{name[:-1]}'.*{name}"):
        Replay(recording=name[:-1])
    with pytest.raises(DataError, match=r"gone\.parquet does not exist"):
        Replay(recording="gone.parquet")
    with pytest.raises(DataError, match="is a folder"):
        Replay(recording=str(tmp_path))
    with pytest.raises(SweepError, match=r"line 4.*gone\.parquet does not exist"):
        parse_sweep(SWEEP.format(tasks="[replay/gone.parquet]", workers=1), "sweep.yaml")


def test_its_content_is_its_identity(replay, tmp_path):
    task = replay(recorded())
    moved = replay(recorded(), "moved")
    assert moved.key.data == task.key.data
    certified = replay(recorded().with_(certificate={"values": {"spearman": 0.934}}, label="another"))
    assert certified.key == task.key
    assert "rank correlation with fresh trainings 0.93" in certified.replayed
    assert task.replayed == "36 recorded trainings of made/up, 12 configurations × 3 seeds"
    assert replay(recorded(seed=1)).key.id != task.key.id


def test_it_has_the_seeds_of_what_it_replays():
    name = "mnist_mlp-small"
    sweep = parse_sweep(SWEEP.format(tasks=f"[replay/{name}, mnist_mlp/small]", workers=1), "sweep.yaml")
    seeds = {}
    for plan in sweep.studies:
        seeds.setdefault(plan.task, []).append(
            (plan.key.searcher, plan.key.search_seed, plan.key.training_seed)
        )
    assert seeds[f"replay/{name}"] == seeds["mnist_mlp/small"]
    ids = {plan.key.id for plan in sweep.studies}
    assert len(ids) == len(sweep.studies)


# Sweeps.

SWEEP = """\
name: replays
repetitions: 2
workers: {workers}
tasks: {tasks}
budget: {{evaluations: 12}}
searchers: [random, optuna_tpe]
"""


def test_virtual_time_runs_on_recorded_seconds(run_sweep, replay):
    task = replay(recorded(MIXED, 25, diverges=0.2))
    text = SWEEP.format(tasks=f"['replay/{task.path}']", workers=3)
    progress = run_sweep(text)
    assert progress.failed == {}
    for events in study_records(run_sweep.root).values():
        running, told, clock = {}, [], 0.0
        for event in events:
            if event["event"] == "asked":
                config = event["config"]
                running[event["number"]] = clock + task.cost(config) * event["epochs"]
            elif event["event"] == "told":
                first = min(running, key=lambda number: (running[number], number))
                assert event["number"] == first
                clock = running.pop(first)
                told.append(event)
        assert len(told) == 12
    trials = read_tables(run_sweep.root, "replays").trials
    seeds = {plan.key.id: plan.key.training_seed for plan in parse_sweep(text, "sweep.yaml").studies}
    for row in trials.itertuples():
        wanted = evaluated(task, json.loads(row.config), seeds[row.study])
        assert row.status == wanted.status.value
        assert row.seconds == pytest.approx(wanted.seconds())


def test_certifying_a_recording_trains_nothing_anew(run_sweep, replay):
    recording = recorded(MIXED, 25)
    text = SWEEP.format(tasks=f"['replay/{replay(recording).path}']", workers=1)
    first = run_sweep(text)
    replay(recording.with_(certificate={"values": {}}))
    again = run_sweep(text)
    assert (first.trained, again.trained, again.complete) == (48, 0, 4)


def test_a_file_that_changes_while_a_sweep_runs_fails_its_studies(run_sweep, replay, monkeypatch):
    task = replay(recorded(MIXED, 25))
    text = SWEEP.format(tasks=f"['replay/{task.path}']", workers=1)
    from harness.driver import Driver

    run = Driver.run

    def changed(self, executor):
        save(recorded(MIXED, 25, seed=1), task.path)
        os.utime(task.path, (1, 1))
        return run(self, executor)

    monkeypatch.setattr(Driver, "run", changed)
    progress = run_sweep(text)
    assert len(progress.failed) == 4
    for message in progress.failed.values():
        assert "the data of task 'replay/one' changed while the sweep ran" in str(message)


def test_plans_tables_and_captions_say_what_is_replayed(run_sweep, replay):
    from analysis.report.notices import notices
    from analysis.statistics.inputs import prepare
    from analysis.words import mark, marks

    task = replay(recorded(MIXED, 25))
    text = SWEEP.format(tasks=f"['replay/{task.path}', branin]", workers=1)
    assert parse_sweep(text, "sweep.yaml").as_plan().tasks["replay/one"].replayed == task.replayed
    run_sweep(text)
    tables = read_tables(run_sweep.root, "replays")
    assert tables.tasks["replayed"].to_dict() == {"branin": "", "replay/one": task.replayed}
    inputs = prepare(tables)
    (notice,) = [text for text in notices(inputs) if "recorded trainings are replayed" in text]
    assert (
        notice
        == f"Nothing was trained for these tasks, whose recorded trainings are replayed: replay/one: {task.replayed}."
    )
    facts = inputs.facts
    assert mark(facts["replay/one"]) == f"Replay of {task.replayed}."
    assert mark(facts["branin"]) == ""
    assert marks([*facts.values()]) == "Replay of recorded trainings: replay/one."


# The same bits on every processor; `tests/test_other_processors.py` runs this with another one's kernels.

DIGEST = "1396d958c9e40a49"


def test_values_are_the_same_to_the_last_bit(replay):
    """Sums in numpy's own order, or by a linear algebra library, would differ where instructions are wider."""
    recording = recorded(MIXED, 64, seeds=tuple(range(9)), full=11, diverges=0.15, missing=0.1)
    task, sha = replay(recording), hashlib.sha256()
    for seed, config in enumerate(drawn(MIXED, 64, random.Random(11))):
        made = evaluated(task, config, seed)
        numbers = [
            task.cost(config),
            made.setup_seconds,
            *(value for column in made.curve.values() for value in column),
        ]
        sha.update(f"{made.status.value} {numbers!r}".encode())
    sha.update(repr((task.regret, recording.mean_losses.tolist())).encode())
    assert sha.hexdigest()[:16] == DIGEST
