"""How many jobs of a batch system a sweep takes: SLURM's time limits, and what `derby plan` says."""

from __future__ import annotations

import math
import re

import pytest
from command import derby
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import DerbyError
from harness.walltime import Left, jobs, parse_limit

HOUR = 3600.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 1800),
        ("30:15", 1815),
        ("4:00:00", 4 * HOUR),
        ("04:00:00", 4 * HOUR),
        ("0:90:00", 1.5 * HOUR),
        ("2-0", 48 * HOUR),
        ("2-12", 60 * HOUR),
        ("0-1:30", 1.5 * HOUR),
        ("1-0:0:1", 24 * HOUR + 1),
        (" 10 ", 600),
    ],
)
def test_limits_are_read_as_slurm_reads_them(text, seconds):
    assert parse_limit(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "0", "0:00:00", "4h", "1:2:3:4", "-1", "1-", "1-2-3", "1.5", "٣", "9" * 500]
)
def test_what_is_no_limit_is_refused_with_what_is_expected(text):
    with pytest.raises(DerbyError, match=r"--walltime: expected a time as SLURM writes it, .* got '"):
        parse_limit(text)


def left(**changed):
    given = {"task": "a", "studies": 8, "seconds": 8 * HOUR, "longest": HOUR, "evaluation": 60.0}
    return Left(**{**given, **changed})


def test_enough_evaluators_need_one_job():
    assert jobs([left()], workers=1, evaluators=8, walltime=4 * HOUR).number == 1


def test_one_evaluator_needs_as_many_as_there_is_time_for():
    found = jobs([left()], workers=1, evaluators=1, walltime=2 * HOUR)
    assert (found.number, found.seconds) == (math.ceil(8 * HOUR / (2 * HOUR - 300 - 30)), 8 * HOUR)


def test_a_study_waits_for_itself():
    """However many evaluators there are; unless it may have several evaluations in flight."""
    long = left(studies=2, seconds=10 * HOUR, longest=9 * HOUR)
    assert jobs([long], workers=1, evaluators=100, walltime=2 * HOUR).seconds == 9 * HOUR
    assert jobs([long], workers=3, evaluators=100, walltime=2 * HOUR).seconds == 3 * HOUR


def test_no_more_evaluators_than_find_work_are_of_use():
    assert jobs([left()], workers=2, evaluators=17, walltime=HOUR).useful == 16
    assert jobs([left()], workers=2, evaluators=16, walltime=HOUR).useful is None


def test_an_evaluation_longer_than_a_job_never_ends():
    found = jobs([left(), left(task="b", evaluation=HOUR)], workers=1, evaluators=1, walltime=HOUR)
    assert (found.number, found.too_long) == (None, (("b", HOUR),))
    done = left(task="b", evaluation=HOUR, studies=0, seconds=0.0, longest=0.0)
    assert jobs([left(), done], workers=1, evaluators=1, walltime=HOUR).number is not None


def test_a_task_without_a_record_leaves_it_unknown():
    found = jobs(
        [left(), left(task="b", seconds=None, longest=None, evaluation=None)],
        workers=1,
        evaluators=1,
        walltime=HOUR,
    )
    assert (found.number, found.seconds, found.unknown) == (None, None, ("b",))


@given(st.floats(1, 1e7), st.integers(1, 50), st.integers(1, 64), st.floats(60, 1e6), st.floats(0.001, 1e5))
def test_longer_jobs_and_more_evaluators_are_never_more_jobs(
    seconds, studies, evaluators, walltime, evaluation
):
    def number(evaluators, walltime):
        rest = [left(studies=studies, seconds=seconds, longest=seconds / studies, evaluation=evaluation)]
        return jobs(rest, workers=1, evaluators=evaluators, walltime=walltime).number or math.inf

    here = number(evaluators, walltime)
    assert number(evaluators + 1, walltime) <= here
    assert number(evaluators, 2 * walltime) <= here
    assert here * walltime > seconds / evaluators or here == math.inf


SWEEP = """\
name: planned
repetitions: 4
budget: {evaluations: 10}
tasks: [{name: troublesome, options: {trouble: sleep, folder: "FOLDER"}}]
searchers: [random, grid]
"""


@pytest.fixture
def planned(run_sweep, plugin, tmp_path):
    """A sweep file and a results folder with the half of it, of which an evaluation took a tenth of a second."""
    text = SWEEP.replace("FOLDER", str(tmp_path))
    run_sweep(text.replace("repetitions: 4", "repetitions: 2"), tmp_path / "results")
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    return path, tmp_path / "results"


def says(*arguments):
    done = derby("plan", *arguments)
    assert done.returncode == 0, done.stderr
    return " ".join(done.stdout.split())


def test_plan_says_how_many_jobs(planned):
    sweep, results = planned
    said = says(sweep, "--results", results, "--walltime", "10", "--evaluators", "8")
    assert re.search(
        r"Fits into about 1 job of 10 min 00 s with 8 evaluators: at most \d+ s of .* No more than 4 evaluators",
        said,
    ), said
    assert "jobs of" not in says(sweep, "--results", results)


def test_plan_says_that_it_is_unknown_or_done(planned, tmp_path):
    sweep, results = planned
    said = says(sweep, "--results", tmp_path / "new", "--walltime", "4:00:00")
    assert (
        "How many jobs of 4 h 00 min with 1 evaluator: unknown, nothing is recorded yet of troublesome"
        in said
    )
    sweep.write_text(sweep.read_text().replace("repetitions: 4", "repetitions: 2"))
    assert "none; nothing is left to train" in says(sweep, "--results", results, "--walltime", "2-12")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--walltime", "4h"], "--walltime: expected a time as SLURM writes it, such as 30 (minutes)"),
        (["--evaluators", "4"], "--evaluators needs --walltime"),
    ],
)
def test_options_that_mean_nothing_are_refused(planned, options, message):
    done = derby("plan", planned[0], *options)
    assert done.returncode == 2
    assert message in done.stderr
