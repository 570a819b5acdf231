"""Reproducing reports: real trainings at the smallest size, and a plug-in's report with known numbers."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from analysis.reproduction import page, published
from harness import registry, reproduce
from harness.cli import app
from harness.commands.options import task_options
from harness.entries import Setting
from harness.errors import DerbyError, SweepError, UnknownNameError
from harness.experiment import Experiment, Search
from harness.launch import Placement
from harness.space import Float, Space
from harness.task import Inspection, Task
from harness.trial import Curve, Evaluation, Fidelity, Objective, Status

pytestmark = pytest.mark.tensorflow


def silent():
    return Console(file=io.StringIO())


def go(results: Path, report: str, setting: Setting, only=(), **rest):
    prepared = reproduce.prepare(report, setting, only)
    return prepared, reproduce.run(prepared, results, Placement(), silent(), **rest)


def written(prepared, done, folder: Path) -> Path:
    """Write the page."""
    return page.write(reproduce.outcome(prepared, done), folder)


def evaluations(results: Path) -> list[dict]:
    files = sorted((results / "evaluations").glob("*/*.jsonl"))
    return [json.loads(line) for path in files for line in path.read_text().splitlines()]


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def s1(tmp_path_factory):
    """Two of S1's optimisers, twice, tiny."""
    results = tmp_path_factory.mktemp("s1")
    prepared, done = go(results, "S1", Setting("tiny", repetitions=2), ["SGD", "Adam"])
    return results, prepared, done


@pytest.fixture(scope="module")
def s1_page(s1, tmp_path_factory):
    """Its page, drawn once; treat as read-only."""
    _, prepared, done = s1
    return written(prepared, done, tmp_path_factory.mktemp("s1-page"))


def test_what_is_shown_is_what_was_recorded(s1):
    results, _, done = s1
    assert not done.failed
    recorded = evaluations(results)
    assert len(recorded) == 4
    frame = published.side_by_side(done.lines).set_index(["experiment", "metric"])
    for label, optimizer in (("SGD", "sgd"), ("Adam", "adam")):
        own = [line["curve"] for line in recorded if line["key"]["config"]["optimizer"] == optimizer]
        for metric in ("test_accuracy", "test_macro_f1"):
            row = frame.loc[label, metric]
            assert row["mean"] == pytest.approx(np.mean([curve[metric][-1] for curve in own]))
            assert row["repetitions"] == 2
            assert row["run_low"] < row["mean_low"] < row["mean"] < row["mean_high"] < row["run_high"]
            assert row["inside"] == published.NOT_COMPARABLE


def test_networks_looked_into_are_those_recorded(s1):
    results, prepared, done = s1
    assert set(done.inspections) == {"SGD", "Adam"}
    for entry in prepared.entries:
        seen = done.inspections[entry.experiment.label]
        config = entry.task.space.references[entry.experiment.reference]
        key = entry.key(0, config)
        (line,) = [line for line in evaluations(results) if line["id"] == key.id]
        assert np.mean(seen.predicted == seen.labels) == pytest.approx(line["curve"]["test_accuracy"][-1])
        assert list(seen.after) == ["dense_1/kernel", "dense_2/kernel", "dense_3/kernel"]
        assert all(seen.before[name].shape == seen.after[name].shape for name in seen.after)
        assert all(not np.array_equal(seen.before[name], seen.after[name]) for name in seen.after)
        assert seen.images.shape == (40, 28, 28)
        assert seen.classes[9] == "Ankle boot"
    sgd, adam = done.inspections["SGD"], done.inspections["Adam"]
    for name in sgd.before:  # equal seeds: all methods begin with the same weights
        assert np.array_equal(sgd.before[name], adam.before[name])


def test_confusion_is_of_all_repetitions(s1):
    _, _, done = s1
    for line in done.lines:
        assert line.confusions == 2
        assert np.sum(line.confusion) == 2 * 100


def test_again_trains_nothing_and_gives_the_same_bytes(s1, s1_page, tmp_path):
    results, _, _ = s1
    first = s1_page
    count = len(evaluations(results))
    again_prepared, again = go(results, "S1", Setting("tiny", repetitions=2), ["SGD", "Adam"])
    assert len(evaluations(results)) == count
    second = written(again_prepared, again, tmp_path / "second")
    assert digests(first.parent) == digests(second.parent)
    drawn = {path.name for path in (first.parent / "figures").iterdir()}
    for kind in ("curves", "confusion", "weights", "images"):
        for label in ("SGD", "Adam"):
            assert {f"{kind}_{label}.{ending}" for ending in ("pdf", "svg", "png", "csv")} <= drawn
    text = first.read_text()
    assert "NOT COMPARABLE with the published figures: variant tiny" in text
    assert "## Per class: Adam" in text
    for link in ("figures/weights_Adam.png", "figures/images_SGD.pdf"):
        assert link in text
        assert (first.parent / link).is_file()


@pytest.mark.ray
def test_ray_gives_the_same_bytes(s1_page, tmp_path):
    setting = Setting("tiny", repetitions=2)
    prepared = reproduce.prepare("S1", setting, ["SGD", "Adam"])
    done = reproduce.run(prepared, tmp_path / "results", Placement("ray", evaluators=2), silent())
    by_ray = written(prepared, done, tmp_path / "ray")
    assert digests(s1_page.parent) == digests(by_ray.parent)


def test_a_lost_inspection_is_trained_again_to_the_same_weights(s1):
    results, _, done = s1
    kept = sorted((results / "inspections").rglob("*.npz"))
    assert len(kept) == 2
    for path in kept:
        path.write_bytes(b"damaged")
    _, again = go(results, "S1", Setting("tiny", repetitions=2), ["SGD", "Adam"])
    for label, seen in again.inspections.items():
        for name, value in seen.after.items():
            assert np.array_equal(value, done.inspections[label].after[name])


def test_a_searchs_best_is_trained_afresh(tmp_path):
    label = "Hyperband on val_accuracy"
    prepared, done = go(tmp_path, "S2", Setting("tiny", repetitions=2), [label])
    (line,) = done.lines
    assert not done.failed
    searched, afresh = (
        json.loads((tmp_path / "sweeps" / name / "plan.json").read_text())
        for name in ("reproduce-S2-tiny", "reproduce-S2-tiny-retrained")
    )
    assert len(searched["studies"]) == len(afresh["studies"]) == 2
    seeds = {entry["key"]["seed"] for entry in evaluations(tmp_path)}
    assert len(seeds) == 4, "what is trained afresh begins with other weights than the search's trials"
    rows = published.selected(line.tables, line.task, line.searcher)
    assert [json.loads(config) for config in rows["config"]] == [line.found[0], line.found[1]]
    assert prepared.entries[0].task.options.shuffle is False
    text = " ".join(published.notes(done.lines))
    assert f"{label} found: repetition 1 units1 " in text
    assert "The report: units1 128, units2 256, l2 1e-06, lr 0.001" in text


class Bowl(Task):
    """A function of known values: its loss at x is x², its accuracy 1 - x²."""

    name = "bowl"
    source = "T1, a test"
    cheap = True
    experiments = (
        Experiment("T1", "right", reference="middle", published={"test_accuracy": "0.75"}),
        Experiment("T1", "wrong", reference="middle", published={"test_accuracy": "0.78"}),
        Experiment("T1", "rounded", reference="middle", published={"test_accuracy": "0.8"}),
        Experiment(
            "T1",
            "searched",
            search=Search("random", {"evaluations": 5}, found={"x": 0.0}),
            published={"test_accuracy": "1.00"},
        ),
        Experiment("T2", "nothing published", reference="middle", note="silent"),
    )

    def _define(self):
        self.space = Space({"x": Float(-1, 1)}, references={"middle": {"x": 0.5}})
        self.fidelity = Fidelity(1, 2)
        self.objective = Objective("val_loss", "min", failure=9.0, test_metric="test_accuracy")

    def load(self):
        return {}

    def evaluate(self, config, *, epochs, seed, data, checkpoint=None, deadline=None):
        loss = config["x"] ** 2
        noise = (seed % 1000 - 500) / 5e5  # ± 0.001, so that repetitions differ
        curve = {
            "val_loss": [loss] * epochs,
            "test_accuracy": [1 - loss + noise] * epochs,
            "seconds": [0.0] * epochs,
        }
        return Evaluation(Status.OK, Curve(curve), epochs, confusion={"test": ((3, 1), (0, 4))})

    def cost(self, config):
        return 1.0


@pytest.fixture
def bowl(monkeypatch):
    monkeypatch.setattr(registry, "tasks", lambda: registry.Found({"bowl": Bowl}))


def test_a_plugins_report_is_collected_and_compared(bowl, tmp_path):
    assert set(registry.reports()) == {"T1", "T2"}
    _, done = go(tmp_path, "T1", Setting(repetitions=4), pictures=False)
    frame = published.side_by_side(done.lines).set_index("experiment")
    verdicts = frame["inside"].to_dict()
    assert verdicts == {"right": "yes", "wrong": "no", "rounded": "yes", "searched": verdicts["searched"]}
    assert frame["incomparable"].eq("").all()
    best = {r: config["x"] for r, config in done.lines[3].found.items()}
    recorded = {line["key"]["seed"]: [] for line in evaluations(tmp_path)}
    for line in evaluations(tmp_path):
        recorded[line["key"]["seed"]].append(abs(line["key"]["config"]["x"]))
    assert sorted(map(abs, best.values())) == sorted(min(xs) for xs in recorded.values())
    assert len(evaluations(tmp_path)) == 4 * 6, "three experiments share an evaluation"


def test_one_repetition_gives_no_interval_and_says_so(bowl, tmp_path):
    prepared, done = go(tmp_path, "T1", Setting(), ["right"], pictures=False)
    (row,) = published.side_by_side(done.lines).to_dict("records")
    assert row["inside"] == "one repetition"
    assert np.isnan([row["mean_low"], row["run_high"]]).all()
    assert "there is no interval" in written(prepared, done, tmp_path).read_text()


def test_where_nothing_is_published_ours_is_shown(bowl, tmp_path):
    _, done = go(tmp_path, "T2", Setting(repetitions=3))
    frame = published.side_by_side(done.lines)
    assert list(frame["metric"]) == ["val_loss", "test_accuracy"]
    assert set(frame["inside"]) == {""}
    notes = [*published.notes(done.lines), *done.notes]
    assert "nothing published: silent." in notes
    assert any("no picture of its weights" in note for note in notes), "the task shows no network"


def test_stand_in_data_are_never_compared(bowl, tmp_path, monkeypatch):
    monkeypatch.setattr(Bowl, "on_subset", True)
    _, done = go(tmp_path, "T1", Setting(repetitions=3), pictures=False)
    assert set(published.side_by_side(done.lines)["inside"]) == {published.NOT_COMPARABLE}
    assert published.notes(done.lines)[0].startswith("NOT COMPARABLE")


def test_a_changed_protocol_is_not_compared():
    prepared = reproduce.prepare("S2", Setting(options={"shuffle": True}), ["adam_batch_256"])
    assert "shuffle" in prepared.entries[0].incomparable
    assert reproduce.prepare("S2", Setting(), ["adam_batch_256"]).entries[0].incomparable == ""


def test_a_failed_study_is_named_and_the_others_are_shown(bowl, tmp_path, monkeypatch):
    def broken(self, config, **rest):
        if config["x"] != 0.5:
            raise RuntimeError("a bug")
        return evaluate(self, config, **rest)

    evaluate = Bowl.evaluate
    monkeypatch.setattr(Bowl, "evaluate", broken)
    _, done = go(tmp_path, "T1", Setting(repetitions=2), pictures=False)
    assert len(done.failed) == 2
    assert "searched: 0 of 2 repetitions succeeded." in published.notes(done.lines)
    assert published.side_by_side(done.lines).set_index("experiment")["repetitions"].to_dict()["right"] == 2


def test_a_search_that_failed_in_the_first_repetition_is_retrained_in_the_others(monkeypatch, tmp_path):
    class Longer(Bowl):
        name = "longer"
        scoring_options = frozenset({"epochs"})
        experiments = (Experiment("T3", "twice", search=Bowl.experiments[3].search, retrain=9),)

        class Options(Task.Options):
            epochs: int | None = None

        def evaluate(self, config, *, epochs, seed, **rest):
            if seed == first.training_seed:
                raise RuntimeError("a bug")
            return super().evaluate(config, epochs=epochs, seed=seed, **rest)

    monkeypatch.setattr(registry, "tasks", lambda: registry.Found({"longer": Longer}))
    first = reproduce.prepare("T3", Setting(repetitions=3)).sweep.studies[0].key
    _, done = go(tmp_path, "T3", Setting(repetitions=3))
    assert len(done.failed) == 1
    (line,) = done.lines
    assert list(line.found) == [1, 2]
    rows = published.selected(line.tables, line.task, line.searcher)
    assert list(rows["repetition"]) == [1, 2]
    assert [json.loads(config) for config in rows["config"]] == list(line.found.values())
    assert line.confusions == 2
    assert set(rows["epochs"]) == {2}, "no more epochs than full fidelity"


def test_a_best_of_fewer_epochs_is_looked_into_after_these(monkeypatch, tmp_path):
    class Worsening(Bowl):
        """Its loss grows with every epoch, so that the best evaluation is of few."""

        name = "worsening"
        cheap = False
        experiments = (
            Experiment("T4", "rungs", search=Search("optuna_hyperband", {"epochs": 60})),
            Experiment("T4", "at full fidelity", reference="middle"),
        )

        def _define(self):
            super()._define()
            self.fidelity = Fidelity(1, 9)

        def evaluate(self, config, *, epochs, checkpoint=None, **rest):
            made = super().evaluate(config, epochs=epochs, **rest)
            curve = Curve({**made.curve, "val_loss": [config["x"] ** 2 + e for e in range(epochs)]})
            checkpoint.curve = curve
            return Evaluation(made.status, curve, epochs, confusion=made.confusion)

        def inspect(self, config, *, seed, data, checkpoint):
            after = np.full((2, 2), float(checkpoint.curve.epochs))
            shown = np.zeros(2, int)
            return Inspection({"a": after}, {"a": after}, np.zeros((2, 4, 4), np.uint8), shown, shown, ("a",))

    monkeypatch.setattr(registry, "tasks", lambda: registry.Found({"worsening": Worsening}))
    _, done = go(tmp_path, "T4", Setting())
    (best,) = published.selected(done.lines[0].tables, "worsening", "rungs").to_dict("records")
    assert best["epochs"] < 9
    assert done.inspections["rungs"].after["a"].flat[0] == best["epochs"]
    assert done.inspections["at full fidelity"].after["a"].flat[0] == 9
    assert done.notes == ()
    assert len(list((tmp_path / "sweeps").iterdir())) == 1, "what is trained for pictures leaves no sweep"


def test_a_search_that_is_declared_wrongly_is_named(monkeypatch):
    class Wrong(Bowl):
        experiments = (Experiment("T5", "typo", search=Search("random", {"evaluation": 5})),)

    monkeypatch.setattr(registry, "tasks", lambda: registry.Found({"bowl": Wrong}))
    with pytest.raises(SweepError, match="^report T5, experiment 'typo', budget.evaluation: unknown field"):
        reproduce.prepare("T5", Setting())


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean"):
        reproduce.prepare("S11", Setting())
    with pytest.raises(UnknownNameError, match="did you mean 'Adam'"):
        reproduce.prepare("S1", Setting(), ["adam"])
    with pytest.raises(UnknownNameError, match="no task of report S1"):
        reproduce.prepare("S1", Setting(options={"shuffel": 1}))
    with pytest.raises(DerbyError, match="variant"):
        reproduce.prepare("S1", Setting("huge"))
    with pytest.raises(DerbyError, match="NAME=VALUE"):
        task_options(["shuffle"])
    assert task_options(["a=1", "b=none", "c=false"]) == {"a": 1, "b": "none", "c": False}
    assert task_options(["a=1e-4", "b=no", "c="]) == {"a": 1e-4, "b": "no", "c": None}
    for given, words in (
        ("a=017", "a number with leading zeros"),
        ("a=.inf", "a number must be finite"),
        ("a=[1", "not valid YAML"),
        ("a=!!int x", "tags are not allowed"),
    ):
        with pytest.raises(DerbyError, match=words) as caught:
            task_options([given])
        assert str(caught.value).startswith(f"--option '{given}': ")


def test_on_the_command_line(bowl, tmp_path):
    runner = CliRunner(env={"COLUMNS": "160"})
    listed = runner.invoke(app, ["reproduce"])
    assert listed.exit_code == 0
    assert "nothing published" in listed.output
    planned = runner.invoke(app, ["reproduce", "T1", "--plan", "--results", str(tmp_path)])
    assert planned.exit_code == 0
    assert "at most 10" in planned.output
    assert not list(tmp_path.iterdir())
    ran = runner.invoke(
        app, ["reproduce", "T1", "--repetitions", "3", "--only", "right", "--results", str(tmp_path)]
    )
    assert ran.exit_code == 0, ran.output
    assert "Published and ours" in ran.output
    assert "yes" in ran.output
    assert (tmp_path / "sweeps" / "reproduce-T1-full" / "reproduction" / "reproduction.md").is_file()
    planned = runner.invoke(app, ["reproduce", "T1", "--plan", "--only", "right", "--results", str(tmp_path)])
    assert "3/3" in planned.output, "what is recorded is shown, though fewer repetitions are asked for"


def test_what_is_seen_is_the_network_after_the_epochs_asked_for():
    from harness.evaluator import Evaluator, Job
    from harness.keys import EvaluationKey
    from harness.task import read_only

    task = registry.task("mnist_mlp")(variant="tiny")
    data = read_only(task.load())
    evaluator = Evaluator(1, lambda _: data)
    key = EvaluationKey(task.key, dict(task.space.references["base"]), 7)
    whole = evaluator.evaluate(Job(key, 3))
    assert whole.inspection is None, "nobody asked"
    for epochs in (1, 2, 3):  # the evaluator's checkpoint is further on than the first two
        seen = evaluator.evaluate(Job(key, epochs, inspect=True)).inspection
        hits = np.mean(seen.predicted == seen.labels)
        assert hits == pytest.approx(whole.evaluation.curve["test_accuracy"][epochs - 1])


@pytest.mark.parametrize(
    ("name", "options", "kernels"),
    [
        ("fashion_cnn", {"protocol": "published"}, ["conv_1", "conv_2", "dense_1", "dense_2"]),
        ("mnist_net", {"base": "conv"}, ["conv_1", "conv_2", "dense_1", "dense_2"]),
    ],
)
def test_convolutional_and_cross_validated_networks_can_be_looked_into(name, options, kernels):
    from harness.task import Checkpoint

    task = registry.task(name)(variant="tiny", **options)
    task.prepare(1)
    data, config, checkpoint = task.load(), next(iter(task.space.references.values())), Checkpoint.fresh()
    assert task.inspect(config, seed=5, data=data, checkpoint=checkpoint) is None
    task.evaluate(config, epochs=1, seed=5, data=data, checkpoint=checkpoint)
    seen = task.inspect(config, seed=5, data=data, checkpoint=checkpoint)
    assert [kernel.removesuffix("/kernel") for kernel in seen.after] == kernels
    assert len(seen.predicted) == len(seen.labels) == len(data["y_test"])
    assert seen.images.shape[1:] == (28, 28)


def test_an_inspection_survives_its_file(tmp_path):
    from harness.keys import EvaluationKey
    from results.inspections import load_inspection, save_inspection

    key = EvaluationKey(Bowl().key, {"x": 0.5}, 3)
    random = np.random.default_rng(0)
    seen = Inspection(
        before={"a/kernel": random.normal(size=(3, 4)).astype(np.float32)},
        after={"a/kernel": random.normal(size=(3, 4)).astype(np.float32)},
        images=random.integers(0, 255, (2, 5, 5)).astype(np.uint8),
        labels=np.array([1, 0]),
        predicted=np.array([1, 1]),
        classes=("ä", "b"),
    )
    assert load_inspection(tmp_path, key, 2) is None
    save_inspection(tmp_path, key, 2, seen)
    again = load_inspection(tmp_path, key, 2)
    assert again.classes == ("ä", "b")
    assert np.array_equal(again.before["a/kernel"], seen.before["a/kernel"])
    assert np.array_equal(again.images, seen.images)
    assert load_inspection(tmp_path, key, 1) is None
