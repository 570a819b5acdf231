"""The pages on one's own figures and on Python: their examples run in a folder with files of the rooms' names."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command import derby
from matplotlib.image import imread

ROOT = Path(__file__).resolve().parent.parent
PAGES = {name: (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("figures.md", "notebook.md")}
FILES = dict(re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", PAGES["figures.md"], re.DOTALL))
COMMANDS = re.findall(r"```sh\n(.*?)```", PAGES["figures.md"], re.DOTALL)
EXAMPLES = "".join(re.findall(r"```python\n(.*?)```", PAGES["notebook.md"], re.DOTALL))

SMALL = """\
name: small
repetitions: 2
budget: {evaluations: 4}
tasks: [branin, mixed]
searchers: [random, optuna_tpe, hyperopt_tpe]
figures: {labels: {random: Chance}, width: 84mm, formats: [svg], only: [random, optuna_tpe]}
"""


@pytest.fixture
def folder(tmp_path):
    """A user's folder: the page's files, and others that are called like the project's packages."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "tasks.py").write_text("raise RuntimeError('hidden by a file of the user')\n")
    for room in ("analysis", "harness", "results"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text("raise RuntimeError('hidden by a folder of the user')\n")
    return tmp_path


@pytest.fixture
def small(tmp_path):
    """A folder with a small sweep that was run, and what runs a command in it."""
    (tmp_path / "small.yaml").write_text(SMALL)

    def run(*arguments, code=0):
        done = derby(*arguments, cwd=tmp_path)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    run("run", "small.yaml")
    run.root = tmp_path
    return run


def lines(text):
    return sum(bool(line.strip()) for line in text.splitlines())


def test_a_method_of_ones_own_in_a_paper_takes_thirty_lines():
    assert lines(FILES["my_halving.py"]) + lines(FILES["paper.yaml"]) + lines(COMMANDS[-1]) <= 30


@pytest.mark.slow
def test_the_examples_of_both_pages_run(folder):
    done = derby("run", "paper.yaml", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    for command in (*COMMANDS[0].splitlines(), COMMANDS[-1].splitlines()[-1]):
        words = command.split("#")[0].split()[1:]
        done = derby(*words, cwd=folder)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    assert "Mean rank over 5 tasks and evaluations" in done.stdout
    assert (folder / "rank.pdf").read_bytes().startswith(b"%PDF")
    assert (folder / "results/local/sweeps/paper/figures/convergence_branin_evaluations.csv").exists()
    (folder / "rank.pdf").unlink()
    code = (
        "import sys; sys.path.insert(0, '')\n"
        f"{EXAMPLES}\n"
        "assert not {'tensorflow', 'ray'} & sys.modules.keys()\n"
        "assert figure.get_figwidth() == 3.3\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert r"\begin{table}" in done.stdout
    assert "Best so far on branin over evaluations" in done.stdout
    assert (folder / "rank.pdf").exists()
    style = folder / "german.yaml"
    done = derby("figure", "paper", "scores", "--style", style, "--out", "g.png", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert imread(folder / "g.png").shape[1] == int(84 / 25.4 * 220)


def test_the_page_lists_every_figure_function_and_field():
    import derby as package
    from harness.figure_fields import FiguresSpec

    table = PAGES["figures.md"].split("## What is shown")[0]
    names = package.figures.names()
    rows = "\n".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`([\w-]+)`", rows)) == set(names)
    assert all(callable(getattr(package.figures, name.replace("-", "_"))) for name in names)
    fields = PAGES["figures.md"].split("## What is shown")[1].split("**What leaving out")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", fields, re.MULTILINE)) == set(FiguresSpec.model_fields)
    assert set(package.figures.Choices.__annotations__) == set(FiguresSpec.model_fields) - {
        "formats",
        "brief",
    }
    section = PAGES["notebook.md"].split("## Statistics")[1].split("\nEach is of")[0]
    listed = {
        name for row in section.splitlines() if row.startswith("|") for name in re.findall(r"`(\w+)`", row)
    }
    own = {
        name
        for name, value in vars(package.statistics).items()
        if callable(value) and getattr(value, "__module__", "") == "derby.statistics"
    }
    assert listed == own


def test_figures_are_as_the_sweeps_file_and_then_the_options_say(small):
    root = small.root
    said = small("figure", "small", "rank", "--task", "branin")
    assert "Left out by choice: hyperopt_tpe; ranks and tests are of what is shown." in said
    made = root / "results/local/sweeps/small/figures"
    assert {path.name for path in made.iterdir()} == {
        "rank_branin_evaluations.svg",
        "rank_branin_evaluations.csv",
        "rank_branin_evaluations_units.csv",
    }
    numbers = (made / "rank_branin_evaluations.csv").read_text()
    assert "Chance" in numbers
    assert "hyperopt_tpe" not in numbers
    said = small(
        "figure", "small", "rank", "--only", "hyperopt_tpe,random", "--labels", 'random="Pure, chance"',
        "--width", "7in", "--out", "wide.png",
    )  # fmt: skip
    assert "Left out by choice: optuna_tpe;" in said
    assert imread(root / "wide.png").shape[1] == 7 * 220
    (root / "small.yaml").write_text(
        SMALL.replace("only: [random, optuna_tpe]", "only: [random, hyperopt_tpe]")
    )
    assert "choice: optuna_tpe" in small("figure", "small.yaml", "rank", "--out", "now.pdf")
    assert "choice: hyperopt_tpe" in small("figure", "small", "rank", "--out", "then.pdf")


def test_what_cannot_be_drawn_is_said(small):
    assert "mean rank over the budget" in small("figure", "small")
    for arguments, said in (
        (("rnk",), "no figure is called 'rnk'; did you mean 'rank'?"),
        (("convergence",), "figure 'convergence' is of one task; say which: branin, mixed"),
        (("convergence", "--task", "brann"), "the sweep has no task 'brann'; did you mean 'branin'?"),
        (("rank", "--over", "parsecs"), "no cost is called 'parsecs'; "),
        (("regret", "--over", "epochs"), "figure 'regret' is not drawn over a cost that can be chosen"),
        (("regret", "--task", "mixed"), "figure 'regret' is over all tasks; leave the task out"),
        (("overtuning",), "figure 'overtuning' has nothing to show: it takes a task with a test set"),
        (("rank", "--only", "randm"), "this sweep has no method called 'randm'; did you mean 'random'?"),
        (("rank", "--labels", "random"), "--labels: expected OLD=NEW,OLD=NEW, got 'random'"),
        (("rank", "--width", "3 feet"), "options, width: expected a width such as 3.3in"),
        (("rank", "--format", "gif"), "options, formats[0]: "),
        (
            ("rank", "--style", "none.yaml"),
            "cannot read style file none.yaml: there is no such file or folder",
        ),
        (
            ("rank", "--out", "rank.gif"),
            "expected a folder, or a file that ends in .pdf, .svg or .png, got rank.gif",
        ),
    ):
        assert said in small("figure", "small", *arguments, code=2), arguments
    assert "no sweep" in derby("figure", "smal", cwd=small.root).stderr.lower()
    (small.root / "file").write_text("")
    assert "cannot" in small("figure", "small", "rank", "--out", "file/x.pdf", code=3)


@pytest.mark.slow
def test_what_was_drawn_with_is_published_and_verified_with(small):
    root = small.root
    small("publish", "small", "--labels", "branin=Valley", "--format", "png")
    published = root / "results/published/small"
    manifest = json.loads((published / "manifest.json").read_text())
    assert "figures.yaml" in manifest["files"]
    assert "rank_all-tasks_evaluations.png" in {path.name for path in (published / "figures").iterdir()}
    assert not list((published / "figures").glob("*.svg"))
    page = (published / "report.html").read_text()
    assert "By choice this report leaves out 1 method (hyperopt_tpe), which the record has." in page
    assert "Valley" in page
    assert "every figure drawn again is identical" in small("verify", "small")
    (published / "figures.yaml").write_text("width: 7in\n")
    done = derby("verify", "small", cwd=root)
    assert done.returncode == 1
    assert "figures.yaml" in done.stdout
    (published / "figures.yaml").write_text("width: [7in\n")
    done = derby("verify", "small", cwd=root)
    assert done.returncode == 3
    assert "restore the published folder from a copy" in done.stderr
    small("report", "small", "--only", "random,optuna_tpe,hyperopt_tpe")
    assert "By choice this report" not in (root / "results/local/sweeps/small/report/report.html").read_text()


def test_a_figure_touches_no_state_of_pyplot_and_takes_none(small):
    code = (
        "import matplotlib; matplotlib.rcParams['font.size'] = 31; before = dict(matplotlib.rcParams)\n"
        "import derby, io; t = derby.read('results/local/sweeps/small')\n"
        "a = derby.figures.rank(t, task='branin', only=('random', 'optuna_tpe'))\n"
        "derby.figures.save(a, 'a.png')\n"
        "assert dict(matplotlib.rcParams) == before\n"
        "import matplotlib.pyplot as plt; assert plt.get_fignums() == []\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=small.root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    small("figure", "small", "rank", "--task", "branin", "--out", "b.png")
    assert (small.root / "a.png").read_bytes() == (small.root / "b.png").read_bytes()
