"""Bootstrap intervals of means."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.statistics import bootstrap
from analysis.statistics.bootstrap import mean_interval


def test_coverage_is_near_its_level():
    rng = np.random.default_rng(1)
    samples = rng.normal(3.0, 2.0, size=(20, 800))  # 800 samples of 20 units
    estimate = mean_interval(samples)
    covered = ((estimate.low <= 3.0) & (estimate.high >= 3.0)).mean()
    assert 0.90 < covered < 0.965
    narrow = mean_interval(samples, level=0.5)
    assert 0.42 < ((narrow.low <= 3.0) & (narrow.high >= 3.0)).mean() < 0.54


def test_the_width_is_that_of_the_standard_error():
    sample = np.random.default_rng(2).normal(size=400)
    estimate = mean_interval(sample)
    assert estimate.mean == pytest.approx(sample.mean())
    assert float(estimate.high - estimate.low) == pytest.approx(2 * 1.96 * sample.std() / 20, rel=0.08)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    sample = np.random.default_rng(3).normal(size=(10, 4))
    again, other = mean_interval(sample), mean_interval(sample, seed=1)
    np.testing.assert_array_equal(mean_interval(sample), again)
    assert (other.low != again.low).all()


def test_equal_units_have_an_interval_without_width():
    estimate = mean_interval(np.full((7, 3), 0.1))
    np.testing.assert_array_equal(estimate, np.full((3, 3), 0.1))


@pytest.mark.parametrize("units", [1, 2, 3, 4])
def test_fewer_than_five_units_have_no_interval(units):
    values = np.random.default_rng(5).normal(size=(units, 2))
    estimate = mean_interval(values)
    assert estimate.mean == pytest.approx(values.mean(axis=0))
    assert np.isnan([estimate.low, estimate.high]).all()
    assert np.isfinite(mean_interval(np.random.default_rng(5).normal(size=(5, 2)))).all()


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(5, 8), st.lists(st.integers(1, 3), min_size=1, max_size=5))
def test_a_column_does_not_depend_on_the_others(seed, units, repeats):
    distinct = np.random.default_rng(seed).normal(size=(units, len(repeats)))
    values = np.repeat(distinct, repeats, axis=1)
    together = mean_interval(values, resamples=50)
    alone = [mean_interval(column, resamples=50) for column in values.T]
    np.testing.assert_allclose(np.stack(together), np.stack([np.stack(e) for e in alone], axis=1), rtol=1e-12)


def test_chunks_change_nothing(monkeypatch):
    values = np.random.default_rng(4).normal(size=(5, 3, 11))
    whole = mean_interval(values)
    monkeypatch.setattr(bootstrap, "_CHUNK", bootstrap.RESAMPLES * 2)
    np.testing.assert_allclose(np.stack(mean_interval(values)), np.stack(whole), rtol=1e-12)
    assert whole.low.shape == (3, 11)


@pytest.mark.parametrize(("values", "level"), [(np.zeros((0, 2)), 0.95), (np.zeros((2, 2)), 1.0)])
def test_nonsense_is_refused(values, level):
    with pytest.raises(ValueError, match=r"unit|level"):
        mean_interval(values, level=level)
