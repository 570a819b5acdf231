"""The report page: complete, self-contained, escaped, the same bytes every time."""

import base64
import dataclasses
import hashlib
import itertools
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import pytest
import synthetic_sweeps

from analysis.errors import AnalysisError
from analysis.report import build, distinct_costs, evaluation_statuses, primary_cost
from analysis.steps import incumbents

ROOT = Path(__file__).parents[2]
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
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def small():
    return synthetic_sweeps.example(repetitions=5, count=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    assert build(small(), folder, costs=[]) == folder / "report.html"
    return folder


@pytest.fixture(scope="module")
def page(folder):
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def digests(folder):
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_it_needs_nothing_from_elsewhere_and_its_links_lead_to_files(folder, page):
    for image in page.all("img"):
        kind, data = image["src"].split(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data).startswith(b"\x89PNG")
        assert len(image["alt"]) > 40
    assert not page.all("script") + page.all("link") + page.all("iframe")
    identifiers = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    for link in page.all("a"):
        href = link["href"]
        assert href[1:] in identifiers if href.startswith("#") else (folder / href).exists(), href
    assert "http" not in (folder / "report.html").read_text().replace("</", "")
    endings = [Path(link["href"]).suffix for link in page.all("a") if link["href"].startswith("figures/c")]
    assert {ending: endings.count(ending) for ending in endings} == {
        ".pdf": 3,
        ".svg": 3,
        ".png": 3,
        ".csv": 3,
    }


def test_main_results_come_first(page):
    order = [page.text.index(words) for words in ("Mean rank over 3 tasks", "Best so far on branin/2d")]
    order += [page.text.index("Evaluations told, by status"), page.text.index("Code revision")]
    assert order == sorted(order)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_every_figure_has_a_caption_with_counts_and_gaps(page):
    assert len(page.all("figure")) == len(page.all("figcaption")) == len(page.all("img")) == 7
    for words in (
        "repetitions: random 5, optuna_tpe 4, skopt_gp 5, hyperband 5, 1 task",
        "Left out: skopt_gp, repetition 3 (missing).",
        "Left out: repetition 4 (optuna_tpe failed).",
        "rest on 3 tasks only",
        "Data subset: not comparable with published figures: fashion/small.",
        "Data subset: not comparable with published figures (fashion/small).",
    ):
        assert words in page.text


def test_gaps_failures_and_provenance_are_told(page):
    assert "58 of 60 planned studies finished" in page.text
    assert "2 of 60 planned studies are not finished and not used" in page.text
    assert "SearcherError: optuna_tpe proposed nothing" in page.text
    assert "4 of 5" in page.text
    assert "come from 2 different machines" in page.text
    for words in (
        "0123abc",
        "4 × Xeon",
        "cpu: 8 × EPYC, gpu: H100",
        "mnist/small: aa11",
        "optuna 5.0",
        "name: example",
    ):
        assert words in page.text


def test_final_results_are_shown_with_interval_and_costs(page, folder):
    final = pd.read_csv(folder / "tables" / "final_results.csv")
    for row in final.to_dict("records"):
        assert (
            f"{row['validation']:.5g} [{row['validation_low']:.5g}, {row['validation_high']:.5g}]"
            in page.text
        )
        assert f"{row['repetitions']} of {row['planned']}" in page.text
    best = final[final["task"] == "mnist/small"].iloc[0]
    assert best["validation"] == final.loc[final["task"] == "mnist/small", "validation"].max()
    assert f"{best['searcher']} on mnist/small (val_accuracy {best['validation']:.5g})" in page.text


def test_the_summary_ends_in_the_final_ranks(page, folder):
    ranks = pd.read_csv(folder / "figures" / "rank_all-tasks_spent_epochs.csv")
    final = ranks[ranks["measure"] == "validation"].groupby("searcher")["mean"].last().sort_values()
    first = f"at the end, over 3 tasks: {final.index[0]} {final.iloc[0]:.2f}, {final.index[1]}"
    assert first in page.text


def test_statuses_are_counted_by_method(tables):
    statuses = evaluation_statuses(tables)
    assert statuses[["ok", "diverged", "crashed", "timeout"]].sum().sum() == len(tables.trials)
    failed = tables.trials[tables.trials["status"] != "ok"]
    assert statuses["failed"].sum() == len(failed)
    row = statuses.set_index(["task", "searcher"]).loc[("mnist/small", "random")]
    mine = failed[(failed["task"] == "mnist/small") & (failed["searcher"] == "random")]
    assert row["failed"] == row["diverged"] == len(mine) > 0


def build_differently(folder):
    """The same report from rows in another order, under other settings of matplotlib."""
    tables = small()
    shuffled = dataclasses.replace(
        tables,
        trials=tables.trials.sample(frac=1, random_state=1),
        studies=tables.studies.sample(frac=1, random_state=2),
        tasks=tables.tasks.iloc[::-1],
    )
    settings = {"font.size": 30, "axes.facecolor": "black", "svg.hashsalt": None, "savefig.dpi": 30}
    with mpl.rc_context(settings):
        build(shuffled, folder, costs=[])


def test_another_process_gives_the_same_bytes_and_loads_no_training_library(folder, tmp_path):
    code = (
        "import sys; sys.path[:0] = sys.argv[1:3]; from pathlib import Path; import test_report;"
        "test_report.build_differently(Path(sys.argv[3]));"
        "heavy = {'tensorflow', 'keras', 'ray', 'torch', 'optuna', 'tasks', 'searchers', 'matplotlib.pyplot'};"
        "loaded = heavy & set(sys.modules);"
        "sys.exit(f'loaded: {loaded}' if loaded else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT), str(Path(__file__).parent), str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo"},
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert digests(tmp_path) == digests(folder)
    assert len(digests(folder)) == 1 + 2 + 7 * 4  # the page, two tables, seven figures


def test_hostile_names_are_shown_and_not_obeyed(rows, make, tmp_path):
    evil = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'{{ 7 * 7 }}"
    told = rows(evil, evil, 0, [0.2, 0.1]) + rows(evil, "b", 0, [0.3])
    other = {"task": evil, "searcher": "b", "repetition": 1, "state": "failed", "reason": evil}
    provenance = {
        "sweep": evil,
        "revision": evil,
        "machines": [evil],
        "versions": {evil: evil},
        "data": {evil: evil},
    }
    tables = make(
        told, {evil: {"source": evil, "metric": evil}}, name=evil, others=[other], provenance=provenance
    )
    path = build(tables, tmp_path, costs=[])
    page = Page(path.read_text(encoding="utf-8"))
    assert not page.all("script")
    assert all(
        image["src"].startswith("data:image/png;base64,") and "onerror" not in image
        for image in page.all("img")
    )
    assert page.text.count("<script>alert(1)</script>") > 10
    assert "49" not in page.text.replace("149", "")
    assert {path.parent.name for path in tmp_path.rglob("*.png")} == {"figures"}


def test_nothing_told_is_a_message(make, tmp_path):
    other = {"task": "t", "searcher": "a", "repetition": 0, "state": "missing", "reason": ""}
    with pytest.raises(AnalysisError, match="no evaluation"):
        build(make([], {"t": {}}, others=[other]), tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_without_a_finished_study_it_still_says_what_is_missing(rows, make, tmp_path):
    tables = make(rows("t", "a", 0, [0.2, None]), {"t": {}}, states={"t|a|0": ("running", "")})
    page = Page(build(tables, tmp_path).read_text(encoding="utf-8"))
    assert "0 of 1 planned studies finished, 2 evaluations told, 1 of them failed" in page.text
    assert "No study is finished yet" in page.text
    assert "running" in page.text
    assert not page.all("img")


def test_one_method_alone_has_curves_and_no_ranks(rows, make, tmp_path):
    tables = make(rows("t", "a", 0, [0.2, 0.1]), {"t": {}})
    page = Page(build(tables, tmp_path, costs=[]).read_text(encoding="utf-8"))
    assert len(page.all("img")) == 1
    assert "No ranking over tasks" in page.text
    assert "Every planned study is finished." in page.text


def test_the_main_cost_is_that_of_the_budgets(tables):
    assert primary_cost(tables, ["branin/2d"]) == "evaluations"
    assert primary_cost(tables, ["mnist/small"]) == "spent_epochs"
    assert primary_cost(tables, ["branin/2d", "mnist/small"]) == "spent_epochs"


def test_costs_that_repeat_another_are_not_drawn_twice(tables):
    every = ["spent_epochs", "evaluations", "train_seconds"]
    best = incumbents(tables)
    branin = best[best["task"] == "branin/2d"]
    assert distinct_costs(best, every) == every
    assert distinct_costs(branin, every) == ["spent_epochs", "train_seconds"]
    assert distinct_costs(branin.assign(train_seconds=0.0), every) == ["spent_epochs"]
