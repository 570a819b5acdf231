"""The columns of the tidy tables, each with its type and meaning: what `results.tables` makes and exports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a tidy table.

    Args:
        dtype: Its pandas type; ``object`` holds str or ``None``.
        meaning: What it holds: unit, range, and when it is empty.
    """

    dtype: str
    meaning: str


TRIALS: Mapping[str, Column] = MappingProxyType(
    {
        "task": Column("str", "task label, such as `mnist_mlp/small`"),
        "searcher": Column("str", "searcher label as in the sweep file"),
        "repetition": Column("int64", "0-based repetition"),
        "study": Column("str", "study id, 16 hex digits"),
        "step": Column("int64", "1-based order in which it was told, within the study"),
        "trial": Column("int64", "0-based trial number; repeated where a trial was continued"),
        "config": Column(
            "str",
            "the configuration as JSON, parameters in the order of the task's space: equal ones have equal texts",
        ),
        "epochs": Column("int64", "epochs of the evaluation, counted from the first"),
        "status": Column("str", "`ok`, `diverged`, `crashed` or `timeout`"),
        "value": Column("float64", "the objective's metric; NaN when it failed"),
        "test": Column("float64", "the test companion; NaN when it failed or the task has none"),
        "loss": Column("float64", "what the searcher was told, minimised; finite"),
        "evaluations": Column("int64", "cumulative cost: evaluations told so far, this one included"),
        "spent_epochs": Column("int64", "cumulative cost: epochs charged so far"),
        "spent_cost": Column(
            "float64",
            "cumulative cost: epochs charged so far, each at the task's own deterministic cost, in its cost unit",
        ),
        "train_seconds": Column(
            "float64", "cumulative cost: seconds of the charged epochs as first measured"
        ),
        "total_seconds": Column(
            "float64",
            "cumulative cost: `train_seconds` plus the seconds of every ask and tell before the evaluation was told: "
            "a study's whole is its last `train_seconds` plus the sums of `ask_seconds` and `tell_seconds`",
        ),
        "virtual_time": Column("float64", "virtual finishing time, in the task's cost unit"),
        "machine": Column("str", "id of the machine it was trained on"),
        "seconds": Column("float64", "training seconds charged for this evaluation alone, as first measured"),
        "ask_seconds": Column("float64", "seconds the searcher took to propose it"),
        "tell_seconds": Column("float64", "seconds the searcher took to be told of it"),
        "virtual_start": Column("float64", "virtual time at which a worker took it"),
        "evaluation": Column("str", "evaluation id, 16 hex digits; equal where studies share an evaluation"),
    }
)
"""One row per evaluation told to a searcher, in the order told within each study."""

EPOCHS: Mapping[str, Column] = MappingProxyType(
    {
        "study": Column("str", "study id, as in trials"),
        "step": Column("int64", "step within the study, as in trials"),
        "epoch": Column("int64", "1-based epoch"),
    }
)
"""One row per epoch of every trials row; beside these a float64 column per metric of the curves, NaN where a
task does not have it, among them ``seconds``, the epoch's own wall time."""

STUDIES: Mapping[str, Column] = MappingProxyType(
    {
        "task": Column("str", "task label"),
        "searcher": Column("str", "searcher label"),
        "repetition": Column("int64", "0-based repetition"),
        "study": Column("str", "study id"),
        "state": Column("str", "`done`, `running` (begun and not ended), `failed` or `missing`"),
        "reason": Column("str", "why it failed, or how it ended; empty before"),
        "evaluations": Column("int64", "evaluations told so far"),
        "spent": Column("float64", "what of its budget is spent so far, in the budget's unit"),
        "followed": Column(
            "int64",
            "how many of these the searcher was told from the record, because what it proposed when the study went "
            "on departed from that; 0 where it proposed all itself",
        ),
        "method": Column("str", "registered name of the searcher behind the label; empty when missing"),
        "workers": Column("int64", "virtual workers of the study; 0 when missing"),
        "protocol": Column(
            "str",
            "what else decides the study, as JSON: task with version and options, budget, workers, deadline, root "
            "seed, and the searcher's settings; empty when missing",
        ),
        "split": Column(
            "int64",
            "seed by which its repetition drew the training/validation split; -1 where that is the task's own, or "
            "when missing",
        ),
    }
)
"""One row per planned study, in the order planned."""

TASKS: Mapping[str, Column] = MappingProxyType(
    {
        "name": Column("str", "registered name of the task"),
        "source": Column("str", "where the task comes from"),
        "metric": Column("str", "the objective's metric"),
        "test_metric": Column("object", "its test companion; `None` where the task has no test set"),
        "direction": Column("str", "`min` or `max`"),
        "failure": Column("float64", "metric value that a failed evaluation is told as"),
        "full_epochs": Column("int64", "epochs of full fidelity"),
        "budget_unit": Column("str", "`evaluations`, `epochs` or `cost`"),
        "budget_amount": Column("float64", "what each study may spend, in that unit"),
        "budget_full_cost": Column(
            "float64",
            "of a budget of cost, what an evaluation at full fidelity costs on average over the task's space; else 0",
        ),
        "cost_unit": Column(
            "str", "the task's own unit of cost, such as `FLOPs`; `s`: the seconds on record"
        ),
        "subset": Column(
            "bool", "whether its numbers were made on a data subset: never compare with published ones"
        ),
        "data": Column("str", "digest that names what it trains on; see `Task.data_identity`"),
        "regret_best": Column("float64", "metric value where regret is 0; NaN where the task declares none"),
        "regret_reference": Column("float64", "metric value where regret is 1; NaN where it declares none"),
        "splits": Column(
            "str", "`fixed`: its own training/validation split; `repetition`: each repetition drew one"
        ),
        "group": Column("str", "kind of task, such as `image` or `function`; empty where it declares none"),
        "replayed": Column("str", "what recorded trainings it replays; empty where it trains or computes"),
    }
)
"""One row per task, indexed by its label (``task``)."""

REEVALUATIONS: Mapping[str, Column] = MappingProxyType(
    {
        "task": Column("str", "task label"),
        "searcher": Column("str", "searcher label"),
        "repetition": Column("int64", "0-based repetition"),
        "study": Column("str", "study id, as in trials"),
        "number": Column("int64", "1-based number of the fresh training seed"),
        "step": Column("int64", "step in trials of the winner: the study's final incumbent by validation"),
        "epochs": Column("int64", "epochs that the winner reached, and the re-evaluation was to reach"),
        "evaluation": Column("str", "evaluation id; equal where methods ended in the same configuration"),
        "seed": Column("int64", "the training seed, which no search of the repetition has seen"),
        "status": Column("str", "`ok`, `diverged`, `crashed` or `timeout`; `missing` until it is on record"),
        "value": Column("float64", "the objective's metric; NaN when it failed or is missing"),
        "test": Column("float64", "the test companion; NaN as above, or where the task has none"),
        "seconds": Column("float64", "training seconds, charged to nobody; NaN while it is missing"),
        "machine": Column("str", "id of the machine it was trained on; empty while it is missing"),
        "incumbent_value": Column("float64", "the winner's value in the search, by which it was selected"),
        "incumbent_test": Column("float64", "its test companion there; NaN where the task has none"),
    }
)
"""One row per fresh seed of each finished study's winner, where the sweep re-evaluates and anything succeeded."""

BASELINES: Mapping[str, Column] = MappingProxyType(
    {
        "task": Column("str", "task label"),
        "baseline": Column(
            "str",
            "its name: `random_2x` and the like, `references` (the best of them by validation), `reference NAME` (one "
            "of them), `best`, `median`",
        ),
        "repetition": Column("int64", "0-based repetition; -1 where it is known and the same for all"),
        "study": Column(
            "str", "id of the study that gives it, as in `baseline_trials`; empty where it is known"
        ),
        "state": Column("str", "state of that study, as in studies; `known` where it needs none"),
        "reason": Column("str", "why that study failed, or how it ended"),
        "multiple": Column(
            "int64", "of random search: at how many times the task's budget its incumbent is read; else 0"
        ),
        "trial": Column("int64", "of one reference: number of its trial in that study; else -1"),
        "value": Column(
            "float64", "the objective's metric where it is known; else NaN, for the trials have it"
        ),
        "test": Column("float64", "its test companion where that is known; else NaN"),
        "about": Column("str", "what it is, in words"),
    }
)
"""One row per baseline, task and repetition, of what the sweep file lists as ``baselines``."""

CONFIRMED: Mapping[str, Column] = MappingProxyType(
    {
        "task": Column("str", "label of a task that replays a recording"),
        "searcher": Column("str", "searcher label, of the methods that lead on it"),
        "repetition": Column("int64", "0-based repetition"),
        "config": Column("str", "its winner, the final incumbent by validation, as JSON"),
        "epochs": Column("int64", "epochs that it was found with, and trained for"),
        "found": Column("float64", "its loss in the race"),
        "promised": Column("float64", "its loss as the replay gives it, free of its noise"),
        "trained": Column("float64", "its mean loss over fresh seeds of real trainings"),
        "trainings": Column("int64", "how many these are"),
    }
)
"""One row per winner that `derby confirm` trained for real; losses are minimised."""

OPTIONAL: frozenset[str] = frozenset({"baselines", "baseline_trials", "confirmed"})
"""Tables that exported sweeps may lack: those of before there were baselines, and without confirmed winners."""

TABLES: Mapping[str, Mapping[str, Column]] = MappingProxyType(
    {
        "trials": TRIALS,
        "epochs": EPOCHS,
        "studies": STUDIES,
        "tasks": TASKS,
        "reevaluations": REEVALUATIONS,
        "baselines": BASELINES,
        "baseline_trials": TRIALS,
        "confirmed": CONFIRMED,
    }
)


def as_markdown() -> str:
    """Return the columns of all tables as Markdown, one table each."""
    parts = []
    for name, columns in TABLES.items():
        rows = [f"| `{column}` | {about.dtype} | {about.meaning} |" for column, about in columns.items()]
        parts.append(
            "\n".join([f"### {name}", "", "| column | type | meaning |", "| --- | --- | --- |", *rows])
        )
    return "\n\n".join(parts) + "\n"
