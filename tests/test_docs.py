"""The pages' examples and tables: what they show is valid, and they name all there is."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def first_cells(table: str) -> set[str]:
    """Return the names in code that rows of Markdown tables begin with."""
    cells = re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


@pytest.fixture
def examples(tmp_path, monkeypatch):
    """Install the classes of their page as a plug-in."""
    from harness import registry

    searcher, task = blocks(PAGES["classes.md"], "python")
    (tmp_path / "page_searcher.py").write_text(searcher)
    (tmp_path / "page_task.py").write_text(task)
    about = tmp_path / "page-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: page\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[derby.searchers]\nhalving = page_searcher:Halving\n[derby.tasks]\nridge = page_task:Ridge\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.searchers.cache_clear()
    registry.tasks.cache_clear()
    yield
    registry.searchers.cache_clear()
    registry.tasks.cache_clear()
    sys.modules.pop("page_searcher", None)
    sys.modules.pop("page_task", None)


def test_the_classes_race_each_other(examples, run_sweep):
    progress = run_sweep(
        "{name: page, repetitions: 3, budget: {full: 20}, tasks: [ridge], searchers: [halving, random]}"
    )
    assert progress.failed == {}
    assert progress.told == 2 * 3 * 20
    assert progress.best["ridge"].value < 0.2


def test_the_exit_codes_are_the_command_lines():
    from harness.commands import codes as own
    from harness.launch import INTERRUPTED

    codes = {int(code) for code in re.findall(r"^\| (\d+) \| ", PAGES["commands.md"], re.MULTILINE)}
    assert codes == {getattr(own, name) for name in dir(own) if name.isupper()} | {INTERRUPTED}


@pytest.mark.parametrize("page", [README, PAGES["sweeps.md"]], ids=["README", "sweeps"])
def test_the_first_sweep_is_valid(page):
    from harness.sweep import parse_sweep

    sweep = parse_sweep(blocks(page, "yaml")[0], "first.yaml")
    assert sweep.name == "first"
    assert len(sweep.studies) == 2 * 3 * 3


def test_the_demo_is_valid():
    from harness.sweep import load_sweep

    sweep = load_sweep(ROOT / "docs" / "sweeps" / "demo.yaml")
    assert len(sweep.studies) == 19 * 7
    assert all(task.cheap for task in sweep.tasks.values())
    live = load_sweep(ROOT / "docs" / "sweeps" / "live.yaml")
    assert len(live.studies) == 3 * 3
    assert not any(task.cheap for task in live.tasks.values())


def test_the_race_is_of_every_method_on_every_recording_and_table():
    from harness import registry
    from harness.sweep import load_sweep

    # Read as a plain file: a test of the locked environment lacks the libraries of some of its methods.
    text = (ROOT / "docs" / "sweeps" / "derby-2026.yaml").read_text(encoding="utf-8")
    race = yaml.safe_load(text)
    assert race["compare"]["at"] == [0.2, 0.5, 1]
    raced = {entry if isinstance(entry, str) else entry["name"] for entry in race["searchers"]}
    for name, kind in registry.searchers().items():
        named = name in raced or f"  # - {name}\n" in text  # left out with the reason above them
        # These search nothing, or run whichever searcher of Ray Tune's they are told.
        assert named or name in ("references", "raytune_search") or kind.package, f"{name} is not in the race"
    recordings = {f"replay/{name}" for name in registry.task("replay").shipped()}
    tables = {label for label in race["tasks"] if not label.startswith("replay/")}
    assert {label for label in race["tasks"] if label.startswith("replay/")} == recordings
    for name in ("hpobench_mlp", "hpolib_fcnet", "nasbench201"):
        assert {label for label in tables if label.startswith(name)} == {
            f"{name}/{dataset}" for dataset in re.findall(r"`(\w+)`", row_of(PAGES["recordings.md"], name))
        }
    parallel = load_sweep(ROOT / "docs" / "sweeps" / "derby-2026-parallel.yaml")
    assert parallel.spec.workers == 4
    assert set(parallel.tasks) < set(race["tasks"])
    assert not load_sweep(ROOT / "docs" / "sweeps" / "sprint.yaml").left_out


def test_the_readmes_race_is_what_is_published():
    from analysis.words import interval, mean_rank

    ranking = pd.read_csv(ROOT / "results" / "published" / "derby-2026" / "tables" / "ranking.csv")
    text = " ".join(README.split())
    for row in ranking.to_dict("records")[:2]:
        assert f"{mean_rank(row['rank'])} {interval(row['rank_low'], row['rank_high'], 3)}" in text
    report = ROOT / "results" / "published" / "derby-2026"
    drawn = (report / "figures" / "ranking.png").read_bytes()
    assert (ROOT / "docs" / "figures" / "race_ranking.png").read_bytes() == drawn
    page = " ".join((report / "report.html").read_text(encoding="utf-8").split())
    for said in (
        "After 50 % of the budget: over tasks, shown to be better than random: raytune_optuna (p = 0.01)",
        "shown to be better than random: optuna_tpe (p = 0.005), optuna_gp (p = 0.025) and optuna_tpe (group) (p = ",
        "not shown to differ from random: 30 methods",
    ):
        assert said in page


def row_of(page: str, name: str) -> str:
    """Return the second cell of the table row that begins with a name."""
    (row,) = re.findall(rf"^\| `{name}` \| ([^|]+) \|", page, re.MULTILINE)
    return row


def test_the_readmes_files_are_those_of_the_page_that_tries_them():
    assert len(blocks(README, "python")) == 2
    assert set(blocks(README, "python")) <= set(blocks(PAGES["own.md"], "python"))


@pytest.mark.parametrize("name", ["README.md", *PAGES])
def test_every_file_it_names_exists(name):
    text = README if name == "README.md" else PAGES[name]
    named = re.findall(r"`((?:docs|tasks|searchers|tests|harness|results|analysis|derby)/[\w./-]+)`", text)
    made = "results/"  # the results folder is no file of the project
    assert [it for it in named if not (ROOT / it).exists() and not it.startswith(made)] == []


def shown(text: str) -> list[list[str]]:
    """Return the derby commands in blocks of shell commands, as lists of arguments."""
    found = []
    for line in "\n".join(blocks(text, "sh")).replace("\\\n", " ").splitlines():
        if match := re.search(r"(?:^|\s|'|/)derby ([a-z].*)", line):
            lexer = shlex.shlex(match[1], posix=True, punctuation_chars=True)
            lexer.quotes = '"' if line[match.start()] == "'" else "'\""
            lexer.whitespace_split = True
            words = list(lexer)
            end = next((n for n, word in enumerate(words) if set(word) <= set("|&;<>()")), len(words))
            found.append([word.rstrip("'") for word in words[:end]])
    return found


@pytest.mark.parametrize("name", ["README.md", *PAGES])
def test_every_command_it_shows_exists_with_its_options(name):
    from typer.main import get_command

    from harness.cli import app

    commands = get_command(app).commands
    for command, *arguments in shown(README if name == "README.md" else PAGES[name]):
        assert command in commands
        options = {it for given in commands[command].params for it in (*given.opts, *given.secondary_opts)}
        assert {it.split("=")[0] for it in arguments if it.startswith("--")} <= options | {"--help"}


def test_every_command_is_in_its_table():
    from typer.main import get_command

    from harness.cli import app

    rows = first_cells(PAGES["commands.md"].split("## Exit codes")[0])
    assert {row.split()[1] for row in rows if row.startswith("derby ")} == set(get_command(app).commands)


def test_every_reproduction_it_shows_can_be_planned(tmp_path):
    from command import derby

    commands = [arguments for arguments in shown(PAGES["reproduction.md"]) if arguments[0] == "reproduce"]
    assert len(commands) == 4
    for arguments in commands:
        extra = ["--plan", "--results", str(tmp_path)] if len(arguments) > 1 else []
        done = derby(*arguments, *extra, cwd=tmp_path)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)


def test_every_field_of_a_sweep_is_in_its_table():
    from harness.sweep_fields import SweepSpec

    section = PAGES["sweeps.md"].split("## Fields")[1].split("\n## ")[0]
    assert first_cells(section) == set(SweepSpec.model_fields)


def test_every_searcher_is_in_its_table():
    from harness import registry

    table = PAGES["searchers.md"]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(registry.searchers())


def test_every_task_is_in_its_table():
    from harness import registry

    assert first_cells(PAGES["tasks.md"]) == set(registry.tasks())


def test_the_citation_is_of_this_version():
    """What `CITATION.cff` says of version and licence is what the package says."""
    import tomllib

    import yaml

    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])
