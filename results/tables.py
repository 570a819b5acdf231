"""The tidy tables of a sweep: what analysis reads and ``derby export`` writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True, slots=True)
class SweepTables:
    """Everything analysis may know of a sweep.

    Attributes:
        name: The sweep's name.
        trials: One row per evaluation told to a searcher, in the order told within each study.

            ============== ======= ================================================================
            column         type    meaning
            ============== ======= ================================================================
            task           str     task label, such as ``mnist_mlp/small``
            searcher       str     searcher label as in the sweep file
            repetition     int     0-based
            study          str     study id
            step           int     1-based order in which it was told, within the study
            trial          int     0-based trial number; repeated when a trial was continued
            config         str     the configuration as canonical JSON
            epochs         int     epochs of the evaluation, from the first
            status         str     ``ok``, ``diverged``, ``crashed`` or ``timeout``
            value          float   the objective's metric; NaN when it failed
            test           float   the test companion; NaN when it failed or there is none
            loss           float   what the searcher was told, minimised; finite
            evaluations    int     cumulative cost: evaluations told so far, this one included
            spent_epochs   int     cumulative cost: epochs charged so far
            train_seconds  float   cumulative cost: seconds of the charged epochs as first measured
            total_seconds  float   ``train_seconds`` plus seconds of ask and tell so far
            virtual_time   float   virtual finishing time, in the task's cost unit
            ============== ======= ================================================================
        epochs: One row per epoch of every row of ``trials``: its ``study``, ``step`` and ``epoch`` (1-based), and
            a float column per metric of the curves (NaN where a task does not have it).
        studies: One row per planned study: ``task``, ``searcher``, ``repetition``, ``study``, ``state`` (``done``,
            ``running``, ``failed`` or ``missing``), ``reason`` (str) and ``evaluations`` told so far.
        tasks: One row per task, indexed by label: ``metric``, ``test_metric`` (``None`` if there is none), ``direction``
            (``min`` or ``max``), ``failure`` (float), ``full_epochs`` (int), ``budget_unit``, ``budget_amount``,
            ``source`` (str), ``subset`` (bool: numbers were made on a data subset, never compare them with published
            ones).
        provenance: The sweep as it ran: ``sweep`` (the sweep file's content), ``revision``, ``versions``, ``machines``
            (list of descriptions), ``data`` (task label to data digest).
    """

    name: str
    trials: pd.DataFrame
    epochs: pd.DataFrame
    studies: pd.DataFrame
    tasks: pd.DataFrame
    provenance: Mapping[str, Any]
