"""The commands that run experiments: a sweep's plan, run and state, and a source report's reproduction."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import typer

from harness.arithmetic import declare, declared_in
from harness.commands.codes import DONE, SOME_FAILED
from harness.commands.launching import report_end, while_running
from harness.commands.options import (
    DEFAULT_PUBLISHED,
    DEFAULT_RESULTS,
    Address,
    DataFolder,
    Evaluators,
    ExecutorName,
    Executors,
    Extend,
    GpuShare,
    JobEvaluators,
    MemoryShare,
    Mismatch,
    MismatchName,
    Nodes,
    Published,
    Results,
    SweepFile,
    SweepName,
    SyncTo,
    Walltime,
    placement_of,
    sweep_name,
    use_data,
)
from harness.commands.terminal import new_console, say, table
from harness.errors import SweepError
from harness.plurals import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from harness.sweep import Sweep
    from results.summary import Cost


def plan(
    sweep: SweepFile,
    results: Results = DEFAULT_RESULTS,
    data: DataFolder = None,
    walltime: Walltime = None,
    evaluators: JobEvaluators = None,
    extend: Extend = None,
    published: Published = DEFAULT_PUBLISHED,
) -> None:
    """Check a sweep and show what running it would take."""
    from harness.baseline_searches import described
    from harness.display import of, took
    from harness.plan import left_out_words
    from harness.sweep import load_sweep
    from harness.walltime import parse_limit
    from results.summary import expected_cost

    limit = None if walltime is None else parse_limit(walltime)
    if limit is None and evaluators is not None:
        raise SweepError("--evaluators needs --walltime: it says how many evaluators such a job has")
    use_data(data)
    checked = _left_to_run(load_sweep(sweep), extend, published)
    console = new_console()
    rows, total, again = [], 0, 0
    costs = expected_cost(results, checked.as_plan())
    for label, cost in costs.items():
        seconds = cost.seconds
        total += cost.evaluations
        again += cost.reevaluations
        rows.append(
            (
                label,
                f"{cost.studies_done}/{cost.studies}",
                of(cost.evaluations_told, cost.evaluations),
                *([f"{cost.reevaluated}/{cost.reevaluations}"] if checked.spec.reevaluate else []),
                str(cost.epochs),
                "unknown" if seconds is None else f"at most {took(seconds)}",
            )
        )
    header = ["task", "studies done", "evaluations done", "epochs in all", "training left, one evaluator"]
    if checked.spec.reevaluate:
        header.insert(3, "re-evaluations done")
    table(header, rows)
    if any(cost.seconds is None for cost in costs.values()):
        say("unknown: nothing of such a task is recorded yet in " + str(results))
    beside = (
        f", and {plural(len(checked.baselines), 'study of baselines', 'studies of baselines')}"
        if checked.baselines
        else ""
    )
    absent = len(checked.left_out)
    less = f", less {plural(absent, 'pair')} that cannot be searched," if absent else ""
    console.print(
        f"\n{plural(len(checked.every_study), 'study')}, {plural(total, 'evaluation')}; "
        f"{plural(len(checked.tasks), 'task')} × {plural(len(checked.spec.searchers), 'searcher')}{less} × "
        f"{plural(checked.spec.repetitions, 'repetition')}{beside}. Equal "
        "evaluations are trained once, so less may be trained.",
        highlight=False,
    )
    for words in left_out_words(checked.left_out, list(checked.tasks)):
        say(f"left out, because it cannot be searched: {words}", style="yellow")
    for line in described(checked):
        say(line)
    if checked.compare is not None:
        stated = checked.compare
        pairs = "; ".join(f"{one} with {other}" for one, other in stated.pairs)
        if stated.method is not None and len(stated.pairs) == len(checked.spec.searchers) - 1 > 4:
            pairs = f"{stated.method} with each of the other {len(stated.pairs)} methods"
        at = (
            ""
            if stated.at == (1.0,)
            else f" after {', '.join(f'{part:.4g}' for part in stated.at)} of the budget"
        )
        say(f"To be compared: {pairs}; by {stated.measure} values{at}, at the level {stated.level:g}.")
    if checked.spec.splits == "repetition":
        say(
            "Each repetition draws its own training/validation split, the same for all searchers; test sets stay."
        )
    if checked.spec.reevaluate:
        say(
            f"Then the winner of each study is trained again with {plural(checked.spec.reevaluate, 'fresh seed')}, "
            f"charged to nobody: {plural(again, 're-evaluation')}."
        )
    if limit is not None:
        say(_in_jobs(checked, costs, limit, evaluators or 1))


def _in_jobs(sweep: Sweep, costs: Mapping[str, Cost], limit: float, evaluators: int) -> str:
    """Say how many jobs of a batch system the rest of a sweep takes."""
    from harness.display import duration
    from harness.walltime import Left, jobs

    left = [
        Left(
            task=label,
            studies=cost.studies - cost.studies_done,
            seconds=cost.seconds,
            longest=cost.longest,
            evaluation=None if cost.pace is None else cost.pace * sweep.tasks[label].fidelity.high,
        )
        for label, cost in costs.items()
    ]
    found = jobs(left, workers=sweep.spec.workers, evaluators=evaluators, walltime=limit)
    of_jobs = f"jobs of {duration(limit)} with {plural(evaluators, 'evaluator')}"
    if found.too_long:
        those = "; ".join(f"{task}, {duration(seconds)}" for task, seconds in found.too_long)
        return f"Not to be had in {of_jobs}: one evaluation takes longer than a job can train ({those})."
    if found.number is None or found.seconds is None:
        return (
            f"How many {of_jobs}: unknown, nothing is recorded yet of {', '.join(found.unknown)}; ask again when "
            "the first evaluations are recorded."
        )
    if not found.number:
        return f"How many {of_jobs}: none; nothing is left to train."
    said = (
        f"Fits into about {found.number} {of_jobs if found.number > 1 else of_jobs.replace('jobs', 'job', 1)}: at most "
        f"{duration(found.seconds)} of training, at the recorded pace; up to five minutes of each "
        "job go to its start and its end, and what is in flight at its end is trained again."
    )
    if found.useful is not None:
        said += f" No more than {plural(found.useful, 'evaluator finds', 'evaluators find')} work at once."
    return said


def run(
    sweep: SweepFile,
    executor: Executors = ExecutorName.serial,
    results: Results = DEFAULT_RESULTS,
    data: DataFolder = None,
    address: Address = None,
    evaluators: Evaluators = "auto",
    gpus_per_evaluator: GpuShare = 0.0,
    memory_per_evaluator: MemoryShare = None,
    nodes: Nodes = None,
    sync_to: SyncTo = None,
    on_mismatch: Mismatch = MismatchName.fail,
    extend: Extend = None,
    published: Published = DEFAULT_PUBLISHED,
) -> None:
    """Run a sweep, or go on with it: what is recorded is never done twice."""
    declare(declared_in(sweep))  # before anything loads numpy
    from harness.launch import launch
    from harness.sweep import load_sweep

    use_data(data)
    checked = _left_to_run(load_sweep(sweep), extend, published)
    placement = placement_of(
        executor, address, evaluators, gpus_per_evaluator, memory_per_evaluator, sync_to, nodes
    )
    with while_running():
        progress = launch(checked, results, placement, new_console(), on_mismatch=on_mismatch.value)
        report_end(checked, progress, results)
    raise typer.Exit(DONE if progress.ended_well else SOME_FAILED)


def _left_to_run(sweep: Sweep, extend: str | None, published: Path) -> Sweep:
    """Return a sweep without the studies that are published by a name, where one is given."""
    if extend is None:
        return sweep
    from harness.extending import rest_of

    rest = rest_of(sweep, published, extend)
    there = len(sweep.studies) - len(rest.studies)
    say(f"extends {extend}: {plural(there, 'study')} published, {len(rest.studies)} left to run")
    return rest


def status(sweep: SweepName, results: Results = DEFAULT_RESULTS) -> None:
    """Show how far a sweep is; works while it runs, from another terminal."""
    from harness.display import SILENT_SECONDS, details, duration, headline
    from harness.errors import by_gist
    from harness.plan import left_out_words
    from results.layout import Layout
    from results.summary import (
        failures_of,
        followed_of,
        heartbeat_of,
        machines_of,
        read_records,
        reevaluated_of,
        short_of,
        state_counts,
    )
    from results.writer import holder_of, is_held

    name = sweep_name(sweep)
    plan = Layout(results).plan(name)
    records = read_records(results, plan)
    counts = state_counts(records)
    states = ("done", "running", "failed", "missing")
    rows = [
        (task, searcher, *(str(count[state]) for state in states), str(count["evaluations"]))
        for (task, searcher), count in counts.items()
    ]
    table(("task", "searcher", *states, "evaluations"), rows)
    if plan.reevaluate:
        say(f"re-evaluations of the winners: {_reevaluated(reevaluated_of(results, plan, records).values())}")
    for words in left_out_words(plan.left_out, list(plan.tasks)):
        say(f"left out, because it cannot be searched: {words}")
    if plan.extends is not None:
        say(f"extends {plan.extends.name}: {plural(plan.extends.studies, 'study')} published by that name")
    for failure in by_gist(failures_of(records)):
        say(f"failed: {failure}", style="red")
    for study in short_of(records, plan):
        say(f"short of its budget: {study}", style="yellow")
    for study in followed_of(records):
        say(f"went on: {study}", style="yellow")
    machines = machines_of(results, records)
    if len(machines) > 1:
        say(f"\nTrained on {len(machines)} kinds of machine, which can give other numbers:", style="yellow")
        for machine in machines:
            say(f"  {machine}")
    if not is_held(results):
        say(f"\n{results} is not being written now: no driver runs")
        return
    say(f"\n{results} is being written by {holder_of(results)}")
    heartbeat = heartbeat_of(results, name)
    if heartbeat is None:
        say(f"sweep {name!r} is not running: that driver runs another")
        return
    seen, ago = heartbeat.snapshot, duration(heartbeat.age)
    if heartbeat.age > SILENT_SECONDS:
        say(
            f"it has said nothing for {ago}: it may hang, still be starting, or train one long evaluation itself",
            style="yellow",
        )
    elif seen is None:
        say(f"it began {ago} ago and is starting")
    if seen is not None:
        left = "" if seen.remaining is None else f", about {duration(seen.remaining)} left"
        say(f"{ago} ago, after {duration(seen.elapsed)}{left}:")
        for line in (headline(seen), *details(seen)):
            say(f"  {line}")


def _reevaluated(counts: Iterable[Counter[str]]) -> str:
    """Say how many of the finished studies' re-evaluations are on record, and how many of these failed."""
    total = sum(counts, Counter())
    failed = [
        f"{number} {status}" for status, number in sorted(total.items()) if status not in ("ok", "missing")
    ]
    done = f"{total.total() - total['missing']} of {total.total()} of the studies that are done"
    return f"{done} ({', '.join(failed)})" if failed else done
