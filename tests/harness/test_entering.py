"""Entering a method into a published race, publishing the entry, and verifying both."""

from __future__ import annotations

import functools
import json
import shutil
from pathlib import Path

import pytest
from command import derby as derby_of_any_width
from stand_in import draw

from harness import registry
from harness.entering import entry_name
from results.entries import protocol_of, together
from results.published import publish
from results.tables import read_exported, read_tables

derby = functools.partial(derby_of_any_width, COLUMNS="300")

EXAMPLE = Path(__file__).parents[2] / "docs" / "entries" / "evolution.py"
RACE = """\
name: race
seed: 2
repetitions: 2
budget: {evaluations: 12}
incompatible: leave_out
tasks: [branin, mixed]
searchers: [random, {name: random, label: spread, settings: {design: sobol}}, optuna_cmaes]
compare: {method: random, at: [0.5, 1]}
"""


@pytest.fixture
def here(run_sweep, tmp_path, monkeypatch):
    """A folder with a published race and a method in a file; the report is stood for."""
    monkeypatch.setattr("analysis.report.page.build", draw)
    run_sweep(RACE, tmp_path / "raced")
    publish(read_tables(tmp_path / "raced", "race"), tmp_path / "results/published", "race", draw)
    shutil.rmtree(tmp_path / "raced")  # whoever enters has what is published, and nothing else
    shutil.copy(EXAMPLE, tmp_path / "mine.py")
    return tmp_path


def enter(here, *options, method="mine.py:Evolution", race="race"):
    return derby("enter", method, "--race", race, *options, cwd=here)


def test_an_entry_has_its_row_and_runs_nothing_but_itself(here):
    done = enter(here)
    assert done.returncode == 0, done.stderr
    assert "studies 4/4" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines()]
    (own,) = (row for row in rows if row[:2] == ["→", "Evolution"])
    assert 1 <= float(own[2]) <= 3
    assert {row[0] for row in rows if row} >= {"random", "spread"}
    assert "Not ranked with them: optuna_cmaes (cannot search 1 of 2 tasks)." in done.stdout
    assert "as was said after results existed" in done.stdout
    assert "Evolution with random, spread and optuna_cmaes, by the best values after 50 %" in done.stdout
    assert (here / "results/local/sweeps/race-Evolution/report/report.html").exists()
    journals = list((here / "results/local/studies").iterdir())
    assert len(journals) == 4
    assert enter(here, "--no-report").returncode == 0
    assert len(list((here / "results/local/studies").iterdir())) == 4


def test_an_entry_runs_no_baseline_and_is_shown_with_those_of_the_race(run_sweep, tmp_path, monkeypatch):
    monkeypatch.setattr("analysis.report.page.build", draw)
    run_sweep(RACE + "baselines: [random_2x, best]\n", tmp_path / "raced")
    publish(read_tables(tmp_path / "raced", "race"), tmp_path / "results/published", "race", draw)
    shutil.copy(EXAMPLE, tmp_path / "mine.py")
    done = enter(tmp_path, "--no-report", "--publish")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "results/local/studies").iterdir())) == 4
    race, own = (read_exported(tmp_path / "results/published" / name) for name in ("race", "race-Evolution"))
    assert own.baselines.empty
    assert together(race, own).baselines.equals(race.baselines)
    done = derby("verify", "--rerun", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "studies 1/1, evaluations 12/12" in done.stdout


def test_an_entry_takes_the_place_of_no_other_sweep(here, run_sweep):
    run_sweep(RACE.replace("name: race", "name: race-Evolution"), here / "results/local")
    done = enter(here, "--no-report")
    assert done.returncode == 2
    assert "has a sweep 'race-Evolution' already" in done.stderr
    assert "--label" in done.stderr
    assert len(read_tables(here / "results/local", "race-Evolution").studies["searcher"].unique()) == 3
    assert enter(here, "--no-report", "--label", "a b").returncode == 0
    assert "no entry of 'a-b': it races a b." in enter(here, "--no-report", "--label", "a-b").stderr


def test_entries_into_a_race_with_a_long_name_have_names_of_their_own():
    names = {entry_name("r" * 80, label) for label in ("a", "b", "L" * 40)}
    assert len(names) == 3
    assert all(len(name) == 80 for name in names)


def test_an_entry_has_the_seeds_of_the_race(here):
    """The race's own random search, entered under another name, ends where it ended."""
    assert enter(here, "--label", "again", method="random").returncode == 0
    both = together(
        read_exported(here / "results/published/race"), read_tables(here / "results/local", "race-again")
    )
    best = both.trials.groupby(["task", "repetition", "searcher"])["value"].agg(list).unstack()
    assert (best["again"] == best["random"]).all()
    assert (best["again"] != best["spread"]).all()


def test_an_entry_is_published_beside_its_race_and_both_verify(here):
    done = enter(here, "--no-report", "--publish")
    assert done.returncode == 0, done.stderr
    folder = here / "results/published/race-Evolution"
    assert json.loads((folder / "manifest.json").read_text())["entered"]["race"] == "race"
    assert [path.name.partition("-")[0] for path in (folder / "sources").iterdir()] == ["mine"]
    assert set(read_exported(folder).studies["searcher"]) == {"Evolution"}
    assert "spread" in (folder / "figures/best.svg").read_text()  # drawn with the race
    (here / "mine.py").unlink()  # what was published is enough
    done = derby("verify", "--rerun", "20", cwd=here)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "it has the tasks, data, budget and seeds of race" in done.stdout
    assert (
        "race-Evolution: 4 studies, drawn at random and run again, gave the same evaluations" in done.stdout
    )
    assert "race: 10 studies, drawn at random and run again" in done.stdout
    assert "all 2 published folders are as they were published" in done.stdout
    shutil.copy(EXAMPLE, here / "mine.py")
    taken = enter(here, "--no-report", "--publish")
    assert taken.returncode == 3
    assert "race-Evolution exists already" in taken.stderr
    assert enter(here, "--no-report", "--publish", "--replace").returncode == 0
    again = derby("enter", "race", "--race", "race-Evolution", cwd=here)
    assert "is itself an entry, into 'race'" in again.stderr


@pytest.fixture
def brief(run_sweep, tmp_path):
    """A folder with a race whose figures were chosen when it was published, and a method in a file."""
    run_sweep(RACE, tmp_path / "results/local")
    chosen = ("--brief", "--format", "png", "--only", "random,spread", "--labels", "spread=Sobol")
    assert derby("publish", "race", *chosen, cwd=tmp_path).returncode == 0
    shutil.copy(EXAMPLE, tmp_path / "mine.py")
    return tmp_path


@pytest.mark.slow
def test_an_entry_is_drawn_as_its_race_was_and_shown_beside_those_that_are(brief):
    assert enter(brief).returncode == 0
    done = enter(brief, "--publish")
    assert done.returncode == 0, done.stderr
    race, own = (brief / "results/published" / name for name in ("race", "race-Evolution"))
    drawn = {path.name for path in (race / "figures").iterdir()}
    local = brief / "results/local/sweeps/race-Evolution/report"
    for folder in (own, local):
        assert {path.suffix for path in (folder / "figures").iterdir()} == {".png"}
        assert {path.name for path in (folder / "figures").iterdir()} >= drawn
        assert not (folder / "trials").exists()
        page = (folder / "report.html").read_text()
        assert "Evolution" in page
        assert "Sobol" in page
    assert f"report: {own / 'report.html'}" in done.stdout
    assert derby("verify", cwd=brief).returncode == 0


def test_an_entry_has_none_of_the_names_that_its_race_gives_in_figures(here):
    (here / "results/published/race/figures.yaml").write_text("labels: {spread: Evolution}\n")
    done = enter(here)
    assert done.returncode == 2
    assert "'Evolution' would be the name of several" in done.stderr
    assert "another --label" in done.stderr
    assert not (here / "results/local").exists()


def test_a_report_that_is_published_is_drawn_once(here, monkeypatch):
    drawn = []

    def build(tables, folder, **choices):
        drawn.append(folder)
        return draw(tables, folder, **choices)

    monkeypatch.setattr("analysis.report.page.build", build)
    done = enter(here, "--publish")
    assert done.returncode == 0, done.stderr
    assert len(drawn) == 1
    page = here / "results/published/race-Evolution/report.html"
    assert page.exists()
    assert f"report: {page}" in done.stdout


def test_an_entry_whose_numbers_its_file_does_not_give_is_found_by_running_it_again(here):
    import hashlib

    import pandas as pd

    enter(here, "--no-report", "--publish")
    folder = here / "results/published/race-Evolution"
    frame = pd.read_parquet(folder / "trials.parquet")
    better = frame["value"].where(frame["step"] != 12, frame["value"] - 1)
    frame.assign(value=better).to_parquet(folder / "trials.parquet")
    race = read_exported(here / "results/published/race")
    draw(together(race, read_exported(folder)), folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    for name in manifest["files"]:
        manifest["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert derby("verify", "race-Evolution", cwd=here).returncode == 0  # digests are no signatures
    done = derby("verify", "race-Evolution", "--rerun", "4", cwd=here)
    assert done.returncode == 1
    assert done.stdout.count("not as it was run: Evolution on ") == 4
    assert "at step 12 its value was published as " in done.stdout


def test_what_lacks_its_library_is_not_among_the_studies_that_are_run_again(here, monkeypatch):
    enter(here, "--no-report", "--publish", "--leave-out", "--label", "mine", method="optuna_cmaes")
    monkeypatch.setattr(registry.searcher("optuna_cmaes"), "libraries", {"none_such": "none-such"})
    done = derby("verify", "race", "--rerun", "20", cwd=here)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        "not among those drawn: 2 of 10 studies, of optuna_cmaes; running them needs none-such: run `pip install "
        "none-such`" in done.stdout
    )
    before, after = done.stdout.split("studies 8/8")
    assert (
        "running 8 studies of results/published/race again, drawn at random; on record, searching took"
        in before
    )
    assert "race: 8 studies, drawn at random and run again, gave the same evaluations" in after
    none = derby("verify", "race-mine", "--rerun", "1", cwd=here)
    assert none.returncode == 2
    assert "none of its methods can be run here: running them needs none-such" in none.stderr


def test_an_entry_of_another_protocol_is_none(here):
    enter(here, "--no-report", "--publish")
    folder = here / "results/published/race-Evolution"
    own = read_exported(folder)
    protocol = own.studies["protocol"].str.replace('"root_seed":2', '"root_seed":3')
    own.studies.assign(protocol=protocol).to_parquet(folder / "studies.parquet")
    done = derby("verify", "race-Evolution", cwd=here)
    assert done.returncode == 1
    assert "not as its race: branin: root seed 3, and 2 in the race" in done.stdout
    assert "not as published: studies.parquet was changed" in done.stdout


def test_a_race_that_was_published_anew_takes_no_earlier_entry(here):
    enter(here, "--no-report", "--publish")
    manifest = here / "results/published/race/manifest.json"
    manifest.write_text(manifest.read_text() + "\n")
    done = derby("verify", "race-Evolution", cwd=here)
    assert done.returncode == 3
    assert "the race was published anew since" in done.stderr
    shutil.rmtree(manifest.parent)
    assert "put its published folder there" in derby("verify", "race-Evolution", cwd=here).stderr


def test_another_version_of_the_data_is_refused_before_anything_runs(here):
    path = here / "results/published/race/tasks.parquet"
    tasks = read_exported(path.parent).tasks
    tasks.assign(data=["f" * 16, *tasks["data"].iloc[1:]]).to_parquet(path)
    done = enter(here)
    assert done.returncode == 3
    assert "branin: its data have the digest" in done.stderr
    assert "had ffffffffffffffff in the race: another version of its recording" in done.stderr
    assert not (here / "results/local").exists()


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ({"race": "rece"}, 3, "nothing published as 'rece' in results/published; did you mean 'race'"),
        (
            {"options": ("--label", "spread")},
            2,
            "has a method called 'spread' already; enter yours under another",
        ),
        ({"options": ("--label", " spread")}, 2, "has a method called 'spread' already"),
        ({"method": "mine.py:Revolution"}, 2, "no searcher called 'Revolution'"),
        (
            {"options": ("--setting", "design"), "method": "random"},
            2,
            "--setting design: expected NAME=VALUE",
        ),
        (
            {"method": "optuna_cmaes", "options": ("--label", "mine")},
            2,
            "With --leave-out it enters the other 1 of 2 tasks",
        ),
    ],
)
def test_what_cannot_be_entered_says_why(here, options, code, message):
    given = options.pop("options", ())
    done = enter(here, *given, **options)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert not (here / "results/local").exists()


def test_an_entry_is_not_published_in_the_place_of_its_race(here):
    done = enter(here, "--publish", "--as", "race", "--replace")
    assert done.returncode == 3
    assert "'race' is the race itself; publish your entry under another name with --as" in done.stderr
    assert not (here / "results/local").exists()


CORNER = """
from derby import Searcher, Suggestion


class Corner(Searcher):
    def _ask(self):
        return Suggestion(self.problem.space.from_unit([0.0] * len(self.problem.space)))

    def _tell(self, suggestion, loss): ...


class Broken(Corner):
    def _tell(self, suggestion, loss):
        raise KeyError(suggestion.handle)
"""


def test_the_table_says_beside_whom_the_entry_is_shown_to_be_better_or_worse(
    run_sweep, tmp_path, monkeypatch
):
    tables = [f"hpobench_mlp/{name}" for name in ("car", "kc1", "phoneme", "segment", "vehicle")]
    race = RACE.replace("[branin, mixed]", str(["branin", "mixed", "hartmann6", *tables]))
    run_sweep(race.replace(", optuna_cmaes", ""), tmp_path / "raced")
    publish(read_tables(tmp_path / "raced", "race"), tmp_path / "results/published", "race", draw)
    (tmp_path / "corner.py").write_text(CORNER)
    done = enter(tmp_path, "--no-report", method="corner.py:Corner")
    assert done.returncode == 0, done.stderr
    rows = {row[0]: row for line in done.stdout.splitlines() if (row := line.split())}
    assert rows["method"][-1] == "shown"
    assert rows["random"][-1] == rows["spread"][-1] == "worse"
    assert rows["→"][-1].isdigit()


def test_an_entry_that_never_works_says_so_shortly_and_where_to_look(here):
    (here / "corner.py").write_text(CORNER)
    done = enter(here, method="corner.py:Broken")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert len([line for line in lines if line.startswith("failed: Broken on branin, repetition 0")]) == 1
    assert "not begun: 1 of these, because method 'Broken' has never worked" in lines
    assert lines[-1].startswith("next: mend the method and enter it again")
    logs = here / lines[-1].rsplit(" ", 1)[-1]
    assert any("Traceback" in log.read_text() for log in logs.iterdir())


def test_a_race_that_is_not_published_is_to_be_finished_first(here, run_sweep):
    run_sweep(RACE.replace("name: race", "name: raw"), here / "results/local")
    done = enter(here, race="raw")
    assert done.returncode == 3
    assert (
        "is not published: run it to its end with `derby run`, and freeze it with `derby publish raw`"
        in done.stderr
    )


def test_a_method_enters_the_tasks_that_it_can_search(here):
    done = enter(here, "--leave-out", "--label", "mine", "--no-report", "--publish", method="optuna_cmaes")
    assert done.returncode == 0, done.stderr
    assert (
        "mine cannot search every task, and is not ranked with the others. On branin, which it can"
        in done.stdout
    )
    own = read_exported(here / "results/published/race-mine")
    assert list(protocol_of(own)) == ["branin"]
    assert [pair.task for pair in own.left_out] == ["mixed"]
    assert derby("verify", "race-mine", "--rerun", "1", cwd=here).returncode == 0


def test_nothing_published_is_nothing_wrong(tmp_path):
    done = derby("verify", cwd=tmp_path)
    assert done.returncode == 0
    assert "nothing is published in results/published" in done.stdout
