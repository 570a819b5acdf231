"""Functions, estimators and Keras models of a user's own as tasks."""

from __future__ import annotations

import random

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from harness.budgets import Budgeted
from harness.errors import DataError, TaskError
from harness.searcher import SearcherOptions
from harness.space import Condition, Float, Int, Space
from harness.task import Checkpoint
from harness.threads import bind
from harness.trial import Budget, Status
from searchers.optuna_rungs import OptunaHyperband
from tasks.conformance import TaskCase, TaskConformance
from tasks.own.estimator import Examples, Grows, sklearn_task
from tasks.own.function import task
from tasks.own.network import keras_task

SPACE = {"x": Float(0.1, 1.0)}


@task(space=SPACE, epochs=4, least_epochs=2, direction="min", failure=9.0, data={"shift": np.zeros(3)})
def yielding(config, seed, data):
    """Draw from global generators, as people do."""
    total = data["shift"].sum()
    while True:
        total += random.random() + np.random.random()
        yield config["x"] / (1 + total)


@task(space=SPACE, epochs=4, metric="val", direction="max", test_metric="test")
def returning(config, epochs, seed):
    """Return a list for each metric."""
    values = np.random.random(4)[:epochs] * config["x"]
    return {"val": values, "test": list(values)}


def blobs():
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, 200)
    return rng.normal(size=(200, 4)) + y[:, None], y


def forest(config):
    return RandomForestClassifier(5, n_jobs=2, **config)


FOREST = {"max_depth": Int(1, 4)}
MADE = {
    "yielding": yielding,
    "returning": returning,
    "forest": sklearn_task(forest, blobs, space=FOREST, name="forest", source="here"),
    "growing": sklearn_task(
        forest, blobs, space=FOREST, fidelity=Grows("n_estimators", 2, 3), name="growing", source="here"
    ),
    "examples": sklearn_task(
        forest, blobs, space=FOREST, fidelity=Examples(3), name="examples", source="here"
    ),
}
for each in (yielding, returning):
    each.source = "here"


@pytest.fixture(scope="module", params=MADE)
def case(request):
    return TaskCase(MADE[request.param]())


class TestOwn(TaskConformance):
    """The suite."""


def evaluate(kind, config=None, epochs=None, **rest):
    made = kind()
    config = made.space.from_unit([0.5] * len(made.space)) if config is None else config
    return made.evaluate(config, epochs=epochs or made.fidelity.high, seed=1, data=made.load(), **rest)


def test_a_training_goes_on_and_is_not_begun_again():
    begun = []

    @task(space=SPACE, epochs=5, direction="max")
    def counted(config, epochs):
        begun.append(epochs)
        yield from range(1, epochs + 1)

    checkpoint = Checkpoint.fresh()
    for epochs in (1, 3, 2, 5):
        curve = evaluate(counted, epochs=epochs, checkpoint=checkpoint).curve
        assert curve["value"] == tuple(map(float, range(1, epochs + 1)))
    assert begun == [5]
    late = evaluate(counted, deadline=1e-9)
    assert (late.status, late.epochs) == (Status.TIMEOUT, 1)


def test_what_is_not_finite_has_diverged_and_is_not_kept():
    @task(space=SPACE, epochs=5, direction="max")
    def diverging(config):
        yield from (1.0, 2.0, float("nan"), 4.0)

    checkpoint = Checkpoint.fresh()
    for _ in range(2):
        made = evaluate(diverging, checkpoint=checkpoint)
        assert (made.status, made.epochs, made.curve.epochs) == (Status.DIVERGED, 3, 2)
        assert made.message == "value = nan in epoch 3"
        assert checkpoint.state is None

    @task(space=SPACE, epochs=2, direction="max")
    def infinite(config, epochs):
        return [1.0, float("inf")][:epochs]

    assert evaluate(infinite).status is Status.DIVERGED
    assert evaluate(infinite, epochs=1).status is Status.OK


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda config, epochs: 0.5, "must return a value of 'value' for each of 3 epochs, got 0.5"),
        (lambda config, epochs: [0.5], "must return a value of 'value' for each of 3 epochs"),
        (lambda config, epochs: ["a"] * 3, "epoch 1: 'value' must be a number, got 'a'"),
        (
            lambda config, epochs: {"value": [1] * 3, "seconds": [1] * 3},
            "none called 'seconds', which is measured",
        ),
    ],
)
def test_what_a_function_must_return_is_said(function, words):
    with pytest.raises(TaskError, match=words):
        evaluate(task(space=SPACE, epochs=3, direction="max", name="wrong")(function))


def test_what_a_function_must_yield_is_said():
    @task(space=SPACE, epochs=3, direction="max")
    def short(config):
        yield {"value": 1.0, "other": 1.0}
        yield {"value": 1.0, "another": 1.0}

    with pytest.raises(TaskError, match=r"epoch 2 gave the metrics \['value', 'another'\]; expected those"):
        evaluate(short)

    @task(space=SPACE, epochs=3, direction="max")
    def shorter(config):
        yield 1.0

    with pytest.raises(TaskError, match="shorter ended after 1 epoch; expected one yield for each of 3"):
        evaluate(shorter)


def test_a_declaration_that_contradicts_itself_is_refused():
    with pytest.raises(ValueError, match="failure is missing: the value of loss"):
        task(space=SPACE, metric="loss", direction="min")
    with pytest.raises(ValueError, match="data are given, and f does not take `data`"):
        task(space=SPACE, direction="max", data=blobs, name="f")(_named("f"))
    with pytest.raises(ValueError, match="conditions and references belong into the Space"):
        task(space=Space(SPACE), direction="max", conditions={"x": Condition("x", (1,))})
    with pytest.raises(ValueError, match="f takes 'konfig'; it is given config, epochs, seed, data"):
        task(space=SPACE, direction="max")(_named("f", "konfig"))
    with pytest.raises(ValueError, match="failure is missing: the neg_log_loss"):
        sklearn_task(forest, blobs, space=FOREST, score="neg_log_loss")
    with pytest.raises(ValueError, match="metric must be one that is validated"):
        keras_task(forest, blobs, space=FOREST, epochs=1, metric="accuracy")


def _named(name, argument="config"):
    scope = {}
    exec(f"def {name}({argument}):\n    return 1.0", scope)
    return scope[name]


def test_estimators_are_seeded_and_grow():
    curve = evaluate(MADE["growing"]).curve
    assert {"val_accuracy", "test_accuracy"} <= set(curve)
    made = MADE["growing"]()
    MADE["growing"].prepare(1)
    live = made.begin({"max_depth": 2}, 7, made.load())
    live.epoch(1)
    live.epoch(2)
    estimator = live._estimator
    assert (len(estimator.estimators_), estimator.random_state, estimator.n_jobs) == (4, 7, 1)


def test_arrays_that_are_missing_are_named():
    x, y = blobs()
    four = {"x_train": x, "y_train": y, "x_val": x, "y_val": y}
    with pytest.raises(
        DataError, match="x_test, y_test are missing; a task without test examples says test=False"
    ):
        evaluate(sklearn_task(forest, four, space=FOREST, name="four"))
    assert (
        "test_accuracy"
        not in evaluate(sklearn_task(forest, four, space=FOREST, name="four", test=False)).curve
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (((blobs()[0], blobs()[1]), (1, 2)), "a tuple of tuple, tuple; expected \\(x, y\\), all examples"),
        ((*blobs(), 3), "a tuple of ndarray, ndarray, int"),
        ((blobs()[0], blobs()[1][:9]), "200 inputs and 9 targets"),
    ],
)
def test_data_that_are_no_inputs_and_targets_are_refused(data, words):
    with pytest.raises(DataError, match=words):
        sklearn_task(forest, data, space=FOREST, name="odd", source="here")().load()


def test_texts_as_pandas_has_them_are_classes():
    x, y = blobs()
    texts = np.array(["no", "yes"], object)[y]
    named = sklearn_task(forest, (x, texts), space=FOREST, name="texts", source="here")
    numbered = sklearn_task(forest, (x, y), space=FOREST, name="numbers", source="here")
    assert evaluate(named).curve["val_accuracy"] == evaluate(numbered).curve["val_accuracy"]


@pytest.mark.parametrize("built", [None, RandomForestClassifier])
def test_what_is_no_estimator_is_refused(built):
    with pytest.raises(TaskError, match="must return one, got"):
        evaluate(sklearn_task(lambda config: built, blobs, space=FOREST, name="none", source="here"))


def test_an_estimator_that_is_always_the_same_one_is_seeded_each_time():
    shared = RandomForestClassifier(3)
    made = sklearn_task(lambda config: shared, blobs, space=FOREST, name="shared", source="here")()
    seeds = [made.estimator({}, seed).random_state for seed in (1, 2)]
    assert (seeds, shared.random_state) == ([1, 2], None)


def test_methods_that_search_fidelities_are_refused_where_there_are_none():
    budget = Budget("evaluations", 9)
    refused, fine = (
        OptunaHyperband.incompatibilities(MADE[name]().problem, budget, OptunaHyperband.Settings())
        for name in ("forest", "returning")
    )
    assert "full fidelity is 1" in refused[0]
    assert not fine
    assert Budgeted(MADE["forest"](), budget).too_small_for(1) == []
    assert issubclass(OptunaHyperband.Settings, SearcherOptions)


def test_threads_are_bound_before_a_library_reads_them(monkeypatch):
    import os
    import sys
    import types

    told = []
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(set_num_threads=told.append))
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        monkeypatch.setenv(name, "7")
    bind(3, {"torch": "torch"})
    assert told == [3]
    assert (os.environ["TF_NUM_INTRAOP_THREADS"], os.environ["TF_NUM_INTEROP_THREADS"]) == ("3", "3")


@pytest.mark.tensorflow
def test_a_model_is_fitted_as_its_author_says():
    """A fit of one's own; a callback that stops and one that lives through all epochs; divergence."""
    import keras

    made = []

    class Counting(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.calls = []
            made.append(self)

        def on_train_begin(self, logs=None):
            self.calls.append("begin")

        def on_epoch_end(self, epoch, logs=None):
            self.calls.append(epoch)
            self.model.stop_training = epoch == 1

        def on_train_end(self, logs=None):
            self.calls.append("end")

    def build(config):
        model = keras.Sequential([keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(config["x"]), "mse", jit_compile=False)
        return model

    def fit(model, data, config, **given):
        x, y = data["x_train"], data["y_train"]
        model.fit(x, y, validation_data=(data["x_val"], data["y_val"]), batch_size=64, **given)

    own = keras_task(
        build, blobs, space={"x": Float(1e-3, 1e9)}, epochs=4, metric="val_loss", direction="min", failure=99.0,
        name="own", fit=fit, callbacks=lambda config: [Counting()],
    )  # fmt: skip
    own.prepare(1)
    curve = evaluate(own, {"x": 0.01}).curve
    assert made[0].calls == ["begin", 0, 1, "end"]
    assert set(curve) == {"train_loss", "val_loss", "test_loss", "seconds"}
    assert curve["val_loss"][0] != curve["val_loss"][1] == curve["val_loss"][2] == curve["val_loss"][3]
    diverged = evaluate(own, {"x": 1e9})
    assert diverged.status is Status.DIVERGED

    def fit_all(model, data, config, **given):
        fit(model, data, config, epochs=2, callbacks=given["callbacks"], verbose=0)

    wrong = keras_task(
        build, blobs, space={"x": Float(0, 1)}, epochs=2, metric="val_loss", direction="min", failure=99.0,
        name="wrong", fit=fit_all,
    )  # fmt: skip
    with pytest.raises(TaskError, match=r"fit must train epoch 1 alone, and trained \[1, 2\]"):
        evaluate(wrong, {"x": 0.01})
