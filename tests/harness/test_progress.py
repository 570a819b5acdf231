"""Progress: the counters, the rate, the time left, both displays, and the heartbeat."""

import io
import json
import time

import msgspec
import pytest
from rich.console import Console

import harness.display
from harness.display import Display, duration, headline, took
from harness.progress import Best, Pace, Progress, Snapshot


def progress() -> Progress:
    made = Progress(
        studies=8, evaluations=100, complete=2, done=1, told=11, told_before=20, left=69, trained=7, reused=4
    )
    made.statuses.update(ok=10, diverged=1)
    made.failed["grid on a, repetition 0"] = "a bug"
    made.best["mnist_mlp/small"] = Best("val_accuracy", 0.91234, -0.91234, "random")
    made.train_seconds, made.search_seconds = 185.0, 12.3
    return made


def big() -> Progress:
    """Return the progress of a sweep of 20 tasks on 64 evaluators, with long names and large numbers."""
    made = Progress(
        studies=7200, evaluations=1000800, complete=1200, done=612, told=186432, told_before=166800
    )
    made.left, made.worked = 1000800.0 - 186432 - 166800, 186432.0
    made.trained, made.reused, made.merged, made.waiting, made.retried = 150211, 24310, 11911, 412, 17
    made.evaluators_busy, made.evaluators_idle, made.evaluators_starting, made.lost = 58, 4, 2, 6
    made.statuses.update(ok=181500, diverged=4031, crashed=21, timeout=880)
    made.train_seconds, made.search_seconds = 1234567.0, 45678.0
    made.started -= 7 * 3600
    made.paced_from = made.started + 60
    for number in range(20):
        label = f"fashion_mlp/full,v={number},optimizer=momentum"
        made.best[label] = Best(
            "val_balanced_accuracy", -3862.7, 0.0, "hyperband, three brackets", found=number
        )
    for number in range(8):
        made.failed[f"gpyopt_gp on fashion_mlp/full, repetition {number}"] = "not positive definite\n" * 3
    return made


def panel(made: Progress, width: int, height: int = 40) -> list[str]:
    """Return what the panel shows, line by line."""
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, record=True)
    console.print(Display(console, made)._panel())
    return [line.rstrip() for line in console.export_text().splitlines()]


@pytest.fixture
def clock(monkeypatch):
    """Return a clock, a list of one time, that the module reads."""
    now = [1000.0]
    monkeypatch.setattr(harness.display.time, "monotonic", lambda: now[0])
    return now


# Rate and time left.


def work(made: Progress, evaluations: int) -> None:
    """Count full evaluations as told."""
    for _ in range(evaluations):
        made.told += 1
        made.worked += 1
        made.left -= 1
        made.begin_pace()


def test_time_left_is_paced_from_the_first_evaluation():
    made = Progress(studies=1, evaluations=31, left=31)
    assert made.remaining is None
    made.started -= 1000  # a long start-up
    work(made, 1)
    assert made.remaining is None
    made.paced_from -= 20
    work(made, 10)
    assert 39 < made.remaining < 41


def test_what_came_from_the_record_before_anything_was_trained_says_nothing_of_the_pace():
    made = Progress(studies=1, evaluations=1031, left=1031)
    work(made, 1000)  # at once
    assert made.remaining < 1
    made.trained = 1
    work(made, 1)
    assert made.remaining is None
    made.paced_from -= 20
    made.trained = 11
    work(made, 10)
    assert 39 < made.remaining < 41


def test_the_rate_is_that_of_the_last_minute_and_decays_when_nothing_happens(clock):
    made = Progress(studies=1, evaluations=10_000, paced_from=1000.0)
    for _ in range(300):  # a burst from the record
        made.told += 20
        made.sample(clock[0])
        clock[0] += 1
    assert made.per_second == pytest.approx(20, rel=0.05)
    for _ in range(120):  # then it trains
        made.told += 1
        made.sample(clock[0])
        clock[0] += 1
    assert made.per_second == pytest.approx(1, rel=0.05)
    clock[0] += 600  # then it hangs: nobody samples
    assert made.per_second < 0.1


def test_the_time_left_forgets_a_burst_from_the_record(clock):
    made = Progress(studies=1, evaluations=10_000, left=10_000, trained=1)
    work(made, 8000)
    for _ in range(1000):
        work(made, 1)
        made.sample(clock[0])
        clock[0] += 1
    assert made.remaining == pytest.approx(1000, rel=0.05)  # at one a second, not at the nine since the start


def test_a_pace_keeps_few_samples_however_often_it_is_sampled():
    pace = Pace(60)
    for number in range(100_000):
        pace.sample(number / 100, number)
    assert len(pace._samples) < 70
    assert pace.per_second(1000, 100_000) == pytest.approx(100, rel=0.01)


def test_an_end_in_sight_that_was_passed_is_no_time_left():
    made = progress()
    work(made, 2)
    assert made.remaining is not None
    made.told = 90  # more than planned, as a budget in epochs allows
    assert made.remaining is not None
    work(made, 67)
    assert made.remaining is None


# Displays.


def test_an_estimate_that_was_passed_is_shown_no_more():
    made = progress()
    made.told = made.evaluations - made.told_before
    assert f"evaluations {made.evaluations}/{made.evaluations}, " in headline(made.snapshot())
    made.told += 249  # a method that stops most trials early tells more than its epochs pay in full
    told = made.evaluations + 249
    assert f"evaluations {told}, " in headline(made.snapshot())
    shown = "\n".join(panel(made, 100))
    assert f"{told} evaluations" in shown
    assert f"/{made.evaluations}" not in shown


def test_outside_a_terminal_it_prints_plain_lines():
    out = io.StringIO()
    display = Display(Console(file=out, width=300), progress())
    with display.shown():
        display.tick()
    (line,) = out.getvalue().splitlines()
    assert "studies 3/8, evaluations 31/100, " in line
    assert "; trained 7, reused 4, merged 0; " in line
    assert "; searching 12 s, training 3 min 05 s; " in line
    assert "; failed evaluations 1 (diverged 1); failed studies 1" in line
    assert "evaluators" not in line
    assert "retried" not in line


def test_a_plain_line_tells_of_evaluators_where_there_are_any():
    out = io.StringIO()
    with Display(Console(file=out, width=80), big()).shown():
        pass
    (line,) = out.getvalue().splitlines()
    assert "merged 11911, waiting 412, retried 17; evaluators busy 58, idle 4, starting 2, lost 6; " in line
    assert "failed evaluations 4932 (crashed 21, diverged 4031, timeout 880)" in line
    assert " left" in line


def test_in_a_terminal_it_shows_a_live_panel():
    out = io.StringIO()
    display = Display(Console(file=out, width=120, force_terminal=True), progress())
    with display.shown():
        pass
    text = out.getvalue()
    assert "31/100 evaluations" in text
    assert "mnist_mlp/small" in text
    assert "val_accuracy" in text
    assert "0.9123" in text
    assert "failed: grid on a, repetition 0: a bug" in text


def test_a_big_sweep_fits_a_terminal_of_80_columns_without_wrapping():
    lines = panel(big(), 80, height=30)
    assert len(lines) < 30
    assert max(map(len, lines)) <= 80
    # Had a line wrapped, its rest would begin with a word of its own.
    beginnings = [
        "━",
        "studies",
        "trained",
        "evaluators",
        "searching",
        "failed evaluations",
        "failed studies",
    ]
    assert [line.startswith(word) for line, word in zip(lines, beginnings, strict=False)] == [True] * 7
    assert lines[0].endswith(" 353232/1000800 evaluations")
    assert lines[7].split() == ["task", "metric", "best", "so", "far", "by"]
    rows = [line for line in lines if line.startswith("fashion_mlp")]
    assert all("-3862.7000" in row for row in rows)
    # The tasks that changed last, in the order in which they began; the others are counted.
    assert [row.split("v=")[1].split(",")[0] for row in rows] == [str(n) for n in range(20 - len(rows), 20)]
    assert f"and {20 - len(rows)} tasks whose best has stood for longer" in lines
    failed = [line for line in lines if line.startswith("failed: ")]
    assert len(failed) == 5
    assert lines[-1] == "and 3 that failed before"


def test_a_tall_terminal_shows_every_task():
    lines = panel(big(), 160, height=50)
    assert sum(line.startswith("fashion_mlp") for line in lines) == 20
    assert not any("stood for longer" in line for line in lines)


def test_durations_are_for_people():
    assert [duration(s) for s in (0.4, 59.4, 61, 3599, 3661)] == [
        "0 s",
        "59 s",
        "1 min 01 s",
        "59 min 59 s",
        "1 h 01 min",
    ]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0 s"),
        (0.00012, "0.12 ms"),
        (0.0034, "3.4 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (61, "1 min 01 s"),
    ],
)
def test_what_is_over_in_a_moment_took_more_than_nothing(seconds, words):
    assert took(seconds) == words


# The heartbeat.


def test_the_heartbeat_beats_at_the_start_and_then_at_most_every_two_seconds(clock):
    beats = []
    made = progress()
    display = Display(Console(file=io.StringIO()), made, beats.append)
    with display.shown():
        assert len(beats) == 1
        for _ in range(1000):
            display.tick()
        assert len(beats) == 1
        clock[0] += 2.0
        made.told += 5
        display.tick()
        display.tick()
    assert [beat.evaluations_told for beat in beats] == [31, 36]


def test_a_snapshot_is_json_and_says_what_the_counters_say():
    snapshot = big().snapshot()
    seen = json.loads(msgspec.json.encode(snapshot))
    assert msgspec.convert(seen, Snapshot) == snapshot
    assert seen["evaluators"] == {"busy": 58, "idle": 4, "starting": 2, "lost": 6}
    assert (seen["studies_done"], seen["studies_failed"], seen["retried"]) == (1812, 8, 17)
    assert len(seen["best"]) == 20


def test_a_tick_costs_microseconds():
    display = Display(Console(file=io.StringIO(), force_terminal=True), progress(), lambda _: None)
    began = time.perf_counter()
    for _ in range(10_000):
        display.tick()
    assert (time.perf_counter() - began) / 10_000 < 50e-6
