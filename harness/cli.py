"""The command line, and the only place where the rooms are put together.

Everything but the command line's own library is imported where it is used: ``derby --help`` answers at once.
"""

from __future__ import annotations

import os
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.errors import DerbyError, RecordError, SweepError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from harness.executors.base import Executor
    from harness.options import Options
    from harness.progress import Progress
    from harness.sweep import Sweep

DONE, SOME_FAILED, UNUSABLE_INPUT, STOPPED, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes: 3 is a run that stopped early (no room on the disk, another driver); run it again to go on."""

app = typer.Typer(
    name="derby",
    help="Race hyperparameter-optimisation methods over real training tasks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class ExecutorName(StrEnum):
    """Where evaluations run."""

    serial = "serial"
    ray = "ray"


SweepFile = Annotated[Path, typer.Argument(metavar="SWEEP", help="A sweep file (YAML).")]
SweepName = Annotated[str, typer.Argument(metavar="SWEEP", help="A sweep's name, or its file.")]
Results = Annotated[Path, typer.Option(envvar="DERBY_RESULTS", help="The results folder.")]
Out = Annotated[Path | None, typer.Option(help="Folder to write; in the sweep's folder by default.")]
DEFAULT_RESULTS = Path("results/local")


@app.command()
def tasks(name: Annotated[str | None, typer.Argument(help="Show one in full.")] = None) -> None:
    """List the tasks, or describe one."""
    from harness import registry

    if name is None:
        rows = [(key, _first_line(kind), kind.source) for key, kind in registry.tasks().items()]
        _table(("task", "what it is", "source"), rows)
        return
    task_class = registry.task(name)
    task = task_class()
    console = _console()
    _describe(console, name, task_class, task_class.Options)
    rows = [
        (
            parameter,
            str(domain),
            str(condition) if (condition := task.space.conditions.get(parameter)) else "",
        )
        for parameter, domain in task.space.parameters.items()
    ]
    console.print()
    _table(("parameter", "domain", "active where"), rows)
    rows = [(label, str(dict(config)), "") for label, config in task.space.references.items()]
    if rows:
        console.print()
        _table(("reference", "configuration", ""), rows)
    size = task.space.size()
    console.print(f"\nconfigurations: {'uncountable' if size is None else size}", highlight=False)
    console.print(f"objective: {task.objective.direction} {task.objective.metric}", highlight=False)
    console.print(f"epochs: {task.fidelity.low} to {task.fidelity.high}", highlight=False)


@app.command()
def searchers(name: Annotated[str | None, typer.Argument(help="Show one in full.")] = None) -> None:
    """List the searchers, or describe one."""
    from harness import registry

    if name is None:
        rows = []
        for key, kind in registry.searchers().items():
            flags = ("parallel", "conditional", "multi_fidelity")
            able = ", ".join(flag.replace("_", "-") for flag in flags if getattr(kind, flag))
            rows.append((key, _first_line(kind), able))
        _table(("searcher", "what it is", "can"), rows)
        return
    kind = registry.searcher(name)
    _describe(_console(), name, kind, kind.Settings)


@app.command()
def plan(sweep: SweepFile, results: Results = DEFAULT_RESULTS) -> None:
    """Check a sweep and show what running it would take."""
    from harness.progress import duration
    from harness.sweep import load_sweep
    from results.summary import expected_cost

    checked = load_sweep(sweep)
    console = _console()
    rows, known, total = [], 0.0, 0
    for label, cost in expected_cost(results, checked.as_plan()).items():
        seconds = cost.seconds
        known += seconds or 0.0
        total += cost.evaluations
        rows.append(
            (
                label,
                f"{cost.studies_done}/{cost.studies}",
                f"{cost.evaluations_told}/{cost.evaluations}",
                str(cost.epochs),
                "unknown: nothing recorded yet" if seconds is None else f"at most {duration(seconds)}",
            )
        )
    _table(
        ("task", "studies done", "evaluations done", "epochs in all", "training left, one evaluator"), rows
    )
    console.print(
        f"\n{len(checked.studies)} studies, {total} evaluations; {len(checked.tasks)} tasks × "
        f"{len(checked.spec.searchers)} searchers × {checked.spec.repetitions} repetitions. Equal evaluations are "
        "trained once, so less may be trained.",
        highlight=False,
    )


@app.command()
def run(
    sweep: SweepFile,
    executor: Annotated[ExecutorName, typer.Option(help="Where evaluations run.")] = ExecutorName.serial,
    results: Results = DEFAULT_RESULTS,
    data: Annotated[
        Path | None, typer.Option(envvar="DERBY_DATA", help="Folder with mnist.npz and fashion_mnist.npz.")
    ] = None,
    address: Annotated[str | None, typer.Option(help="Ray: the cluster; a local one by default.")] = None,
    evaluators: Annotated[
        int | None, typer.Option(min=1, help="Ray: how many; as many as fit by default.")
    ] = None,
    gpus_per_evaluator: Annotated[float, typer.Option(min=0.0, help="Ray: share of a GPU for each.")] = 0.0,
    restart: Annotated[
        bool, typer.Option("--restart", help="Run anew the studies whose replay differs from their journal.")
    ] = False,
) -> None:
    """Run a sweep, or go on with it: what is recorded is never done twice."""
    from harness.threads import begin_with_one

    begin_with_one()  # before anything loads numpy
    from harness.driver import Driver
    from harness.executors.serial import SerialExecutor
    from harness.progress import Display, Progress
    from harness.provenance import now, provenance
    from harness.sweep import load_sweep
    from results.writer import RecordWriter

    checked = load_sweep(sweep)
    if executor is ExecutorName.serial and (address or evaluators or gpus_per_evaluator):
        raise SweepError("--address, --evaluators and --gpus-per-evaluator need --executor ray")
    if data is not None:
        os.environ["DERBY_DATA"] = str(data)
    console = _console()
    about = provenance(executor.value)

    def make_executor() -> Executor:
        if executor is ExecutorName.serial:
            return SerialExecutor(checked.spec.threads)
        from harness.executors.ray import RayExecutor

        return RayExecutor(
            checked.spec.threads,
            address=address,
            evaluators=evaluators,
            gpus_per_evaluator=gpus_per_evaluator,
        )

    with RecordWriter(results, sweep=checked.name, host=about["host"], pid=os.getpid()) as writer:
        writer.write_sweep(checked.name, checked.text, checked.as_plan())
        writer.write_run(checked.name, about)
        progress = Progress(len(checked.studies), _expected_evaluations(checked))
        display = Display(console, progress)
        engine = make_executor()
        driver = Driver(
            checked,
            writer,
            engine,
            progress,
            tick=display.tick,
            on_data=lambda digests: writer.write_run(checked.name, {**about, "data": digests}),
            restart=restart,
        )
        interrupted = False
        try:
            with display.shown():
                driver.run()
        except KeyboardInterrupt:
            interrupted = True
        finally:
            engine.close()
            for note in writer.notes:
                _say(f"note: {note}", style="yellow")
        ended = {"ended": now(), "counts": _counts(progress), "data": driver.data_digests}
        writer.write_run(checked.name, {**about, **ended})
    if interrupted:
        _say(f"interrupted; everything recorded is safe. To go on: {shlex.join(['derby', *sys.argv[1:]])}")
        raise typer.Exit(INTERRUPTED)
    _report_end(checked, progress, results)
    raise typer.Exit(SOME_FAILED if progress.failed else DONE)


@app.command()
def status(sweep: SweepName, results: Results = DEFAULT_RESULTS) -> None:
    """Show how far a sweep is; works while it runs, from another terminal."""
    from results.layout import Layout
    from results.summary import failures_of, machines_of, read_records, state_counts
    from results.writer import holder_of, is_held

    name = _sweep_name(sweep)
    records = read_records(results, Layout(results).plan(name))
    counts = state_counts(records)
    states = ("done", "running", "failed", "missing")
    rows = [
        (task, searcher, *(str(count[state]) for state in states), str(count["evaluations"]))
        for (task, searcher), count in counts.items()
    ]
    _table(("task", "searcher", *states, "evaluations"), rows)
    for failure in failures_of(records):
        _say(f"failed: {failure}", style="red")
    machines = machines_of(results, records)
    if len(machines) > 1:
        _say(
            f"\nTrained on {len(machines)} different machines; numbers are only identical on one kind:",
            style="yellow",
        )
        for machine in machines:
            _say(f"  {machine}")
    running = f"being written by {holder_of(results)}" if is_held(results) else "not being written now"
    _say(f"\n{results} is {running}")


@app.command()
def report(
    sweep: SweepName,
    results: Results = DEFAULT_RESULTS,
    out: Out = None,
) -> None:
    """Draw a sweep's figures and write its report page."""
    from analysis.report import build
    from results.layout import Layout
    from results.tables import read_tables

    name = _sweep_name(sweep)
    page = build(read_tables(results, name), out or Layout(results).sweep(name) / "report")
    _say(f"report: {page.resolve()}")


@app.command()
def export(
    sweep: SweepName,
    results: Results = DEFAULT_RESULTS,
    out: Out = None,
) -> None:
    """Write a sweep's tables as Parquet."""
    from results.layout import Layout
    from results.tables import export as write
    from results.tables import read_tables

    name = _sweep_name(sweep)
    for path in write(read_tables(results, name), out or Layout(results).sweep(name) / "export"):
        _say(str(path))


def main() -> None:
    """Run the command line; a `DerbyError` becomes a message and an exit code, never a traceback."""
    try:
        app()
    except DerbyError as error:
        print(f"derby: {error}", file=sys.stderr)  # noqa: T201 - the edge
        sys.exit(STOPPED if isinstance(error, RecordError) else UNUSABLE_INPUT)


def _console() -> Console:
    from rich.console import Console

    return Console()


def _say(text: str, style: str | None = None) -> None:
    """Print a line as it is: brackets are no markup, and a long one is left for the terminal to wrap."""
    _console().print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(*header, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    _console().print(table)


def _first_line(kind: type) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]


def _describe(console: Console, name: str, kind: type, options: type[Options]) -> None:
    """Print a class's docstring and its options."""
    import inspect

    console.print(name, style="bold")
    console.print(inspect.cleandoc(kind.__doc__ or ""), markup=False, highlight=False)
    fields = options.model_fields
    if not fields:
        return
    schema: dict[str, Any] = options.model_json_schema()["properties"]
    rows = []
    for field, info in fields.items():
        limits = {
            k: v for k, v in schema[field].items() if k not in ("title", "description", "default", "$ref")
        }
        allowed = ", ".join(f"{k} {v}" for k, v in limits.items())
        rows.append((field, repr(info.default), allowed, info.description or ""))
    console.print()
    _table(("option", "default", "allowed", "meaning"), rows)


def _sweep_name(given: str) -> str:
    """Return a sweep's name, read from its file where a file is given."""
    if given.endswith((".yaml", ".yml")):
        from harness.sweep import load_sweep

        return load_sweep(Path(given)).name
    return given


def _expected_evaluations(sweep: Sweep) -> int:
    """Evaluations a sweep will tell; an estimate at full fidelity where the budget is in epochs."""
    return sum(study.key.budget.full_evaluations(sweep.tasks[study.task].fidelity) for study in sweep.studies)


def _counts(progress: Progress) -> dict[str, Any]:
    return {
        "studies": progress.studies,
        "complete_before": progress.complete,
        "done": progress.done,
        "failed": dict(progress.failed),
        "told": progress.told,
        "trained": progress.trained,
        "reused": progress.reused,
        "merged": progress.merged,
        "seconds": progress.elapsed,
        "train_seconds": progress.train_seconds,
        "search_seconds": progress.search_seconds,
    }


def _report_end(sweep: Sweep, progress: Progress, results: Path) -> None:
    from harness.progress import duration

    if progress.complete == progress.studies:
        text = f"sweep {sweep.name!r}: all {progress.studies} studies were done already; nothing was trained"
    else:
        trained = f"trained {progress.trained} evaluations" if progress.trained else "nothing was trained"
        text = (
            f"sweep {sweep.name!r}: {progress.complete + progress.done} of {progress.studies} studies done in "
            f"{duration(progress.elapsed)}; {trained}, reused {progress.reused} recorded ones, merged "
            f"{progress.merged} equal requests"
        )
    _say(text)
    for label, message in progress.failed.items():
        _say(f"failed: {label}: {message}", style="red")
    if progress.failed:
        _say(f"{len(progress.failed)} studies failed; run again to retry them")
    _say(f"next: derby report {sweep.name} --results {results}")


if __name__ == "__main__":
    main()
