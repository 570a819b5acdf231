"""Trying a searcher out: what is wrong with one is found, and a sound one is told so."""

from __future__ import annotations

import textwrap

import pytest
from command import derby

from harness import registry
from harness.tryout_search import SPACES, try_searcher

SOUND = """\
import random

import numpy as np
from derby import Searcher, Suggestion

SEEN = []


class Mine(Searcher):
    \"\"\"Draw anywhere, then move towards the best.\"\"\"

    parallel = True
    conditional = True

    def _start(self):
        self._random = np.random.default_rng(self.seed)
        self._best = None

    def _ask(self):
        point = self._random.random(len(self.problem.space))
        if self._best is not None:
            point += 0.5 * (self._best[1] - point)
        return Suggestion(self.problem.space.from_unit(point))

    def _tell(self, suggestion, loss):
        if self._best is None or loss < self._best[0]:
            self._best = (loss, self.problem.space.to_unit(suggestion.config))
"""


def tried(tmp_path, old="", new="", steps=10):
    assert old in SOUND
    path = tmp_path / "mine.py"
    path.write_text(SOUND.replace(old, new) if old else SOUND)
    return try_searcher(registry.named_searcher(f"{path}:Mine"), {}, steps=steps)


def test_a_sound_one_is_said_to_be_so(tmp_path):
    done = tried(tmp_path)
    assert [check.what for check in done.checks if check.good is not True] == []
    assert len(done.checks) == 8
    assert [search.space for search in done.searches] == list(SPACES)
    assert all(search.evaluations == 10 and 0 <= search.best < 1 for search in done.searches)
    assert all(0 < search.ask_seconds <= search.slowest for search in done.searches)


@pytest.mark.parametrize(
    ("old", "new", "what", "words"),
    [
        ("        point = self._random.random(", "        random.random()\n        point = self._random.random(",
         "global random state stays as it is", "draw from a generator of your own"),
        ("np.random.default_rng(self.seed)", "np.random.default_rng()",
         "the same seed proposes the same", "proposal 1 is {"),
        ("np.random.default_rng(self.seed)", "np.random.default_rng(abs(hash('a')))",
         "so does another process", "proposal 1 is {"),
        ("return Suggestion(self.problem.space.from_unit(point))", "return Suggestion({'no': 1})",
         "it searches", "it proposed {'no': 1}"),
        ("    def _tell(self, suggestion, loss):\n",
         "    def _tell(self, suggestion, loss):\n        if loss >= 10:\n            raise ArithmeticError('lost')\n",
         "it goes on where evaluations fail", "ArithmeticError: lost"),
        ("    def _ask(self):\n", "    def _ask(self):\n        return None\n",
         "what it proposes is in the space", "nothing is proposed of two real, mixed, conditional, of four"),
        ("    def _ask(self):\n", "    learns = False\n\n    def _ask(self):\n",
         "nothing that it is told changes what it proposes", "declare learns = True"),
        ("    def _ask(self):\n", "    seeded = False\n\n    def _ask(self):\n",
         "no seed changes what it proposes", "declare seeded = True"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_found(tmp_path, old, new, what, words):
    done = tried(tmp_path, old, new)
    assert not done.good
    wrong = {check.what: check.words for check in done.checks if check.good is False}
    assert words in wrong[what]


def test_a_library_may_draw_while_it_is_loaded(tmp_path):
    loads = "    def _start(self):\n        if not SEEN:\n            SEEN.append(random.random())\n"
    assert tried(tmp_path, "    def _start(self):\n", loads).good


@pytest.mark.parametrize("draw", ["random.random()", "random.seed(self.seed)", "np.random.seed(self.seed)"])
def test_a_method_may_not(tmp_path, draw):
    done = tried(tmp_path, "    def _start(self):\n", f"    def _start(self):\n        {draw}\n")
    assert not done.good
    assert done.checks[-1].what == "global random state stays as it is"


def test_where_it_fails_is_said(tmp_path):
    done = tried(tmp_path, "        self._best = None\n", "        self._best = 1 / 0\n")
    (only,) = [check for check in done.checks if check.good is False]
    assert only.words.startswith(f"{tmp_path / 'mine.py'}, line ")
    assert "ZeroDivisionError: division by zero" in only.words


def test_the_command_tries_a_searcher_as_it_does_a_task(tmp_path):
    (tmp_path / "mine.py").write_text(SOUND)
    done = derby("try", "mine.py:Mine", "--evaluations", "6", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "two real" in done.stdout
    assert "yes  the same seed proposes the same" in done.stdout
    (tmp_path / "bad.py").write_text(SOUND.replace("(self.seed)", "()"))
    assert derby("try", "bad.py:Mine", cwd=tmp_path).returncode == 1
    (tmp_path / "bad.py").write_text(SOUND.replace("self._best = None", "return 1 / 0"))
    bad = derby("try", "bad.py:Mine", cwd=tmp_path)
    assert "NO  it searches: " in bad.stdout
    assert "best loss" not in bad.stdout  # no heading over nothing
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.py", "mine.py"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "skopt_gpp",
            "no task or searcher is called 'skopt_gpp'; did you mean 'skopt_gp'? valid: ax_botorch, branin, ",
        ),
        ("brann/small", "no task or searcher is called 'brann/small'; did you mean 'branin'?"),
        ("/etc/passwd", "no task or searcher is called '/etc/passwd'; valid: ax_botorch, branin, "),
        ("mine.py", "expected a task or searcher in the file after a colon, as in mine.py:NAME"),
        ("mine.py:mine", "mine.py has no task or searcher called 'mine'; did you mean 'Mine'?"),
        ("none.py:Mine", "cannot read none.py: there is no such file or folder"),
    ],
)
def test_a_name_that_nothing_has_is_told_what_there_is(tmp_path, name, words):
    (tmp_path / "mine.py").write_text(SOUND)
    done = derby("try", name, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr


def test_settings_are_checked_and_taken():
    wrong = derby("try", "grid", "--option", "resolution=-1")
    assert wrong.returncode == 2
    assert "does not take these settings: resolution: input should be " in wrong.stderr
    assert (
        "there is no 'resoluton'; did you mean 'resolution'?"
        in derby("try", "grid", "--option", "resoluton=3").stderr
    )
    for command in ("try", "profile"):
        wrong = derby(command, "mnist_mlp", "--option", "varian=tiny")
        assert wrong.returncode == 2
        assert (
            "task 'mnist_mlp' does not take these options: there is no 'varian'; did you mean 'variant'? valid: "
            in (wrong.stderr)
        )
    right = derby("try", "grid", "--option", "resolution=2", "--evaluations", "5")
    assert right.returncode == 0, right.stdout


def test_a_space_that_a_method_cannot_search_is_left_out_with_the_reason():
    done = derby("try", "optuna_cmaes", "--evaluations", "5")
    assert done.returncode == 0, done.stdout
    assert "not searched: " in done.stdout
    assert textwrap.shorten(done.stdout, 10_000).count("two real 5 ") == 1
