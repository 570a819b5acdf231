"""The trials that a task's page shows."""

import numpy as np

from analysis.report.trials import shown_trials


def test_of_many_trials_improvements_and_failures_are_kept(tables):
    own = tables.trials[tables.trials["task"] == "mnist/small"]
    kept = shown_trials(own, minimised=False, limit=200)
    assert len(kept) == 200 < len(own)
    value = own["value"].where(own["status"] == "ok", -np.inf)
    before = value.groupby(own["study"]).cummax().groupby(own["study"]).shift(fill_value=-np.inf)
    improved = own[value > before]
    rest = set(zip(kept["study"], kept["step"], strict=True))
    assert set(zip(improved["study"], improved["step"], strict=True)) <= rest
    assert (kept["status"] != "ok").any()
    assert len(shown_trials(own, minimised=False, limit=10)) == 10
