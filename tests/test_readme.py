"""The README's examples: its sweep file is valid, its searcher and its task do what they say."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def examples(tmp_path, monkeypatch):
    """Install the README's classes as a plug-in."""
    from harness import registry

    _, searcher, task = blocks("python")
    (tmp_path / "readme_searcher.py").write_text(searcher)
    (tmp_path / "readme_task.py").write_text(task)
    about = tmp_path / "readme-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: readme\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[derby.searchers]\nhalving = readme_searcher:Halving\n[derby.tasks]\nridge = readme_task:Ridge\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.searchers.cache_clear()
    registry.tasks.cache_clear()
    yield
    registry.searchers.cache_clear()
    registry.tasks.cache_clear()
    sys.modules.pop("readme_searcher", None)
    sys.modules.pop("readme_task", None)


def test_the_examples_race_each_other(examples, run_sweep):
    progress = run_sweep(
        "{name: readme, repetitions: 3, budget: {full: 20}, tasks: [ridge], searchers: [halving, random]}"
    )
    assert progress.failed == {}
    assert progress.told == 2 * 3 * 20
    assert progress.best["ridge"].value < 0.2


def test_the_exit_codes_are_the_command_lines():
    from harness.commands import codes as own
    from harness.launch import INTERRUPTED

    codes = {int(code) for code in re.findall(r"^\| (\d+) \| ", README, re.MULTILINE)}
    assert codes == {code for name, code in vars(own).items() if name.isupper()} | {INTERRUPTED}


def test_the_sweep_file_is_valid():
    from harness.sweep import parse_sweep

    sweep = parse_sweep(blocks("yaml")[0], "first.yaml")
    assert sweep.name == "first"
    assert len(sweep.studies) == 2 * 3 * 3


def test_the_demo_is_valid():
    from harness.sweep import load_sweep

    sweep = load_sweep(ROOT / "docs" / "sweeps" / "demo.yaml")
    assert len(sweep.studies) == 8 * 7 * 2
    assert all(task.cheap for task in sweep.tasks.values())
    live = load_sweep(ROOT / "docs" / "sweeps" / "live.yaml")
    assert len(live.studies) == 3 * 3
    assert not any(task.cheap for task in live.tasks.values())


def test_every_file_it_names_exists():
    named = set(re.findall(r"\]\(([^)#:]+)\)", README)) | set(
        re.findall(r"`((?:docs|tasks|searchers|tests)/[\w./-]+)`", README)
    )
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_every_command_it_shows_exists():
    from typer.main import get_command

    from harness.cli import app

    commands = set(get_command(app).commands)
    shown = set(re.findall(r"derby (\w+)", " ".join(blocks("sh"))))
    assert shown == {
        *("plan", "run", "status", "report", "export", "reproduce"),
        *("compare", "publish", "verify", "gate"),
    }
    assert shown <= commands


def test_every_reproduction_it_shows_can_be_planned(tmp_path):
    from typer.testing import CliRunner

    from harness.cli import app

    shown = re.findall(r"derby (reproduce[^#\n]*)", " ".join(blocks("sh")))
    assert len(shown) == 4
    for command in shown:
        arguments = command.split()
        extra = ["--plan", "--results", str(tmp_path)] if len(arguments) > 1 else []
        done = CliRunner().invoke(app, [*arguments, *extra])
        assert done.exit_code == 0, (command, done.output)


def test_every_field_of_a_sweep_is_in_its_table():
    from harness.sweep_fields import SweepSpec

    section = README.split("A sweep file may hold:")[1].split("### ")[0]
    table = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    assert table == set(SweepSpec.model_fields)


def test_every_searcher_is_in_its_table():
    from harness import registry

    section = README.split("### Searchers")[1].split("### ")[0]
    rows = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(registry.searchers())


def test_every_task_is_in_its_table():
    from harness import registry

    section = README.split("### Tasks")[1].split("### ")[0]
    rows = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(registry.tasks())


def test_the_citation_is_of_this_version():
    """What `CITATION.cff` says of version and licence is what the package says."""
    import tomllib

    import yaml

    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])
