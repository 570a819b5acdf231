"""Optuna's storages, Ray Tune's and Keras Tuner's folders as these libraries write them, read as a sweep's tables."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3

import optuna
import pytest
from import_files import written

from harness.errors import ForeignResultsError, RecordError
from results.imports.sources import import_results, kind_of

STUDIES = [("quad-tpe-0", 0), ("quad-tpe-1", 1), ("quad-random-0", 2)]


def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    trial.suggest_categorical("kind", ["a", None])
    trial.set_user_attr("test", x + 1)
    if trial.number == 2:
        raise ValueError("a bug of theirs")
    for step in range(4):
        trial.report(x + 1 / (step + 1), step)
        if step == 1 and trial.number == 1:
            raise optuna.TrialPruned
    return x


def fill(storage):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for name, seed in STUDIES:
        sampler = optuna.samplers.RandomSampler(seed=seed)
        study = optuna.create_study(storage=storage, study_name=name, sampler=sampler)
        study.optimize(objective, n_trials=5, catch=ValueError)
    study.ask()  # one that has not ended


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    path = tmp_path_factory.mktemp("optuna") / "runs.db"
    fill(f"sqlite:///{path}")
    return path


def test_a_storage_is_read_with_what_its_trials_reported(database):
    tables = import_results(database, test="test")
    assert tables.studies.groupby("searcher").size().to_dict() == {"random": 1, "tpe": 2}
    own = tables.trials[(tables.trials["searcher"] == "tpe") & (tables.trials["repetition"] == 0)]
    assert own["status"].tolist() == ["ok", "ok", "crashed", "ok", "ok"]
    assert own["epochs"].tolist() == [4, 2, 1, 4, 4]
    pruned = own.iloc[1]
    x = json.loads(pruned["config"])["x"]
    assert pruned["value"] == pytest.approx(x + 0.5)
    assert pruned["test"] == pytest.approx(x + 1)
    assert own["train_seconds"].is_monotonic_increasing
    curves = tables.epochs[tables.epochs["study"] == pruned["study"]]
    assert curves[curves["step"] == 2]["value"].tolist() == pytest.approx([x + 1, x + 0.5])
    row = tables.tasks.loc["quad"]
    assert row[["direction", "budget_unit", "budget_amount", "test_metric"]].tolist() == [
        *("min", "epochs", 15.0, "test"),
    ]
    assert {text for text in tables.trials["config"] if '"None"' in text}
    assert any("1 trial of" in note and "has not ended" in note for note in tables.imported.notes)


def test_a_storage_is_not_changed_and_none_is_made(database, tmp_path):
    before = hashlib.sha256(database.read_bytes()).hexdigest(), sorted(database.parent.iterdir())
    import_results(f"sqlite:///{database}")
    assert (hashlib.sha256(database.read_bytes()).hexdigest(), sorted(database.parent.iterdir())) == before
    with pytest.raises(RecordError, match="cannot read"):
        import_results(f"sqlite:///{tmp_path / 'none.db'}")
    assert not (tmp_path / "none.db").exists()
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("create table mine (x int)")
    with pytest.raises(RecordError, match="expected an Optuna storage"):
        import_results(other)
    with sqlite3.connect(other) as connection:
        assert connection.execute("select name from sqlite_master").fetchall() == [("mine",)]


def test_a_journal_gives_the_same_as_a_database(tmp_path):
    path = tmp_path / "journal.log"
    fill(optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path))))
    tables = import_results(path)
    assert len(tables.trials) == 15
    path.write_text(path.read_text()[:400] + "\n{broken\n")
    with pytest.raises(RecordError, match="expected an Optuna storage"):
        import_results(path)


def test_a_password_is_never_shown():
    with pytest.raises(RecordError) as caught:
        import_results("postgresql://me:secret@nowhere.invalid/base")
    assert "secret" not in str(caught.value)


def test_studies_are_named_by_a_pattern_a_mapping_or_all_alike(database, tmp_path):
    tables = import_results(
        database, pattern="quad-{method}-*", task="mine", mapping={"quad-tpe-0": ("t", "m", "5")}
    )
    assert tables.studies[["task", "searcher"]].to_numpy().tolist() == [["t", "m"]]
    file = written(tmp_path, "name,task,method,repetition\nquad-tpe-0,a,b,0\nquad-tpe-1,a,b,1\n", "map.csv")
    assert import_results(database, mapping=file).studies["repetition"].tolist() == [0, 1]
    assert import_results(database, task="t", method="m").studies["repetition"].tolist() == [0, 1, 2]
    alike = import_results(database, pattern="{task}-{method}-{repetition}")
    assert set(alike.studies["task"]) == {"quad"}


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"pattern": "{task}/{method}"}, "study 'quad-random-0' does not fit the pattern '{task}/{method}'"),
        (
            {"pattern": "{task}-*", "method": "m"},
            "fits in 2 ways the pattern '{task}-*': as {'task': 'quad', ",
        ),
        ({"pattern": "{task}{method}"}, "with text between them"),
        ({"pattern": "{name}"}, "--pattern: expected {task}, {method} and {repetition}, each at most once"),
        ({"pattern": "{task}-{method}-*"}, "each step of a run must be there once"),
        (
            {"mapping": {"quad": ("a", "b", "0")}},
            "the mapping names the study 'quad', which is not there; did you mean",
        ),
        ({"direction": "max"}, "its source says that its direction is min, not max"),
        ({"test": "accuracy"}, "--test accuracy: no trial has a user attribute of that name"),
    ],
)
def test_names_that_do_not_fit_are_refused(database, said, message):
    with pytest.raises(ForeignResultsError) as caught:
        import_results(database, **said)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,task,method\nx,a,b\n", "row 1: expected the columns name, task, method, repetition"),
        ("name,task,method,repetition\nx,a,b\nx,,b,1\n", "row 3: expected 4 values, none empty"),
        ("name,task,method,repetition\nx,a,b,0\nx,a,b,1\n", "row 3: 'x' is named twice"),
    ],
)
def test_a_bad_mapping_is_refused(database, tmp_path, text, message):
    with pytest.raises(ForeignResultsError) as caught:
        import_results(database, mapping=written(tmp_path, text, "map.csv"))
    assert message in str(caught.value)


# Ray Tune.

RESULT = {
    "timestamp": 100,
    "training_iteration": 1,
    "time_this_iter_s": 0.5,
    "time_total_s": 0.5,
    "done": False,
}


@pytest.fixture
def experiment(tmp_path):
    """An experiment as Ray Tune lays it out; `test_ray_tune_writes_what_is_read` holds it to the real one."""
    folder = tmp_path / "runs" / "quad-asha-0"

    def trial(name, results, config=None, error=False):
        path = folder / name
        path.mkdir(parents=True)
        (path / "params.json").write_text(json.dumps(config or {"lr": 0.1, "net": {"units": 8}}))
        (path / "result.json").write_text("".join(json.dumps({**RESULT, **own}) + "\n" for own in results))
        if error:
            (path / "error.txt").write_text("Traceback")
        return path

    trial(
        "f_0",
        [
            {"loss": 0.9, "eval": {"test": 0.95}},
            {
                "loss": 0.5,
                "training_iteration": 2,
                "timestamp": 120,
                "time_total_s": 1.5,
                "eval": {"test": 0.6},
            },
        ],
    )
    trial("f_1", [{"loss": 0.7, "timestamp": 110, "eval": {"test": 0.8}}])
    trial("f_2", [{"loss": 0.1, "timestamp": 130, "eval": {"test": 0.2}}], error=True)
    trial("f_3", [{"loss": float("nan"), "timestamp": 140}])
    trial("f_4", [])  # that waits for its turn
    return folder


def test_experiments_are_read_trial_by_trial(experiment):
    tables = import_results(experiment.parent, metric="loss", test="eval/test", direction="min")
    assert tables.trials["value"].tolist()[:2] == [0.7, 0.5]  # in the order in which they reported last
    assert tables.trials["status"].tolist() == ["ok", "ok", "crashed", "diverged"]
    assert tables.trials["epochs"].tolist() == [1, 2, 1, 1]
    assert tables.trials["seconds"].tolist() == [0.5, 1.5, 0.5, 0.5]
    assert tables.trials["test"].tolist()[:2] == [0.8, 0.6]
    assert json.loads(tables.trials["config"][0]) == {"lr": 0.1, "net/units": 8}
    assert any("Left out: 1 trial of" in note for note in tables.imported.notes)
    curve = tables.epochs[tables.epochs["step"] == 2]
    assert curve["loss"].tolist() == [0.9, 0.5]
    assert import_results(experiment, metric="loss", direction="min").studies["searcher"].tolist() == ["asha"]


def test_iterations_that_were_repeated_after_a_restart_count_once(experiment):
    path = experiment / "f_0" / "result.json"
    again = json.dumps(
        {**RESULT, "loss": 0.4, "training_iteration": 2, "timestamp": 150, "time_total_s": 2.0}
    )
    path.write_text(path.read_text() + again + "\n" + again[:40])
    tables = import_results(experiment, metric="loss", direction="min")
    last = tables.trials.iloc[-1]
    assert last[["value", "epochs", "seconds"]].tolist() == [0.4, 2, 2.0]
    assert any("last line of 1 result file was cut off" in note for note in tables.imported.notes)


def test_metrics_may_be_called_as_columns_are(experiment):
    path = experiment / "f_1" / "result.json"
    path.write_text(json.dumps({**RESULT, "loss": 0.7, "epoch": 7, "step": 8, "seconds": 9, "row": 1}) + "\n")
    tables = import_results(experiment, metric="loss", direction="min")
    row = tables.epochs[tables.epochs["metric epoch"].notna()].iloc[0]
    assert row[
        ["epoch", "metric epoch", "metric step", "seconds", "metric seconds", "metric row"]
    ].tolist() == [
        *(1, 7.0, 8.0, 0.5, 9.0, 1.0),
    ]


def test_what_cannot_be_read_of_an_experiment_is_named(experiment, tmp_path):
    def refused(**said):
        with pytest.raises(ForeignResultsError) as caught:
            import_results(experiment, **{"direction": "min", **said})
        return str(caught.value)

    assert "say it with --metric, one of: eval/test, loss" in refused()
    assert "--metric lost: no result holds it; did you mean 'loss'" in refused(metric="lost")
    assert "say --direction min or --direction max" in refused(metric="loss", direction="")
    (experiment / "f_1" / "result.json").write_text('{"loss": 1}\n[]\n')
    (experiment / "f_3" / "params.json").write_text("[]")
    message = refused(metric="loss")
    assert "line 1: expected a result with a training_iteration" in message
    assert "expected the parameters of a trial as a JSON object" in message
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecordError, match="holds no experiment"):
        import_results(tmp_path / "empty", kind="raytune")


@pytest.mark.ray
@pytest.mark.slow
def test_ray_tune_writes_what_is_read(tmp_path):
    import ray
    from ray import tune

    def train(config):  # in here, so that it travels to workers that cannot import this file
        from ray import tune

        for epoch in range(2):
            if config["x"] > 1 and epoch == int(config["x"]) - 2:
                raise ValueError("a bug of theirs")
            tune.report({"loss": config["x"] + 1 / (epoch + 1)})

    ray.init(num_cpus=1, include_dashboard=False, logging_level="ERROR")
    try:
        tune.Tuner(
            train,
            param_space={"x": tune.grid_search([0.25, 2.0, 3.0])},
            run_config=tune.RunConfig(name="line-grid-0", storage_path=str(tmp_path), verbose=0),
        ).fit()
    finally:
        ray.shutdown()
    assert kind_of(str(tmp_path)) == "raytune"
    tables = import_results(tmp_path, direction="min", metric="loss")
    assert tables.studies[["task", "searcher"]].to_numpy().tolist() == [["line", "grid"]]
    rows = tables.trials.set_index("config")
    assert rows.loc['{"x": 0.25}', ["status", "value", "epochs"]].tolist() == ["ok", 0.75, 2]
    assert rows.loc['{"x": 2.0}', "status"] == "crashed"  # before it reported anything
    assert rows.loc['{"x": 3.0}', ["status", "epochs"]].tolist() == ["crashed", 1]
    assert tables.epochs["loss"].notna().all()


# Keras Tuner.


@pytest.mark.tensorflow
@pytest.mark.slow
def test_keras_tuner_writes_what_is_read(tmp_path):
    import keras_tuner

    class Search(keras_tuner.RandomSearch):
        def run_trial(self, trial, **_):
            number = int(trial.trial_id)
            x = trial.hyperparameters.Float("x", 0, 1)
            if number == 1:
                raise keras_tuner.errors.FailedTrialError("too large")
            if number == 2:
                return float("nan")
            return [{"val_loss": x, "test": x + 1}, {"val_loss": x + 0.5, "test": x + 2}]

    search = Search(
        objective=keras_tuner.Objective("val_loss", "min"),
        max_trials=4,
        directory=tmp_path / "quad" / "random",
        project_name="0",
        seed=1,
        max_consecutive_failed_trials=5,
    )
    search.search(verbose=0)
    assert kind_of(str(tmp_path)) == "kerastuner"
    tables = import_results(tmp_path, pattern="{task}/{method}/{repetition}", test="test")
    assert tables.studies[["task", "searcher", "repetition"]].to_numpy().tolist() == [["quad", "random", 0]]
    assert tables.trials["status"].tolist() == ["ok", "crashed", "diverged", "ok"]
    first = tables.trials.iloc[0]
    x = json.loads(first["config"])["x"]
    assert first["value"] == pytest.approx(x + 0.25)  # the mean over its two executions
    assert first["test"] == pytest.approx(x + 1.5)
    assert tables.tasks.loc["quad", ["metric", "direction"]].tolist() == ["val_loss", "min"]
    assert "Epochs are not known: an evaluation counts one." in tables.imported.notes


def trial_of(number, score, values, status="COMPLETED", step=1):
    observed = [] if score is None else [{"value": [score], "step": step}]
    return {
        "trial_id": f"{number:04d}",
        "hyperparameters": {"space": [], "values": values},
        "metrics": {"metrics": {"val_accuracy": {"direction": "max", "observations": observed}}},
        "score": score,
        "best_step": step,
        "status": status,
        "message": None,
    }


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "quad-hyperband-0"
    trials = [
        trial_of(0, 0.5, {"lr": 0.1, "tuner/epochs": 2, "tuner/initial_epoch": 0}),
        trial_of(
            1, 0.7, {"lr": 0.1, "tuner/epochs": 6, "tuner/initial_epoch": 2, "tuner/trial_id": "0000"}, step=4
        ),
        trial_of(2, None, {"lr": 9.0, "tuner/epochs": 2}, status="RUNNING"),
    ]
    for trial in trials:
        path = folder / f"trial_{trial['trial_id']}" / "trial.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(trial))
    (folder / "oracle.json").write_text(json.dumps({"end_order": ["0000", "0001"]}))
    return folder


def test_epochs_that_a_tuner_chose_are_charged_once(project):
    tables = import_results(project)
    assert tables.trials[["trial", "epochs", "spent_epochs"]].to_numpy().tolist() == [[0, 2, 2], [0, 6, 6]]
    assert tables.trials["config"].tolist() == ['{"lr": 0.1}'] * 2
    assert tables.epochs[["step", "epoch", "val_accuracy"]].to_numpy().tolist() == [[1, 2, 0.5], [2, 5, 0.7]]
    assert any("Left out: 1 trial of" in note for note in tables.imported.notes)


def test_what_cannot_be_read_of_a_project_is_named(project):
    path = project / "trial_0000" / "trial.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps({**whole, "metrics": {}}))
    with pytest.raises(ForeignResultsError, match="expected a trial with its id, status"):
        import_results(project)
    path.write_text(json.dumps({**whole, "score": 0.1}))
    with pytest.raises(ForeignResultsError, match="which metric is the objective is not known"):
        import_results(project)
    assert len(import_results(project, metric="val_accuracy").trials) == 2
    with pytest.raises(ForeignResultsError, match="did you mean 'val_accuracy'"):
        import_results(project, metric="val_acc")
    shutil.rmtree(project / "trial_0000")
    shutil.rmtree(project / "trial_0001")
    with pytest.raises(ForeignResultsError, match="no project that is read has a trial that ended"):
        import_results(project, metric="val_accuracy")
