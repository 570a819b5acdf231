"""Progress: the counters, the time left, and both displays."""

import io
import time

from rich.console import Console

from harness.progress import Best, Display, Progress, duration


def progress() -> Progress:
    made = Progress(
        studies=8, evaluations=100, complete=2, done=1, told=11, told_before=20, trained=7, reused=4
    )
    made.statuses.update(ok=10, diverged=1)
    made.failed["grid on a, repetition 0"] = "a bug"
    made.best["mnist_mlp/small"] = Best("val_accuracy", 0.91234, -0.91234, "random")
    return made


def test_time_left_is_paced_from_the_first_evaluation():
    made = Progress(studies=1, evaluations=31)
    assert made.remaining is None
    made.started -= 1000  # a long start-up
    made.told = 1
    made.paced_from = time.monotonic() - 20
    assert made.remaining is None
    made.told = 11
    assert 39 < made.remaining < 45


def test_outside_a_terminal_it_prints_plain_lines():
    out = io.StringIO()
    display = Display(Console(file=out, width=300), progress())
    with display.shown():
        display.tick()
    (line,) = out.getvalue().splitlines()
    assert "studies 3/8, evaluations 31/100" in line
    assert "trained 7, reused 4, merged 0, failed evaluations 1, failed studies 1" in line


def test_in_a_terminal_it_shows_a_live_panel():
    out = io.StringIO()
    display = Display(Console(file=out, width=120, force_terminal=True), progress())
    with display.shown():
        pass
    text = out.getvalue()
    assert "31/100 evaluations" in text
    assert "mnist_mlp/small" in text
    assert "val_accuracy 0.9123" in text
    assert "failed: grid on a, repetition 0: a bug" in text


def test_durations_are_for_people():
    assert [duration(s) for s in (0.4, 59.4, 61, 3599, 3661)] == [
        "0 s",
        "59 s",
        "1 min 01 s",
        "59 min 59 s",
        "1 h 01 min",
    ]
