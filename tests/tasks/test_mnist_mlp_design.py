"""The fixed designs against their report."""

from __future__ import annotations

import math

import pytest

from harness import registry
from harness.trial import Budget, Status
from tasks.engine.network import Dense, Dropout, Normal, Optimizer
from tasks.mnist_mlp_design import MnistMlpDesign

SGD, N10 = Optimizer("sgd", 0.01), Normal(10, 0.05)
RMSPROP = Optimizer("rmsprop", 1e-3, rho=0.99)


def described(task, design):
    """What differs between designs: optimiser, batch, initialiser, penalties, dropout."""
    training = task.training({"design": design})
    dense = [layer for layer in training.layers if isinstance(layer, Dense)]
    dropout = [layer.rate for layer in training.layers if isinstance(layer, Dropout)]
    assert [layer.units for layer in dense] == [128, 256, 10]
    assert [layer.activation for layer in dense] == ["relu", "relu", "linear"]
    assert len({layer.initializer for layer in dense}) == 1
    assert (dense[0].l1, dense[0].l2) == (dense[1].l1, dense[1].l2)
    assert (dense[2].l1, dense[2].l2) == (0, 0)
    if dropout:
        assert [type(layer) for layer in training.layers] == [Dense, Dropout, Dense, Dropout, Dense]
    return training.optimizer, training.batch, dense[0].initializer, dense[0].l1, dense[0].l2, set(dropout)


@pytest.mark.parametrize(
    ("design", "expected"),
    [
        ("adam_batch_1", (Optimizer("adam", 1e-3), 1, "glorot_uniform", 0, 0, set())),
        ("adam_batch_256", (Optimizer("adam", 1e-3), 256, "glorot_uniform", 0, 0, set())),
        ("adam_full_batch", (Optimizer("adam", 1e-3), 48_000, "glorot_uniform", 0, 0, set())),
        ("rmsprop_rho_0.01", (Optimizer("rmsprop", 1e-3, rho=0.01), 256, "glorot_uniform", 0, 0, set())),
        ("rmsprop_rho_0.99", (RMSPROP, 256, "glorot_uniform", 0, 0, set())),
        ("sgd_n10", (SGD, 256, N10, 0, 0, set())),
        ("rmsprop_l2_0.1", (RMSPROP, 256, "glorot_uniform", 0, 0.1, set())),
        ("rmsprop_l2_0.01", (RMSPROP, 256, "glorot_uniform", 0, 0.01, set())),
        ("rmsprop_l2_0.001", (RMSPROP, 256, "glorot_uniform", 0, 0.001, set())),
        ("sgd_n10_l2_0.1", (SGD, 256, N10, 0, 0.1, set())),
        ("sgd_n10_l2_0.01", (SGD, 256, N10, 0, 0.01, set())),
        ("sgd_n10_l2_0.001", (SGD, 256, N10, 0, 0.001, set())),
        ("rmsprop_l1_dropout", (RMSPROP, 256, "glorot_uniform", 0.01, 0, {0.3})),
        ("sgd_n10_l1_dropout", (SGD, 256, N10, 0.01, 0, {0.3})),
    ],
)
def test_designs_are_the_reports(design, expected):
    assert described(MnistMlpDesign(), design) == expected


def test_grid_search_visits_every_design_once():
    problem = MnistMlpDesign().problem
    assert problem.space.size() == 14
    assert [config["design"] for config in problem.space.references.values()] == [*problem.space.references]
    assert next(iter(problem.space.references)) == "adam_batch_256"
    searcher = registry.searcher("grid")(problem, seed=1, budget=Budget("evaluations", 14))
    proposed = [searcher.ask().config["design"] for _ in range(14)]
    assert sorted(proposed) == sorted(problem.space.references)


def test_the_whole_set_is_one_batch_in_every_variant():
    for variant in ("full", "small", "tiny"):
        task = MnistMlpDesign(variant=variant)
        assert task.training({"design": "adam_full_batch"}).batch == task.variant.train
        assert task.training({"design": "adam_batch_256"}).batch == 256


def test_shuffling_is_an_option():
    config = {"design": "sgd_n10"}
    assert MnistMlpDesign().training(config).shuffle
    assert not MnistMlpDesign(shuffle=False).training(config).shuffle


@pytest.mark.tensorflow
@pytest.mark.parametrize("penalty", ["l2_0.1", "l2_0.01", "l2_0.001", "l1_dropout"])
def test_huge_losses_are_losses(penalty):
    """As published: a loss of 1e9 is a result, not a divergence."""
    task = MnistMlpDesign(variant="tiny")
    evaluation = task.evaluate({"design": f"sgd_n10_{penalty}"}, epochs=2, seed=1, data=task.load())
    assert evaluation.status is Status.OK
    assert 1e6 < evaluation.curve["test_loss"][-1] < math.inf


def test_cost_by_hand():
    forward = 2 * (784 * 128 + 128 * 256 + 256 * 10)
    task = MnistMlpDesign()
    assert {task.cost(config) for config in task.space.references.values()} == {
        forward * (3 * 48_000 + 12_000 + 10_000)
    }
