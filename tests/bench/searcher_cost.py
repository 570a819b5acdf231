"""What a proposal costs: CPU milliseconds of ask and tell of each method installed, after histories of several lengths.

Run it with ``make bench-searchers``, or ``python tests/bench/searcher_cost.py --only flaml_cfo,ax_botorch``. A history
is random configurations with the losses of a smooth function, told as recorded trials where a method can be told such,
and else a search of its own. Then five proposals are asked and told in turn, and their median is what is printed. It
is CPU time of the process, of all its threads, which others on the machine slow down less than they do a clock.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from pydantic import ValidationError

from harness import registry
from harness.errors import DerbyError, IncompatibleError, MissingLibraryError
from harness.searcher import Searcher
from harness.space import Choice, Float, Int, Space
from harness.trial import Budget, Fidelity, Objective, Problem, Proposal
from searchers.conformance import evaluated, one_thread

SPACES = {
    "five real": Space({f"x{i}": Float(0.0, 1.0) for i in range(5)}),
    "mixed": Space(
        {
            "rate": Float(1e-5, 1e-1, log=True),
            "units": Int(4, 512, log=True),
            "layers": Int(1, 5),
            "optimizer": Choice(("sgd", "adam", "rmsprop")),
            "nesterov": Choice((True, False)),
        }
    ),
}
MEASURED = 5
REASONS: dict[type[Exception], str] = {
    IncompatibleError: "refused",
    MissingLibraryError: "not installed",
    ValidationError: "needs settings",
    EOFError: "ended",
}


class OutOfTimeError(Exception):
    """A method took longer than it may."""


def problem(kind: type[Searcher], space: Space) -> Problem:
    return Problem(
        space, Fidelity(1, 9 if kind.multi_fidelity else 1), Objective("error", "min", failure=50.0)
    )


def told(searcher: Searcher, length: int, check: Callable[[], None]) -> None:
    """Give a searcher a history of so many evaluations."""
    fidelity, rng = searcher.problem.fidelity, np.random.default_rng(0)
    for trial in range(length):
        check()
        if type(searcher).takes():
            config = searcher.problem.space.from_unit(rng.random(len(searcher.problem.space)).tolist())
            proposal = Proposal(trial, config, fidelity.high)
            searcher.take(proposal, evaluated(searcher, proposal))
        else:
            once(searcher)


def once(searcher: Searcher) -> float:
    """Ask and tell; return the CPU milliseconds of both."""
    began = time.process_time()
    proposal = searcher.ask()
    asked = time.process_time()
    if proposal is None:
        raise EOFError
    evaluation = evaluated(searcher, proposal)
    again = time.process_time()
    searcher.tell(proposal, evaluation)
    return 1e3 * (asked - began + time.process_time() - again)


def measure(kind: type[Searcher], space: Space, length: int, limit: float) -> str:
    """Return the median as text, or why there is none."""
    ends = time.process_time() + limit

    def check() -> None:
        if time.process_time() > ends:
            raise OutOfTimeError

    budget = Budget("evaluations", length + MEASURED + 20)
    try:
        searcher = kind(problem(kind, space), seed=1, budget=budget)
        told(searcher, length, check)
        taken = []
        for _ in range(MEASURED):
            check()
            taken.append(once(searcher))
    except OutOfTimeError:
        return f"over {limit:g} s"
    except EOFError:
        return "ended"
    return f"{statistics.median(taken):.3g}"


def columns(kind: type[Searcher], lengths: list[int], limit: float) -> list[str]:
    """Return a method's cells, by space and length."""
    cells = []
    for space in SPACES.values():
        try:
            kind.require_libraries()
            warm = kind(problem(kind, space), seed=2, budget=Budget("evaluations", 30))
            once(warm)  # imports, and what else is done once in a process
        except (DerbyError, ValidationError, EOFError) as error:
            cells += [REASONS.get(type(error), type(error).__name__)] * len(lengths)
            continue
        for length in lengths:
            slow = bool(cells) and cells[-1].startswith("over") and length != lengths[0]
            cells.append(cells[-1] if slow else measure(kind, space, length, limit))
    return cells


def line(cells: list[Any]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU milliseconds of ask and tell of each search method.")
    parser.add_argument(
        "--only", default="", help="methods, separated by commas; all that are installed otherwise"
    )
    parser.add_argument("--history", default="10,60,200", help="how many evaluations are told before")
    parser.add_argument("--limit", type=float, default=120.0, help="CPU seconds for each number")
    arguments = parser.parse_args()
    lengths = [int(length) for length in arguments.history.split(",")]
    chosen = arguments.only.split(",") if arguments.only else sorted(registry.searchers())
    print(line(["searcher", *(f"{space}, {length}" for space in SPACES for length in lengths)]))
    print(line(["---"] + ["---:"] * (len(SPACES) * len(lengths))))
    with one_thread():
        for name in chosen:
            print(line([f"`{name}`", *columns(registry.searcher(name), lengths, arguments.limit)]))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
