"""The report page: complete, self-contained, escaped, usable, the same bytes every time."""

import base64
import csv
import dataclasses
import hashlib
import itertools
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urldefrag

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import synthetic_sweeps
from browser import needs_browser, probe
from large_sweeps import large

from analysis.errors import AnalysisError
from analysis.figures import catalogue, exploration
from analysis.report.page import Placed, _sections, build
from analysis.report.summary import summary
from analysis.statistics.comparison import compare
from analysis.statistics.inputs import prepare
from analysis.words import with_sd

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Tags, texts and attributes of a page; fails where tags do not nest."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.texts = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def read(path):
    return Page(path.read_text(encoding="utf-8"))


def small():
    return synthetic_sweeps.example(repetitions=5, count=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    assert build(small(), folder) == folder / "report.html"
    return folder


@pytest.fixture(scope="module")
def page(folder):
    return read(folder / "report.html")


@pytest.fixture
def no_figures(monkeypatch):
    """Build pages without drawing, for tests of words."""
    monkeypatch.setattr(catalogue, "all_plots", lambda *_, **__: iter(()))
    monkeypatch.setattr(exploration, "plots", lambda *_, **__: iter(()))


def digests(folder):
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


# What is on it.


def test_it_needs_nothing_from_elsewhere(folder, page):
    for image in page.all("img"):
        kind, data = image["src"].split(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data).startswith(b"\x89PNG")
        assert len(image["alt"]) > 40
    assert not page.all("link") + page.all("iframe")
    assert not any("src" in attributes for attributes in page.all("script"))
    policy = page.all("meta")[2]["content"]
    assert "default-src 'none'" in policy
    for path in [folder / "report.html", *(folder / "trials").iterdir()]:
        assert "http" not in path.read_text().replace("http-equiv", "")


def test_every_link_and_download_resolves(folder):
    for path in [folder / "report.html", *(folder / "trials").iterdir()]:
        links = read(path).all("a")
        assert links
        for link in links:
            place, anchor = urldefrag(link["href"])
            target = path.parent / place if place else path
            assert target.is_file(), link
            if anchor:
                assert anchor in {a["id"] for _, a in read(target).tags if "id" in a}, link
    drawn = {path.name for path in (folder / "figures").iterdir()}
    linked = {Path(a["href"]).name for a in read(folder / "report.html").all("a") if "figures/" in a["href"]}
    assert linked == drawn
    assert {Path(name).suffix for name in drawn} == {".pdf", ".svg", ".png", ".csv"}


def test_it_opens_with_a_sentence_a_figure_and_the_ranking(folder, page):
    first = next(attributes for tag, attributes in page.tags if tag == "figure")
    assert first["id"] == "rank_all-tasks_spent_epochs"
    order = [
        page.text.index(part, page.text.index("Provenance"))  # after the list of contents
        for part in (
            "a description of these tasks, without a test",
            "Data subset or stand-in: not comparable with published figures.",
            "Mean rank over 3 tasks",
            "Ranking by final results",
            "In words",
            "Comparisons within each task",
            "Progress over cost",
        )
    ]
    assert order == sorted(order)
    assert "speaks about these tasks only" in page.text
    # What is meant by the warning is said once; captions have its mark only.
    assert page.text.count("not comparable with published figures") == 1
    assert page.text.count("Data subset or stand-in") > 5


def test_a_sweep_of_one_task_opens_with_its_convergence(rows, make, tmp_path):
    told = [row for name in "ab" for r in range(2) for row in rows("t", name, r, [0.3, 0.2])]
    page = read(build(make(told, {"t": {}}), tmp_path))
    assert page.all("figure")[0]["id"] == "convergence_t_evaluations"
    assert "Its convergence is the figure that this page opens with" in page.text
    assert [figure["id"] for figure in page.all("figure")].count("convergence_t_evaluations") == 1


def test_with_enough_tasks_the_leader_comes_first(rows, make, tmp_path, no_figures):
    told, tasks = [], {}
    rng = np.random.default_rng(0)
    for index in range(8):
        tasks[f"t{index}"] = {}
        for repetition, (name, level) in itertools.product(range(4), (("a", 0.1), ("b", 0.5), ("c", 0.52))):
            values = level + 0.01 * rng.random(3)
            told += rows(f"t{index}", name, repetition, values.tolist())
    tables = make(told, tasks)
    comparison = compare(prepare(tables))
    first, second, *_ = summary(prepare(tables), comparison)
    assert first.startswith("a leads over 8 tasks with a mean rank of 1.00 [1, 1], ahead of b with")
    assert "It is shown to be better than b and c." in first
    assert "a wins more repetitions than it loses on 8 of 8 tasks, and 100 % of a task's" in second
    assert "p = 0.0" in second
    text = read(build(tables, tmp_path)).text
    assert (
        text.index("a leads")
        < text.index("Every method over all ranked tasks")
        < text.index("Every method against")
    )
    assert "no test over tasks" not in text
    table = pd.read_csv(tmp_path / "tables" / "ranking.csv")
    assert table["searcher"].tolist() == list(comparison.mean_ranks)


@pytest.mark.parametrize("few", [True, False])
def test_comparisons_within_tasks_come_first_with_few_tasks_and_else_last(few):
    placed = [Placed(key, None, True, None) for key in ("curves", "paired", "overhead")]
    keys = [section["key"] for section in _sections(placed, few=few)]
    assert keys == (["paired", "curves", "overhead"] if few else ["curves", "overhead", "paired"])


def test_headings_nest(folder):
    for path in [folder / "report.html", *(folder / "trials").iterdir()]:
        levels = [int(tag[1]) for tag, _ in read(path).tags if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_every_figure_has_a_caption_and_every_table_too(page):
    assert len(page.all("figure")) == len(page.all("figcaption")) == len(page.all("img")) > 20
    assert len(page.all("table")) == len(page.all("caption"))
    assert sum(own.get("class") == "about" for own in page.all("details")) > 10
    assert all(head.get("scope") in ("col", "row") for head in page.all("th"))
    for words in (
        "repetitions: random 5, optuna_tpe 4, skopt_gp 5, hyperband 5, 1 task",
        "Left out: skopt_gp, repetition 3 (missing).",
        "Left out: repetition 4 (optuna_tpe failed).",
        "rests on 3 tasks only",
        "Data subset or stand-in: not comparable with published figures. Tasks: fashion/small.",
        "Data subset or stand-in: fashion/small.",
    ):
        assert words in page.text


def test_the_ranking_names_what_is_left_out(page):
    caption = page.text[page.text.index("Every method over all ranked tasks") :]
    assert "Left out: repetition 4 (optuna_tpe failed) on mnist/small" in caption[:1500].replace(
        "Left out: repetition 3 (skopt_gp missing) on fashion/small; ", "Left out: "
    )


def test_gaps_failures_and_provenance_are_told(page):
    assert "58 of 60 planned studies finished" in page.text
    assert "2 of 60 planned studies are not finished and not used" in page.text
    assert "SearcherError: optuna_tpe proposed nothing" in page.text
    assert "4 of 5" in page.text
    assert "were measured on 2 different machines" in page.text
    assert "Trainings come from 2 kinds of machine" in page.text
    for words in (
        "0123abc",
        "processor: Xeon",
        "processor: EPYC, device: H100",
        "mnist/small: aa11",
        "optuna 5.0",
        "name: example",
    ):
        assert words in page.text


def test_final_results_are_shown_with_interval_and_costs(page, folder):
    final = pd.read_csv(folder / "tables" / "final_results.csv")
    for row in final.to_dict("records"):
        ends = (
            f" [{row['validation_low']:.5g}, {row['validation_high']:.5g}]" if row["repetitions"] >= 5 else ""
        )
        assert f" {with_sd(row['validation'], row['validation_sd'])}{ends} " in page.text
        assert f"{row['repetitions']} of {row['planned']}" in page.text
    best = final[final["task"] == "mnist/small"].iloc[0]
    assert best["validation"] == final.loc[final["task"] == "mnist/small", "validation"].max()


def test_the_summary_says_who_ends_best_on_each_task(page):
    comparison = compare(prepare(small()))
    for task in comparison.scores:
        ranks, leaders = comparison.final.ranks_on(task), comparison.final.leaders_on(task)
        if len(leaders) == 1:
            assert f"On {task}, {leaders[0]} ends best: a mean rank of {ranks[leaders[0]]:.2f}" in page.text
        else:
            assert f"On {task}, {leaders[0]} and {leaders[1]} end equal" in page.text
    assert "5 repetitions cannot show a difference from random on any task" in page.text
    assert "at least 9 are needed for 9 comparisons" in page.text


def test_how_far_the_ranking_depends_on_its_rules_is_shown(rows, make, tmp_path, no_figures):
    told = []
    for index, repetition in itertools.product(range(4), range(5)):
        told += rows(f"t{index}", "a", repetition, [0.3, 0.3]) + rows(
            f"t{index}", "b", repetition, [0.31, 0.31]
        )
        told += rows(f"t{index}", "s", repetition, [0.9, None if repetition == 0 else 0.05])
        if repetition == 0:
            told[-2] = {**told[-2], "status": "diverged", "value": np.nan}
    groups = {
        f"t{index}": {"group": "image" if index else "function", "budget_amount": 2} for index in range(4)
    }
    build(make(told, groups), tmp_path)
    table = pd.read_csv(tmp_path / "tables" / "rules.csv").set_index("searcher")
    assert table.loc["s"].to_dict() == pytest.approx(
        {
            "As ranked": 1.4,
            "By mean value": 3.0,
            "Without failed repetitions": 1.0,
            "At ½ of the budget": 3.0,
            "On 1 task of group function": 1.4,
            "On 3 tasks of group image": 1.4,
        }
    )
    text = read(tmp_path / "report.html").text
    assert "How far the ranking depends on its rules" in text
    assert (
        "by mean final values, of which one failed or awful repetition can outweigh the rest, a (a 1.00"
        in text
    )


def test_the_mean_rank_of_every_table_is_the_same(page, folder):
    comparison = compare(prepare(small()))
    ranking = pd.read_csv(folder / "tables" / "ranking.csv").set_index("searcher")["rank"]
    assert ranking.to_dict() == pytest.approx(dict(comparison.mean_ranks))
    curve = pd.read_csv(folder / "figures" / "rank_all-tasks_evaluations.csv")
    last = curve[curve["measure"] == "validation"].groupby("searcher")["mean"].last()
    assert set(last.index) == set(ranking.index)
    for name, rank in comparison.mean_ranks.items():
        assert f"{rank:.2f}" in page.text, name


def test_another_process_gives_the_same_bytes_and_loads_no_training_library(folder, tmp_path):
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]; from pathlib import Path; import test_page;\n"
        "if __name__ == '__main__':\n"
        "    test_page.build_differently(Path(sys.argv[1]))\n"
        "    heavy = {'tensorflow', 'keras', 'ray', 'torch', 'tasks', 'searchers'}\n"
        "    loaded = heavy & set(sys.modules)\n"
        "    sys.exit(f'loaded: {loaded}' if loaded else 0)\n"
    )
    script = tmp_path / "elsewhere.py"
    script.write_text(code)
    # What pytest has on the path here: the project, and the folders of the tests' own modules.
    folders = [ROOT, *Path(__file__).parents[:2], ROOT / "tests" / "support"]
    arguments = [str(tmp_path / "out"), *map(str, folders)]
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo"},
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert digests(tmp_path / "out") == digests(folder)


def build_differently(folder):
    """The same report from rows in another order, under other settings of matplotlib, by two processes."""
    tables = small()
    shuffled = dataclasses.replace(
        tables,
        trials=tables.trials.sample(frac=1, random_state=1),
        studies=tables.studies.sample(frac=1, random_state=2),
        tasks=tables.tasks.iloc[::-1],
    )
    settings = {"font.size": 30, "axes.facecolor": "black", "svg.hashsalt": None, "savefig.dpi": 30}
    with mpl.rc_context(settings):
        build(shuffled, folder, processes=2)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """The report of a sweep in which every name and text is an attack."""
    rows, make = synthetic_sweeps.study_rows, synthetic_sweeps.tables_of
    evil = "=2+5\"></script><script>alert(1)</script><img src=x onerror=alert(2)>'{{ 7 * 7 }}"
    told = rows(evil, evil, 0, [0.2, 0.1]) + rows(evil, "b", 0, [0.3])
    other = {"task": evil, "searcher": "b", "repetition": 1, "state": "failed", "reason": evil}
    provenance = {
        "sweep": evil,
        "revision": evil,
        "machines": [{"id": evil}],
        "versions": {evil: evil},
        "data": {evil: evil},
        "merged": [evil],
        "runs": [{"host": evil, "command": [evil]}],
    }
    tables = make(
        told, {evil: {"source": evil, "metric": evil}}, name=evil, others=[other], provenance=provenance
    )
    folder = tmp_path_factory.mktemp("hostile")
    build(tables, folder)
    return folder


def test_hostile_names_are_shown_and_not_obeyed(hostile):
    path = hostile / "report.html"
    page = read(path)
    trials = next((hostile / "trials").iterdir())
    for each in (page, read(trials)):
        assert all(set(script) <= {"type", "id"} for script in each.all("script"))
        assert all(
            image["src"].startswith("data:image/png;base64,") and "onerror" not in image
            for image in each.all("img")
        )
    for text in (path.read_text(), trials.read_text()):
        assert "<script>alert" not in text
    assert page.text.count("<script>alert(1)</script>") > 10
    assert not re.search(r"'49", page.text)
    assert {path.parent.name for path in hostile.rglob("*.png")} == {"figures"}


def test_hostile_names_are_no_formulas_in_a_spreadsheet(hostile):
    cells = [
        cell
        for path in hostile.rglob("*.csv")
        for row in csv.reader(path.read_text(encoding="utf-8").splitlines(keepends=True))
        for cell in row
    ]
    assert sum(cell.startswith("'=2+5") for cell in cells) > 10
    assert not [cell for cell in cells if cell.startswith("=")]


def test_nothing_told_is_a_message(make, tmp_path):
    other = {"task": "t", "searcher": "a", "repetition": 0, "state": "missing", "reason": ""}
    with pytest.raises(AnalysisError, match="no evaluation"):
        build(make([], {"t": {}}, others=[other]), tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_without_a_finished_study_it_still_says_what_is_missing(rows, make, tmp_path):
    tables = make(rows("t", "a", 0, [0.2, None]), {"t": {}}, states={"t|a|0": ("running", "")})
    text = read(build(tables, tmp_path)).text
    assert "0 of 1 planned study finished, 2 evaluations told, 1 of them failed" in text
    assert "No study is finished yet" in text
    assert "running" in text


def test_one_method_alone_has_curves_and_no_ranks(rows, make, tmp_path):
    tables = make(rows("t", "a", 0, [0.2, 0.1]), {"t": {}})
    page = read(build(tables, tmp_path))
    assert page.all("img")
    assert "There is nothing to compare" in page.text
    assert "Ranking by final results" not in page.text
    assert "Every planned study is finished." in page.text


# The pages of trials.


def test_trials_pages_hold_all_trials_of_a_task(folder, page):
    tables = small()
    for task in tables.tasks.index:
        name = task.replace("/", "-")
        own = tables.trials[tables.trials["task"] == task]
        written = pd.read_csv(folder / "tables" / f"trials_{name}.csv")
        assert len(written) == len(own)
        assert f"All {len(own)} trials that were told." in read(folder / "trials" / f"{name}.html").text


# In a browser.


@needs_browser
def test_it_opens_and_its_tables_sort(folder):
    found = probe(
        folder / "report.html",
        """
        const table = document.querySelector("#failures").closest("section").querySelector("table");
        const read = (n) => [...table.tBodies[0].rows].map((row) => row.cells[n].textContent.trim());
        const click = (n) => { table.tHead.rows[0].cells[n].querySelector("button").click(); };
        click(1); const up = read(1), sortUp = table.tHead.rows[0].cells[1].getAttribute("aria-sort");
        click(1); const down = read(1), sortDown = table.tHead.rows[0].cells[1].getAttribute("aria-sort");
        click(0); const names = read(0);
        return {up, down, names, sortUp, sortDown, left: table.tHead.rows[0].cells[1].getAttribute("aria-sort"),
                tables: document.querySelectorAll("table").length,
                sortable: document.querySelectorAll("th button").length};
        """,
    )
    assert found["up"] == sorted(found["up"], key=int) != found["down"]
    assert found["down"] == sorted(found["down"], key=int, reverse=True)
    assert found["names"] == ["hyperband", "optuna_tpe", "random", "skopt_gp"]
    assert (found["sortUp"], found["sortDown"], found["left"]) == ("ascending", "descending", None)
    assert found["sortable"] > 20


@needs_browser
def test_values_are_read_with_pointer_and_keys(folder):
    data = pd.read_csv(folder / "figures" / "rank_all-tasks_spent_epochs.csv")
    found = probe(
        folder / "report.html",
        """
        const plot = document.querySelector("#rank_all-tasks_spent_epochs .plot");
        const values = plot.parentElement.querySelector(".values");
        const frame = plot.getBoundingClientRect();
        const at = (share) => { plot.dispatchEvent(new PointerEvent("pointermove", {clientX: frame.left + share *
          frame.width, clientY: frame.top + frame.height / 2, bubbles: true}));
          return values.textContent; };
        const far = at(0.48);
        const rule = !plot.querySelector(".rule").hidden;
        const key = (name) => { plot.dispatchEvent(new KeyboardEvent("keydown", {key: name, bubbles: true}));
          return values.textContent; };
        return {far, rule, near: key("ArrowLeft"), back: key("ArrowRight"), other: key("ArrowDown"),
                label: plot.getAttribute("aria-label"), focus: plot.tabIndex, live: values.getAttribute("aria-live")};
        """,
    )
    validation = data[data["measure"] == "validation"]
    for name, group in validation.groupby("searcher"):
        assert f"{name} {group['mean'].iloc[-1]:.6g}" in found["far"]
    assert found["rule"]
    assert found["near"] != found["far"] == found["back"] != found["other"]
    assert found["focus"] == 0
    assert found["live"] == "polite"
    assert "arrow keys" in found["label"]


@needs_browser
@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_it_without_scrolling_sideways(folder, dark):
    for path in (folder / "report.html", folder / "trials" / "mnist-small.html"):
        found = probe(
            path,
            """
            for (const details of document.querySelectorAll("details")) details.open = true;
            const wide = [...document.querySelectorAll("body *")].filter((e) => !e.closest(".scroll") &&
              !e.closest("pre") && e.getBoundingClientRect().right > innerWidth + 1);
            const style = getComputedStyle(document.body);
            return {wide: wide.map((e) => e.outerHTML.slice(0, 90)),
                    page: document.documentElement.scrollWidth, window: innerWidth,
                    ink: style.color, paper: style.backgroundColor};
            """,
            size=(500, 900),
            dark=dark,
        )
        assert found["wide"] == []
        assert found["page"] <= found["window"]
        paper, ink = (sum(map(int, re.findall(r"\d+", found[part])[:3])) for part in ("paper", "ink"))
        assert (paper < 200 < 600 < ink) if dark else (ink < 200 < 600 < paper)


@needs_browser
@pytest.mark.parametrize("methods", [9, 30])
def test_no_table_is_cut_off_at_the_width_of_a_laptop(tmp_path, no_figures, methods):
    build(large(methods, 7, 5, 4), tmp_path)
    found = probe(
        tmp_path / "report.html",
        """
        for (const details of document.querySelectorAll("details")) details.open = true;
        return [...document.querySelectorAll(".scroll")].map((e) => [e.getAttribute("aria-label"),
          e.scrollWidth - e.clientWidth]);
        """,
        size=(1200, 900),
    )
    assert len(found) > 9
    assert [label for label, beyond in found if beyond > 0] == []


@needs_browser
def test_a_link_into_something_folded_away_opens_it(folder):
    found = probe(
        folder / "report.html",
        """
        const figure = document.querySelector("main details figure");
        const before = figure.closest("details").open;
        location.hash = figure.id;
        await new Promise((done) => setTimeout(done, 200));
        return [before, figure.closest("details").open];
        """,
    )
    assert found == [False, True]


@needs_browser
def test_trials_are_paged_filtered_and_sorted(folder):
    found = probe(
        folder / "trials" / "mnist-small.html",
        """
        const count = () => document.getElementById("count").textContent;
        const column = (n) => [...document.querySelectorAll("#trials tbody tr")].map((r) => r.cells[n].textContent);
        const heads = [...document.querySelectorAll("#trials th button")];
        const value = heads.findIndex((head) => head.textContent === "validation");
        const first = count();
        document.getElementById("after").click(); const second = count();
        heads[value].click(); heads[value].click(); const best = column(value);
        const status = document.getElementById("status");
        status.value = "diverged"; status.dispatchEvent(new Event("change"));
        return {first, second, best, failed: count(), statuses: [...new Set(column(5))],
                missing: [...new Set(column(value))]};
        """,
    )
    own = small().trials.query("task == 'mnist/small'")
    assert found["first"] == f"Rows 1 to 100 of {len(own)}"
    assert found["second"].startswith("Rows 101 to ")
    shown = [float(value) for value in found["best"] if value != "–"]
    assert shown == sorted(shown, reverse=True)
    assert shown[0] == pytest.approx(own["value"].max(), rel=1e-5)
    assert found["statuses"] == ["diverged"]
    assert found["missing"] == ["–"]
    assert found["failed"] == f"Rows 1 to {(own['status'] != 'ok').sum()} of {(own['status'] != 'ok').sum()}"


@needs_browser
def test_hostile_names_run_nothing(hostile):
    for each in (hostile / "report.html", next((hostile / "trials").iterdir())):
        assert (
            probe(each, "return document.querySelectorAll('img[src=x], script:not([id]):not(:empty)').length")
            <= 2
        )
