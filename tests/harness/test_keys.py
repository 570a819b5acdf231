"""Identities and seeds: pinned values, and what they depend on."""

from dataclasses import replace

from harness.keys import StudyKey, TaskKey, derive_seed, digest
from harness.trial import Budget

KEY = StudyKey(
    task=TaskKey("mnist_mlp", 1, {"variant": "small"}, {"objective": "val_accuracy"}),
    searcher="random",
    settings={},
    budget=Budget("evaluations", 20),
    workers=1,
    repetition=0,
    root_seed=1,
)


def test_digests_and_seeds_are_the_same_on_every_machine():
    # Pinned: a change here would orphan every record and change every sweep.
    assert digest({"b": 1, "a": [1.5, "x", None]}) == digest({"a": [1.5, "x", None], "b": 1})
    assert digest({"a": 1}) == "015abd7f5cc57a2d"
    assert derive_seed(1, "training", "mnist_mlp", 0) == 4268481098
    assert (KEY.search_seed, KEY.training_seed) == (2249713997, 3937165113)
    assert KEY.id == "4f99340bc6b440ae"


def test_a_training_seed_is_common_to_all_searchers_and_objectives():
    others = [
        replace(KEY, searcher="grid"),
        replace(KEY, settings={"a": 1}),
        replace(KEY, budget=Budget("epochs", 3)),
        replace(KEY, workers=4),
        replace(KEY, task=replace(KEY.task, scoring={"objective": "val_macro_f1"})),
    ]
    assert {key.training_seed for key in others} == {KEY.training_seed}
    assert len({key.id for key in [KEY, *others]}) == 6
    config = {"lr": 0.1}
    assert {key.evaluation(config).id for key in others} == {KEY.evaluation(config).id}


def test_seeds_differ_by_repetition_task_and_root():
    others = [
        replace(KEY, repetition=1),
        replace(KEY, root_seed=2),
        replace(KEY, task=replace(KEY.task, options={"variant": "full"})),
        replace(KEY, task=replace(KEY.task, version=2)),
    ]
    assert len({key.training_seed for key in [KEY, *others]}) == 5
    assert len({key.search_seed for key in [KEY, *others, replace(KEY, searcher="grid")]}) == 6


def test_a_path_of_names_is_not_their_concatenation():
    assert derive_seed(1, "ab", "c") != derive_seed(1, "a", "bc")
    assert derive_seed(1, "a", 1) != derive_seed(1, "a", "1")


def test_an_evaluation_belongs_to_its_data_its_plug_in_and_its_threads():
    config = {"lr": 0.1}
    others = [
        replace(KEY, task=replace(KEY.task, data="other")),
        replace(KEY, task=replace(KEY.task, package="a-plug-in 2.0")),
        replace(KEY, threads=2),
    ]
    assert len({key.id for key in [KEY, *others]}) == 4
    assert len({key.evaluation(config).id for key in [KEY, *others]}) == 4
    # On other data a study meets the same initial weights, orders and proposals.
    assert {(key.search_seed, key.training_seed) for key in others} == {(KEY.search_seed, KEY.training_seed)}
