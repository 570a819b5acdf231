"""The command that imports: from a file to a report, its errors, and the page that documents it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from command import derby
from import_files import RUNS, written

import derby as short
from results.imports.table import as_markdown
from results.tables import read_exported

PAGE = (Path(__file__).parents[2] / "docs" / "import.md").read_text(encoding="utf-8")
EXAMPLE = re.search(r"```csv\n(.*?)```", PAGE, re.DOTALL)[1]


def commands(number):
    """The commands of the page's block of that number."""
    block = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)[number]
    return [line.split()[1:] for line in block.splitlines()]


@pytest.mark.slow
def test_the_page_shows_what_works(tmp_path):
    written(tmp_path, EXAMPLE)
    (first,) = commands(0)
    done = derby(*first, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    page = Path(done.stdout.split("report: ")[1].strip())
    text = page.read_text(encoding="utf-8")
    assert page.is_relative_to(tmp_path / "results" / "local" / "imported" / "runs")
    assert "report of imported results" in text
    assert "Imported from runs.csv: nothing of this was run by HPO Derby" in text
    assert "Imported, not run here." in text
    assert (
        "signed-rank test with Holm" not in text.split('id="definitions"')[0].split('id="section-paired"')[-1]
    )
    assert "SHA-256" in text
    for arguments in commands(1):
        done = derby(*arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    block = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        exec(block, {})
    again = read_exported(tmp_path / "exported")
    assert again.trials["value"].min() == 0.179


def test_the_page_lists_the_columns_and_every_option():
    assert as_markdown() in PAGE
    said = derby("import", "--help").stdout
    for option in re.findall(r"`(--[a-z-]+)", PAGE):
        assert option in said


def test_an_import_is_told_and_kept(tmp_path):
    done = derby("import", written(tmp_path, RUNS), "--direction", "min", "--results", tmp_path / "r")
    assert done.returncode == 0, done.stderr
    assert "next: derby report runs --results" in done.stdout
    assert re.search(r"quad\s+random\s+2\s+4", done.stdout)
    tables = read_exported(tmp_path / "r" / "imported" / "runs")
    assert tables.name == "runs"
    again = short.import_results(tmp_path / "runs.csv", direction="min")
    assert again.trials.equals(tables.trials)
    more = written(tmp_path, RUNS.replace("0.9", "0.3"))
    assert derby("import", more, "--direction", "min", "--results", tmp_path / "r").returncode == 0
    assert read_exported(tmp_path / "r" / "imported" / "runs").trials["value"].min() == 0.3


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["runs.csv"], 2, "say --direction min or --direction max"),
        (["runs.csv", "--direction", "up"], 2, "expected min or max"),
        (["runs.csv", "--direction", "min", "--direction", "max"], 2, "--direction: said twice of all tasks"),
        (
            ["runs.csv", "--direction", "min", "--column", "value"],
            2,
            "--column: expected OURS=THEIRS, got 'value'",
        ),
        (["runs.csv", "--direction", "min", "--best", "low"], 2, "--best: expected a finite number"),
        (["runs.csv", "--direction", "min", "--budget", "cost=3"], 2, "--budget: expected a whole number"),
        (["runs.csv", "--direction", "min", "--budget", "0"], 2, "--budget: expected a whole number"),
        (["runs.csv", "--direction", "min", "--name", "../x"], 3, "import name '../x' cannot be used"),
        (["runs.csv", "--direction", "min", "--mapping", "none.csv"], 3, "cannot read none.csv"),
        (["gone.csv"], 3, "there is no gone.csv"),
        (["gone"], 3, "there is no gone"),
        (["runs.csv", "--kind", "raytune"], 3, "is no folder"),
        (["runs.csv", "--kind", "optuna"], 3, "cannot read runs.csv"),
    ],
)
def test_what_is_refused_leaves_no_trace(tmp_path, arguments, code, said):
    written(tmp_path, RUNS)
    done = derby("import", *arguments, cwd=tmp_path)
    assert said in done.stderr
    assert done.returncode == code
    assert [path.name for path in tmp_path.iterdir()] == ["runs.csv"]


def test_names_of_sweeps_and_imports_are_told_apart(tmp_path, run_sweep):
    run_sweep("name: runs\nrepetitions: 1\nbudget: {evaluations: 2}\ntasks: [branin]\nsearchers: [random]\n")
    root = run_sweep.root
    source = written(tmp_path, RUNS)
    taken = derby("import", source, "--direction", "min", "--results", root)
    assert taken.returncode == 3
    assert "holds a sweep called 'runs'; choose another name with --name" in taken.stderr
    assert derby("import", source, "--direction", "min", "--results", root, "--name", "other").returncode == 0
    wrong = derby("export", "othe", "--results", root)
    assert wrong.returncode == 3
    assert "no sweep called 'othe'" in wrong.stderr
    assert "did you mean 'other'" in wrong.stderr
    (root / "imported" / "other").rename(root / "imported" / "runs")
    both = derby("export", "runs", "--results", root)
    assert "a sweep and an import are called 'runs'" in both.stderr
    assert derby("export", root / "imported" / "runs", "--out", tmp_path / "x").returncode == 0
    assert derby("export", f"{root}/").returncode == 0  # a results folder with one sweep
    assert (root / "sweeps" / "runs" / "export" / "trials.parquet").exists()
    (tmp_path / "x" / "manifest.json").write_text("{}")
    published = derby("export", tmp_path / "x")
    assert "is published, and does not change: say with --out where the export is to go" in published.stderr
    assert not (tmp_path / "x" / "export").exists()


def test_a_folder_of_something_else_is_left_as_it_is(tmp_path):
    folder = tmp_path / "r" / "imported" / "runs"
    folder.mkdir(parents=True)
    (folder / "mine.txt").write_text("mine")
    done = derby("import", written(tmp_path, RUNS), "--direction", "min", "--results", tmp_path / "r")
    assert done.returncode == 3
    assert "was not written by derby" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
