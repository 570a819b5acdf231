"""What another processor computed, to the last bit: proposals of every method, and trainings.

The numbers are of an AMD EPYC with AVX2 and without AVX-512 (family 25), Debian 12, the locked versions, one thread.
They must come out the same on every x86-64 processor that has AVX2. Whoever changes the numbers of a training on
purpose, or a version in the lock file that changes proposals, runs `python tests/portability/test_fixtures.py` to
write them anew, and says on what.
"""

import csv
import platform
import sys
import tempfile
from pathlib import Path

import pytest
import yaml

HERE = Path(__file__).parent
SWEEPS = ("proposals", "proposals_mixed", "trainings")
ENDLESS = {("mixed", "kerastuner_bayes")}
"""Takes half a minute for each repetition; its kernels are those of `branin`."""

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="numbers of x86-64 processors, which have a level of their own"
)


def rows_of(name):
    with (HERE / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


SLOW = {"gpyopt_gp", "kerastuner_bayes", "skopt_gp", "skopt_forest", "skopt_gbrt"}
FIRST = 16
"""How many proposals of the slow methods are compared: five and more are a model's, each of which rests on the last."""


def swept(name, *, repetitions=None, steps=None, without=()):
    """Run a sweep without some searchers, or the first steps of its studies, and return its tables."""
    from rich.console import Console

    from harness.launch import Placement, launch
    from harness.sweep import parse_sweep
    from results.tables import read_tables

    spec = yaml.safe_load((HERE / f"{name}.yaml").read_text())
    spec["repetitions"] = repetitions or spec["repetitions"]
    spec["budget"] = {"evaluations": steps} if steps else spec["budget"]
    spec["searchers"] = [searcher for searcher in spec["searchers"] if searcher not in without]
    with tempfile.TemporaryDirectory() as folder:
        sweep = parse_sweep(yaml.safe_dump(spec), name)
        progress = launch(sweep, Path(folder), Placement(), Console(file=sys.stderr))
        assert progress.failed == {}
        tables = read_tables(Path(folder), sweep.name)
        return tables.trials, tables.epochs


def proposals(name, **chosen):
    trials, _ = swept(name, **chosen)
    columns = ["task", "searcher", "repetition", "step", "config", "value"]
    return [
        {k: v if isinstance(v, str) else repr(v) for k, v in row.items()}
        for row in trials[columns].to_dict("records")
    ]


def trainings():
    trials, epochs = swept("trainings")
    told = trials.set_index(["study", "step"])
    found = []
    for row in epochs.to_dict("records"):
        trial = told.loc[(row["study"], row["step"])]
        metrics = {k: repr(v) for k, v in row.items() if k not in ("study", "step", "epoch", "seconds")}
        about = {"task": trial["task"], "step": str(row["step"]), "config": trial["config"]}
        found.append({**about, "epoch": str(row["epoch"]), **metrics})
    return found


def different(recorded, computed, keys):
    """Return where two lists of rows differ, with both rows."""
    found = {tuple(row[key] for key in keys): row for row in computed}
    return [
        (row, found.get(tuple(row[key] for key in keys)))
        for row in recorded
        if found.get(tuple(row[key] for key in keys)) != row
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["proposals", "proposals_mixed"])
def test_proposals(name):
    spec = yaml.safe_load((HERE / f"{name}.yaml").read_text())
    (task,), endless = spec["tasks"], {searcher for where, searcher in ENDLESS if where in spec["tasks"]}
    recorded = [
        row
        for row in rows_of("proposals")
        if row["task"] == task
        and row["repetition"] == "0"
        and row["searcher"] not in endless
        and (row["searcher"] not in SLOW or int(row["step"]) <= FIRST)
    ]
    computed = proposals(name, repetitions=1, without=SLOW | endless)
    quick = {searcher for searcher in spec["searchers"] if searcher not in SLOW}
    computed += proposals(name, repetitions=1, steps=FIRST, without=quick | endless)
    assert len(recorded) == len(computed) > 0
    assert different(recorded, computed, ("task", "searcher", "step")) == []


@pytest.mark.slow
def test_trainings():
    recorded = rows_of("trainings")
    assert different(recorded, trainings(), ("task", "step", "epoch")) == []


def write():
    """Write the fixtures anew, from what this machine computes."""
    for name, rows in {
        "proposals": proposals("proposals") + proposals("proposals_mixed"),
        "trainings": trainings(),
    }.items():
        with (HERE / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    from harness.arithmetic import declare

    declare()
    write()
