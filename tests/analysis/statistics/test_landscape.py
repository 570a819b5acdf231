"""What a task looks like: values of random configurations, failures, and what seeds change."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_sweeps import study_rows, tables_of

from analysis.statistics.landscape import landscape


def test_it_is_what_random_search_found_at_full_fidelity():
    rows = study_rows("t", "random", 0, [3, 1, 2, None], epochs=[9, 9, 9, 2])
    rows += study_rows("t", "random", 1, [0.0], epochs=[3]) + study_rows("t", "other", 0, [-5], epochs=[9])
    found = landscape(tables_of(rows, {"t": {"full_epochs": 9}}), "t")
    assert found.random
    assert found.sample == ("random",)
    assert (found.evaluations, found.failed) == (4, 1)
    assert found.sorted_values.tolist() == [1, 2, 3]
    assert (found.quantiles["best"], found.quantiles["median"], found.quantiles["worst"]) == (1, 2, 3)


def test_best_is_first_where_more_is_better():
    found = landscape(tables_of(study_rows("t", "a", 0, [1, 3, 2]), {"t": {"direction": "max"}}), "t")
    assert not found.random
    assert found.sorted_values.tolist() == [3, 2, 1]


def test_the_noise_is_that_of_seeds_for_the_same_configuration():
    rows = (
        study_rows("t", "a", 0, [1.0, 5.0]) + study_rows("t", "a", 1, [3.0]) + study_rows("t", "b", 0, [1.0])
    )
    found = landscape(tables_of(rows, {"t": {}}), "t")
    assert found.seeds == 1  # of configuration 0, once in each repetition, whoever asked for it
    assert found.noise == pytest.approx(np.std([1, 3], ddof=1))


def test_a_task_of_failures_has_no_values():
    found = landscape(tables_of(study_rows("t", "a", 0, [None, None]), {"t": {}}), "t")
    assert (found.failed, found.quantiles, found.sorted_values.size) == (2, {}, 0)
    assert np.isnan(found.noise)
