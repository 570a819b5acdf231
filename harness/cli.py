"""The command line, and the only place where the rooms are put together; long by its options, which are all here.

Everything but the command line's own library is imported where it is used: ``derby --help`` answers at once.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.arithmetic import declare, declared_in
from harness.errors import DerbyError, RecordError, SideError, SweepError
from harness.output import OutputLostError, guard, may_be_lost

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rich.console import Console

    from harness.launch import Placement
    from harness.options import Options
    from harness.progress import Progress
    from harness.sweep import Sweep

DONE, SOME_FAILED, UNUSABLE_INPUT, NO_RECORD, NOT_KNOWN, NO_READER = 0, 1, 2, 3, 125, 141
"""Exit codes, as the README explains them, besides `harness.launch.INTERRUPTED`; the last is a shell's for SIGPIPE."""

_GATED = {
    "identical": DONE,
    "not worse": DONE,
    "worse": SOME_FAILED,
    "dearer": SOME_FAILED,
    "undecided": NOT_KNOWN,
}
"""Exit codes of a gate's outcomes, as `git bisect run` understands them."""

app = typer.Typer(
    name="derby",
    help="Race hyperparameter-optimisation methods over real training tasks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class MismatchName(StrEnum):
    """What to do with a study whose replay departs from its journal."""

    fail = "fail"
    restart = "restart"
    tell = "tell"


class ExecutorName(StrEnum):
    """Where evaluations run."""

    serial = "serial"
    ray = "ray"


SweepFile = Annotated[Path, typer.Argument(metavar="SWEEP", help="A sweep file (YAML).")]
SweepName = Annotated[str, typer.Argument(metavar="SWEEP", help="A sweep's name, or its file.")]
Results = Annotated[Path, typer.Option(envvar="DERBY_RESULTS", help="The results folder.")]
Out = Annotated[Path | None, typer.Option(help="Folder to write; in the sweep's folder by default.")]
Executors = Annotated[ExecutorName, typer.Option(help="Where evaluations run.")]
DataFolder = Annotated[
    Path | None,
    typer.Option(envvar="DERBY_DATA", help="Folder of data: mnist.npz, fashion_mnist.npz, figs/."),
]
Address = Annotated[str | None, typer.Option(help="Ray: the cluster; a local one by default.")]
Evaluators = Annotated[
    str, typer.Option(metavar="N|auto", help="Ray: how many at most; auto: as many as there is room for.")
]
GpuShare = Annotated[float, typer.Option(min=0.0, help="Ray: share of a GPU for each.")]
MemoryShare = Annotated[
    float | None,
    typer.Option(min=0.1, help="Ray: GB each may take; its share of a machine that runs short by default."),
]
SyncTo = Annotated[
    str | None,
    typer.Option(metavar="URI", help="Copy the results there meanwhile: s3://bucket/folder or a folder."),
]
Mismatch = Annotated[
    MismatchName,
    typer.Option(
        help="Where a study's replay departs from its journal: let it fail, restart it, or tell its searcher the "
        "recorded trials and go on."
    ),
]
Published = Annotated[Path, typer.Option(help="Folder of published results.")]
DEFAULT_RESULTS = Path("results/local")
DEFAULT_PUBLISHED = Path("results/published")


@app.command()
def tasks(name: Annotated[str | None, typer.Argument(help="Show one in full.")] = None) -> None:
    """List the tasks, or describe one."""
    from harness import registry
    from harness.trial import unit_in_words

    if name is None:
        rows = [(key, kind.group, _first_line(kind), kind.source) for key, kind in registry.tasks().items()]
        _table(("task", "group", "what it is", "source"), rows)
        _warn_of(registry.tasks().faults)
        return
    task_class, options = registry.named_task(name, {})
    task = task_class(**options)
    console = _console()
    _describe(console, name, task_class, task_class.Options)
    about = [
        (
            parameter,
            f"{domain}{_standing_for(task.levels.get(parameter, ()))}",
            str(condition) if (condition := task.space.conditions.get(parameter)) else "",
        )
        for parameter, domain in task.space.parameters.items()
    ]
    console.print()
    _table(("parameter", "domain", "active where"), about)
    about = [(label, str(dict(config)), "") for label, config in task.space.references.items()]
    if about:
        console.print()
        _table(("reference", "configuration", ""), about)
    size = task.space.size()
    console.print(f"\nconfigurations: {'uncountable' if size is None else size}", highlight=False)
    if task.group:
        console.print(f"group: {task.group}", highlight=False)
    console.print(f"objective: {task.objective.direction} {task.objective.metric}", highlight=False)
    console.print(f"epochs: {task.fidelity.low} to {task.fidelity.high}", highlight=False)
    console.print(f"cost of an epoch: in {unit_in_words('cost', task.cost_unit)}", highlight=False)
    if task_class.slash == "recording":
        from harness import certify

        console.print()
        _table(certify.HEADER, certify.rows(certify.shipped()))


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
        _warn_of(registry.searchers().faults)
        return
    kind = registry.named_searcher(name)
    _describe(_console(), name, kind, kind.Settings)


@app.command()
def plan(sweep: SweepFile, results: Results = DEFAULT_RESULTS, data: DataFolder = None) -> None:
    """Check a sweep and show what running it would take."""
    from harness.display import duration, of
    from harness.sweep import load_sweep
    from results.summary import expected_cost

    _use_data(data)
    checked = load_sweep(sweep)
    console = _console()
    rows, total, again = [], 0, 0
    for label, cost in expected_cost(results, checked.as_plan()).items():
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
                "unknown: nothing recorded yet" if seconds is None else f"at most {duration(seconds)}",
            )
        )
    header = ["task", "studies done", "evaluations done", "epochs in all", "training left, one evaluator"]
    if checked.spec.reevaluate:
        header.insert(3, "re-evaluations done")
    _table(header, rows)
    console.print(
        f"\n{len(checked.studies)} studies, {total} evaluations; {len(checked.tasks)} tasks × "
        f"{len(checked.spec.searchers)} searchers × {checked.spec.repetitions} repetitions. Equal evaluations are "
        "trained once, so less may be trained.",
        highlight=False,
    )
    if checked.compare is not None:
        stated = checked.compare
        pairs = "; ".join(f"{one} with {other}" for one, other in stated.pairs)
        _say(f"To be compared: {pairs}; by {stated.measure} values, at the level {stated.level:g}.")
    if checked.spec.splits == "repetition":
        _say(
            "Each repetition draws its own training/validation split, the same for all searchers; test sets stay."
        )
    if checked.spec.reevaluate:
        _say(
            f"Then the winner of each study is trained again with {checked.spec.reevaluate} fresh seeds, charged to "
            f"nobody: {again} re-evaluations."
        )


@app.command()
def profile(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="A task: name, name/variant, or my_task.py:MyTask.")
    ],
    option: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE: an option of the task; may be repeated.")
    ] = None,
    config: Annotated[
        str | None, typer.Option(help="A reference's name, or JSON; the first reference by default.")
    ] = None,
    random: Annotated[
        int | None, typer.Option(min=0, metavar="SEED", help="A random configuration in its place.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs; the task's most by default.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of one evaluation.")] = 1,
    repeats: Annotated[
        int, typer.Option(min=1, help="Evaluations; the first one also compiles what is compiled.")
    ] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Training seed.")] = 0,
    data: DataFolder = None,
) -> None:
    """Show where the time of a task's evaluations goes, in seconds; records nothing."""
    from harness import profile as engine
    from harness.reproduce import parse_options

    _use_data(data)
    chosen = engine.task_named(task, parse_options(option or ()))
    point = engine.configuration(chosen, config, random)
    asked = chosen.fidelity.high if epochs is None else epochs
    done = engine.profile(chosen, point, epochs=asked, threads=threads, repeats=repeats, seed=seed)
    _say(f"{chosen.label} at {dict(point)}: {asked} epochs, threads: {threads}, seed: {seed}\n")
    _table(engine.HEADER, done.rows())
    if done.evaluation.message:
        _say(f"\nthe evaluation is {done.evaluation.status.value}: {done.evaluation.message}", style="yellow")


@app.command(name="try")
def try_task(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="A task: name, name/variant, or my_task.py:MyTask.")
    ],
    option: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE: an option of the task; may be repeated.")
    ] = None,
    randoms: Annotated[int, typer.Option(min=0, help="Random configurations besides the reference.")] = 3,
    threads: Annotated[int, typer.Option(min=1, help="Threads of one evaluation.")] = 1,
    data: DataFolder = None,
) -> None:
    """Try a task out: a few evaluations, whether it keeps what tasks must, and how long a sweep takes; 1 if not."""
    from harness import tryout
    from harness.display import duration
    from harness.profile import task_named
    from harness.reproduce import parse_options

    _use_data(data)
    chosen = task_named(task, parse_options(option or ()))
    chosen.require_libraries()
    done = tryout.try_task(chosen, threads=threads, randoms=randoms)
    metric = chosen.objective.metric
    rows = [
        (
            name,
            str(dict(config)),
            evaluation.status.value,
            f"{evaluation.curve[metric][-1]:.6g}",
            duration(seconds),
        )
        if evaluation.curve.epochs
        else (name, str(dict(config)), evaluation.status.value, "", duration(seconds))
        for name, config, evaluation, seconds in done.evaluations
    ]
    _table(("what", "configuration", "status", metric, "time"), rows)
    _say("")
    marks = {True: ("yes", "green"), False: ("NO", "red"), None: ("?", "yellow")}
    for check in done.checks:
        mark, style = marks[check.good]
        _say(f"{mark:>3}  {check.what}{f': {check.words}' if check.words else ''}", style=style)
    if done.sweep_seconds is not None:
        searchers, repetitions, evaluations = tryout.EXAMPLE
        _say(
            f"\na sweep of {searchers} searchers × {repetitions} repetitions × {evaluations} full evaluations: about "
            f"{duration(done.sweep_seconds)} of training, by as many evaluators as there are"
        )
    raise typer.Exit(DONE if done.good else SOME_FAILED)


@app.command()
def run(
    sweep: SweepFile,
    executor: Executors = ExecutorName.serial,
    results: Results = DEFAULT_RESULTS,
    data: DataFolder = None,
    address: Address = None,
    evaluators: Evaluators = "auto",
    gpus_per_evaluator: GpuShare = 0.0,
    memory_per_evaluator: MemoryShare = None,
    sync_to: SyncTo = None,
    on_mismatch: Mismatch = MismatchName.fail,
) -> None:
    """Run a sweep, or go on with it: what is recorded is never done twice."""
    declare(declared_in(sweep))  # before anything loads numpy
    from harness.launch import launch
    from harness.sweep import load_sweep

    _use_data(data)
    checked = load_sweep(sweep)
    placement = _placement(executor, address, evaluators, gpus_per_evaluator, memory_per_evaluator, sync_to)
    with _running():
        progress = launch(checked, results, placement, _console(), on_mismatch=on_mismatch.value)
        _report_end(checked, progress, results)
    raise typer.Exit(DONE if progress.ended_well else SOME_FAILED)


@app.command()
def record(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="A task: name, name/variant, or my_task.py:MyTask.")
    ],
    option: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE: an option of the task; may be repeated.")
    ] = None,
    configurations: Annotated[
        int | None, typer.Option(min=1, help="How many; the whole space by default, where it is small.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Training seeds of each configuration.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Root of the seeds, and of the design.")] = 0,
    source: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            help="Train nothing: make the recording of what this results folder or recording holds; may be repeated.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The file; NAME.parquet in this folder by default, named after the task."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of one evaluation.")] = 1,
    executor: Executors = ExecutorName.serial,
    results: Results = DEFAULT_RESULTS,
    data: DataFolder = None,
    address: Address = None,
    evaluators: Evaluators = "auto",
    gpus_per_evaluator: GpuShare = 0.0,
    memory_per_evaluator: MemoryShare = None,
) -> None:
    """Train a task's space once, and keep it in a file that is raced on for ever: see the task `replay`."""
    declare()  # before anything loads numpy
    from harness import record as engine
    from harness.profile import task_named
    from harness.recording_file import save
    from harness.reproduce import parse_options

    options = parse_options(option or ())
    _use_data(data)
    if source:
        chosen, design = task_named(task, options), "as found"
    else:
        wanted = engine.Design(configurations, seeds, seed)
        sweep = engine.sweep_of(task, options, wanted, threads=threads)
        placement = _placement(executor, address, evaluators, gpus_per_evaluator, memory_per_evaluator, None)
        (chosen,) = sweep.tasks.values()
        design = engine.described(sweep)
    path = out or Path(f"{engine.file_name(chosen)}.parquet")
    before = engine.before_at(path, chosen)
    if source:
        found = engine.found_in(source, chosen, threads)
    else:
        _launched(sweep, results, placement)
        found = engine.found_in([results], chosen, threads, only=engine.asked_by(sweep, results))
    made = engine.made_of(found, chosen, design, threads)
    if before is not None and before.digest == made.digest:
        made = made.with_(certificate=before.about.certificate)
    save(made, path)
    for count, why in (
        (found.left_out, "that crashed or timed out: what a machine did, not what the task is"),
        (found.short, "that stop short of full fidelity"),
    ):
        if count:
            _say(f"left out: {count} trainings {why}", style="yellow")
    _say(
        f"{path}: {made.trainings} trainings of {chosen.label}, {len(made.configs)} configurations × {len(made.seeds)} "
        f"seeds, {path.stat().st_size / 1e6:.2f} MB"
    )
    if made.about.certificate is None:
        _say(f"not certified yet; next: derby certify {path}")


@app.command()
def certify(
    recording: Annotated[
        str,
        typer.Argument(metavar="RECORDING", help="A file, or the name of one that comes with the project."),
    ],
    configurations: Annotated[int, typer.Option(min=10, help="Fresh ones, trained for real.")] = 100,
    seeds: Annotated[int, typer.Option(min=1, help="Training seeds of each.")] = 2,
    repetitions: Annotated[int, typer.Option(min=0, help="Of the race; 0: none.")] = 10,
    budget: Annotated[int, typer.Option(min=1, help="Of the race, in evaluations at full fidelity.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Root of the seeds; not the recording's.")] = 1,
    executor: Executors = ExecutorName.serial,
    results: Results = DEFAULT_RESULTS,
    data: DataFolder = None,
    address: Address = None,
    evaluators: Evaluators = "auto",
    gpus_per_evaluator: GpuShare = 0.0,
    memory_per_evaluator: MemoryShare = None,
) -> None:
    """Find out how far races on a recording agree with real training, and write it into the recording."""
    declare()  # before anything loads numpy
    from harness import certify as engine
    from harness.recording_file import save

    _use_data(data)
    trial = engine.Trial(configurations, seeds, repetitions, budget, seed)
    prepared = engine.prepared(recording, trial)
    placement = _placement(executor, address, evaluators, gpus_per_evaluator, memory_per_evaluator, None)
    made = engine.certified(prepared, results, lambda sweep: _launched(sweep, results, placement))
    save(made, prepared.path)
    _table(engine.HEADER, engine.rows({prepared.path.stem: prepared.path}))
    good, words = engine.verdict(made.about.certificate or {})
    _say(f"\n{'good' if good else 'not good enough to stand for the task'}: {words}")
    raise typer.Exit(DONE if good else SOME_FAILED)


@contextmanager
def _running() -> Iterator[None]:
    """Run sweeps in this context: output may be lost meanwhile, and an interruption says how to go on."""
    from harness.launch import INTERRUPTED, InterruptedRunError

    with may_be_lost():
        try:
            yield
        except InterruptedRunError as interruption:
            _say(str(interruption))
            raise typer.Exit(INTERRUPTED) from None


def _launched(sweep: Sweep, results: Path, placement: Placement) -> Progress:
    """Run a sweep that serves another command, whose end is reached only where all its studies ended well."""
    from harness.launch import launch

    with _running():
        progress = launch(sweep, results, placement, _console())
    if not progress.ended_well:
        _report_end(sweep, progress, results)
        raise typer.Exit(SOME_FAILED)
    return progress


@app.command()
def gate(
    sweep: Annotated[
        str,
        typer.Argument(
            metavar="SWEEP",
            help="A method's name, for the project's recordings and some public tables, or a sweep file of one method.",
        ),
    ],
    baseline: Annotated[
        Path | None, typer.Option(metavar="PYTHON", help="Interpreter of the baseline; this one by default.")
    ] = None,
    baseline_with: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REQUIREMENT",
            help="Installed for the baseline, beside what is here: 'optuna==4.6', a wheel, a folder; may be repeated.",
        ),
    ] = None,
    baseline_revision: Annotated[
        str, typer.Option(metavar="REVISION", help="Git revision of a plug-in, put before what is installed.")
    ] = "",
    candidate: Annotated[
        Path | None, typer.Option(metavar="PYTHON", help="Interpreter of the candidate; this one by default.")
    ] = None,
    candidate_with: Annotated[
        list[str] | None, typer.Option(metavar="REQUIREMENT", help="As --baseline-with.")
    ] = None,
    candidate_revision: Annotated[str, typer.Option(metavar="REVISION", help="As --baseline-revision.")] = "",
    repository: Annotated[Path, typer.Option(help="Git repository of the revisions.")] = Path(),
    looks: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,…",
            help="Repetitions at each look, the last being the most; 10,20,40,80,160 by default.",
        ),
    ] = None,
    margin: Annotated[
        float | None, typer.Option(help="By how much mean normalised regret may get worse; 0.025 by default.")
    ] = None,
    cost_margin: Annotated[
        float | None,
        typer.Option(help="By what factor time and memory of the search may grow; 1.25 by default."),
    ] = None,
    level: Annotated[
        float | None, typer.Option(help="Probability of a wrong verdict, each way; 0.05 by default.")
    ] = None,
    costs: Annotated[bool, typer.Option(help="Whether a candidate that costs more fails the gate.")] = True,
    json: Annotated[Path | None, typer.Option("--json", help="Write everything that was found.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write a summary for a pull request.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the report page; in the gate's by default.")
    ] = None,
    results: Results = DEFAULT_RESULTS,
    data: DataFolder = None,
) -> None:
    """Test whether a candidate's method searches worse than its baseline's: 0 no, 1 yes, 125 not known."""
    from json import dumps

    from analysis.report.gate import HEADER, as_json, rows, sentence, write_page
    from analysis.report.gate import markdown as as_markdown
    from analysis.statistics.sequential import Plan
    from harness import gate as engine
    from harness.environments import Wish
    from results.folders import check_replaceable, replacing
    from results.layout import write_atomically

    _use_data(data)
    sides = (
        Wish(baseline, tuple(baseline_with or ()), baseline_revision, repository),
        Wish(candidate, tuple(candidate_with or ()), candidate_revision, repository),
    )
    chosen: dict[str, Any] = {"margin": margin, "cost_margin": cost_margin, "level": level}
    chosen["looks"] = None if looks is None else engine.looks_of(looks)
    plan = Plan(**{name: value for name, value in chosen.items() if value is not None})
    if out is not None:
        check_replaceable(out)  # before anything is run
    with _gated(), _running():
        prepared = engine.prepared(sweep, *sides, plan, results, costs=costs)
        for line in engine.introduction(prepared):
            _say(line)
        with _console().status("") as status:
            result = engine.run(
                prepared, on_look=lambda look: _say(engine.headline(look)), on_progress=status.update
            )
        account, target = result.account, out or prepared.folder / "report"
        with replacing(target) as draft:
            page = write_page(account, result.plot, draft)
        if json is not None:
            write_atomically(json, f"{dumps(as_json(account), indent=1)}\n")
        if markdown is not None:
            write_atomically(markdown, as_markdown(account))
    _say(f"\n{account.outcome}: {sentence(account)}\n", style="bold")
    _table(HEADER, rows(account))
    _say(f"\n{account.proposals}")
    changed = (f"{name} {old} → {new}" for name, (old, new) in account.versions.items())
    _say(f"versions that differ: {', '.join(changed) or 'none'}")
    used = (f"{side} {seconds:.0f} s" for side, seconds in result.cpu_seconds.items())
    _say(f"processor time: {', '.join(used)}")
    _say(f"report: {target.resolve() / page.name}")
    raise typer.Exit(_GATED[account.outcome])


@contextmanager
def _gated() -> Iterator[None]:
    """Give what stands in a gate's way the exit code by which `git bisect run` skips a revision."""
    from analysis.errors import AnalysisError
    from harness.launch import INTERRUPTED

    try:
        yield
    except KeyboardInterrupt:  # while an environment is built, say, which is begun anew
        raise typer.Exit(INTERRUPTED) from None
    except (SideError, RecordError, AnalysisError) as error:
        print(f"derby: {error}", file=sys.stderr)  # noqa: T201 - the edge
        raise typer.Exit(NOT_KNOWN) from None


@app.command()
def reproduce(
    report: Annotated[
        str | None, typer.Argument(help="The report, such as S1; lists them when left out.")
    ] = None,
    variant: Annotated[str, typer.Option(help="Size of its tasks: full, small or tiny.")] = "full",
    repetitions: Annotated[int, typer.Option(min=1, help="Seeded repetitions; one gives no interval.")] = 1,
    only: Annotated[list[str] | None, typer.Option(help="Label of an experiment; may be repeated.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE: an option of its tasks; may be repeated.")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Show what running would take, and stop.")] = False,
    pictures: Annotated[
        bool,
        typer.Option(
            help="Draw weights and test images; a network trained before is then trained once more."
        ),
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Root of every seed.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of one evaluation.")] = 1,
    executor: Executors = ExecutorName.serial,
    results: Results = DEFAULT_RESULTS,
    out: Out = None,
    data: DataFolder = None,
    address: Address = None,
    evaluators: Evaluators = "auto",
    gpus_per_evaluator: GpuShare = 0.0,
    memory_per_evaluator: MemoryShare = None,
    sync_to: SyncTo = None,
    on_mismatch: Mismatch = MismatchName.fail,
) -> None:
    """Run a source report's own experiments and set our figures beside the published ones."""
    from analysis.reproduction import page
    from analysis.reproduction.published import notes
    from harness import reproduce as engine
    from harness.entries import Setting
    from results.folders import check_replaceable, replacing
    from results.layout import Layout

    if report is None:
        _table(*engine.overview())
        return
    setting = Setting(variant, repetitions, seed, threads, engine.parse_options(option or ()))
    _use_data(data)
    prepared = engine.prepare(report, setting, only or ())
    if plan:
        _table(engine.ESTIMATE, engine.estimate(prepared, results))
        return
    placement = _placement(executor, address, evaluators, gpus_per_evaluator, memory_per_evaluator, sync_to)
    target = out or Layout(results).sweep(prepared.sweep.name) / "reproduction"
    check_replaceable(target)  # before anything is trained
    with _running():
        done = engine.run(
            prepared, results, placement, _console(), on_mismatch=on_mismatch.value, pictures=pictures
        )
    for heading, header, rows in page.tables(done.lines):
        _say(f"\n{heading}")
        _table(header, rows)
    _say("")
    for note in [*notes(done.lines), *done.notes]:
        _say(note)
    with replacing(target) as draft:
        written = page.write(
            done.lines,
            done.inspections,
            draft,
            title=f"Report {prepared.report}, reproduced",
            about=prepared.about,
        )
    _say(f"\nfigures and tables: {target.resolve() / written.name}")
    for label, message in done.failed.items():
        _say(f"failed: {label}: {message}", style="red")
    raise typer.Exit(SOME_FAILED if done.failed else DONE)


@app.command()
def status(sweep: SweepName, results: Results = DEFAULT_RESULTS) -> None:
    """Show how far a sweep is; works while it runs, from another terminal."""
    from harness.display import SILENT_SECONDS, details, duration, headline
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

    name = _sweep_name(sweep)
    plan = Layout(results).plan(name)
    records = read_records(results, plan)
    counts = state_counts(records)
    states = ("done", "running", "failed", "missing")
    rows = [
        (task, searcher, *(str(count[state]) for state in states), str(count["evaluations"]))
        for (task, searcher), count in counts.items()
    ]
    _table(("task", "searcher", *states, "evaluations"), rows)
    if plan.reevaluate:
        _say(
            f"re-evaluations of the winners: {_reevaluated(reevaluated_of(results, plan, records).values())}"
        )
    for failure in failures_of(records):
        _say(f"failed: {failure}", style="red")
    for study in short_of(records, plan):
        _say(f"short of its budget: {study}", style="yellow")
    for study in followed_of(records):
        _say(f"went on: {study}", style="yellow")
    machines = machines_of(results, records)
    if len(machines) > 1:
        _say(f"\nTrained on {len(machines)} kinds of machine, which can give other numbers:", style="yellow")
        for machine in machines:
            _say(f"  {machine}")
    if not is_held(results):
        _say(f"\n{results} is not being written now: no driver runs")
        return
    _say(f"\n{results} is being written by {holder_of(results)}")
    heartbeat = heartbeat_of(results, name)
    if heartbeat is None:
        _say(f"sweep {name!r} is not running: that driver runs another")
        return
    seen, ago = heartbeat.snapshot, duration(heartbeat.age)
    if heartbeat.age > SILENT_SECONDS:
        _say(
            f"it has said nothing for {ago}: it may hang, still be starting, or train one long evaluation itself",
            style="yellow",
        )
    elif seen is None:
        _say(f"it began {ago} ago and is starting")
    if seen is not None:
        left = "" if seen.remaining is None else f", about {duration(seen.remaining)} left"
        _say(f"{ago} ago, after {duration(seen.elapsed)}{left}:")
        for line in (headline(seen), *details(seen)):
            _say(f"  {line}")


@app.command()
def report(
    sweep: SweepName,
    results: Results = DEFAULT_RESULTS,
    out: Out = None,
) -> None:
    """Draw a sweep's figures and write its report page."""
    from analysis.report.page import build
    from results.folders import replacing
    from results.layout import Layout
    from results.tables import read_tables

    name = _sweep_name(sweep)
    tables = read_tables(results, name)
    target = out or Layout(results).sweep(name) / "report"
    with replacing(target) as draft:
        page = build(tables, draft, processes=_cores())
    _say(f"report: {target.resolve() / page.name}")


@app.command()
def export(
    sweep: SweepName,
    results: Results = DEFAULT_RESULTS,
    out: Out = None,
) -> None:
    """Write a sweep's tables as Parquet."""
    from results.folders import replacing
    from results.layout import Layout
    from results.tables import export as write
    from results.tables import read_tables

    name = _sweep_name(sweep)
    tables = read_tables(results, name)
    target = out or Layout(results).sweep(name) / "export"
    with replacing(target) as draft:
        written = write(tables, draft)
    for path in written:
        _say(str(target / path.name))


@app.command()
def compare(
    folders: Annotated[
        list[Path], typer.Argument(metavar="FOLDER FOLDER...", help="Results folders, or sweeps in them.")
    ],
    out: Annotated[Path | None, typer.Option(help="Folder to write.")] = None,
) -> None:
    """Report on several results folders together: two clusters, or two versions of a library."""
    from analysis.report.page import build
    from results.folders import replacing
    from results.merge import merged, read_source, source_names

    if len(folders) < 2:
        raise SweepError(
            f"expected two or more folders to compare, got {folders[0]}; for one use `derby report`"
        )
    names = source_names(folders)
    tables = merged({name: read_source(folder) for name, folder in zip(names, folders, strict=True)})
    for note in tables.provenance["merged"]:
        _say(f"note: {note}")
    target = out or DEFAULT_RESULTS / "compared" / "-".join(name.replace("/", "-") for name in names)
    with replacing(target) as draft:
        page = build(tables, draft, processes=_cores())
    _say(f"report: {target.resolve() / page.name}")


@app.command()
def publish(
    sweep: SweepName,
    results: Results = DEFAULT_RESULTS,
    name: Annotated[
        str | None, typer.Option("--as", help="Its published name; the sweep's by default.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace what is published by that name.")
    ] = False,
    published: Published = DEFAULT_PUBLISHED,
) -> None:
    """Freeze a finished sweep: tables as Parquet, sweep file, report, figures, and a manifest of digests."""
    import functools

    from analysis.report.page import build
    from results.published import publish as freeze
    from results.tables import read_tables

    own = _sweep_name(sweep)
    draw = functools.partial(build, processes=_cores(), complete=True)
    folder = freeze(read_tables(results, own), published, name or own, draw, replace=replace)
    _say(f"published: {folder.resolve()}")


@app.command()
def verify(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What was published.")],
    published: Published = DEFAULT_PUBLISHED,
) -> None:
    """Rebuild a published sweep's figures from its tables: 0 if identical or equal to rounding, 1 if one differs."""
    import functools

    from analysis.report.page import build
    from results.published import verify as check

    checked = check(published, name, functools.partial(build, processes=_cores(), complete=True))
    for problem in checked.problems:
        _say(f"differs: {problem}", style="red")
    if checked.problems:
        raise typer.Exit(SOME_FAILED)
    again = "is identical"
    if checked.rounded:
        again = f"is equal to rounding (largest {checked.largest:.0e}; {len(checked.rounded)} files)"
    _say(f"{published / name}: every file is as published, and every figure drawn again {again}")


@app.callback()
def _before_every_command(context: typer.Context) -> None:
    if context.invoked_subcommand != "run":  # which has a sweep file to ask
        declare()  # before anything loads numpy


def main() -> None:
    """Run the command line; a `DerbyError` becomes a message and an exit code, never a traceback."""
    guard()
    try:
        try:
            app()
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except DerbyError as error:
        print(f"derby: {error}", file=sys.stderr)  # noqa: T201 - the edge
        sys.exit(NO_RECORD if isinstance(error, RecordError) else UNUSABLE_INPUT)
    except OutputLostError as lost:
        if lost.closed:
            sys.exit(NO_READER)
        print(f"derby: {lost}", file=sys.stderr)  # noqa: T201 - the edge
        sys.exit(NO_RECORD)


def _placement(
    executor: ExecutorName,
    address: str | None,
    evaluators: str,
    gpus: float,
    memory: float | None,
    sync_to: str | None,
) -> Placement:
    """Return where to run, from the options that all running commands have."""
    from harness.launch import Placement
    from harness.machine import require_libraries

    if executor is ExecutorName.ray:
        require_libraries("--executor ray", {"ray": "ray[tune]", "psutil": "psutil"})
    if evaluators != "auto" and not (evaluators.isdecimal() and int(evaluators) > 0):
        raise SweepError(f"--evaluators: expected auto or a number from 1, got {evaluators!r}")
    count = None if evaluators == "auto" else int(evaluators)
    nbytes = None if memory is None else int(memory * 1e9)
    return Placement(executor.value, address, count, gpus, nbytes, sync_to)


def _use_data(folder: Path | None) -> None:
    """Let tasks look for their data there. Before a sweep is read: its studies are named by their data, too."""
    if folder is not None:
        os.environ["DERBY_DATA"] = str(folder)


def _cores() -> int:
    """Return how many processes draw: the cores there are, up to 8."""
    return min(os.cpu_count() or 1, 8)


def _console() -> Console:
    from rich.console import Console

    return Console()


def _say(text: str, style: str | None = None) -> None:
    """Print a line as it is: brackets are no markup, and a long one is left for the terminal to wrap."""
    _console().print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(*header, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = _console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 140  # a file or a pipe has no width that a table must be cut to
    console.print(table)


def _first_line(kind: type) -> str:
    return (kind.__doc__ or "").strip().partition("\n")[0]


def _warn_of(faults: Mapping[str, str]) -> None:
    """Name the plug-ins that cannot be used: a sweep that uses one is refused, and others are not."""
    for fault in faults.values():
        _say(f"left out: {fault}", style="yellow")


def _describe(console: Console, name: str, kind: type, options: type[Options]) -> None:
    """Print a class's docstring and its options."""
    from harness.prose import rewrapped

    console.print(name, style="bold")
    _say(rewrapped(kind.__doc__ or "", min(console.width, 100)))
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


def _standing_for(levels: Sequence[object]) -> str:
    """Return what a parameter's whole numbers stand for, in words; nothing where for themselves."""
    return f", which stand for {', '.join(map(str, levels))}" if levels else ""


def _sweep_name(given: str) -> str:
    """Return a sweep's name, read from its file where a file is given."""
    if given.endswith((".yaml", ".yml")):
        from harness.sweep import sweep_name

        return sweep_name(Path(given))
    return given


def _reevaluated(counts: Iterable[Counter[str]]) -> str:
    """Say how many of the finished studies' re-evaluations are on record, and how many of these failed."""
    total = sum(counts, Counter())
    failed = [
        f"{number} {status}" for status, number in sorted(total.items()) if status not in ("ok", "missing")
    ]
    done = f"{total.total() - total['missing']} of {total.total()} of the studies that are done"
    return f"{done} ({', '.join(failed)})" if failed else done


def _report_end(sweep: Sweep, progress: Progress, results: Path) -> None:
    from harness.display import duration
    from harness.events import ended_short

    if progress.complete == progress.studies and not progress.trained and not progress.unreevaluated:
        text = f"sweep {sweep.name!r}: all {progress.studies} studies were done already; nothing was trained"
    else:
        trained = f"trained {progress.trained} evaluations" if progress.trained else "nothing was trained"
        text = (
            f"sweep {sweep.name!r}: {progress.complete + progress.done} of {progress.studies} studies done in "
            f"{duration(progress.elapsed)}; {trained}, reused {progress.reused} recorded ones, merged "
            f"{progress.merged} equal requests"
        )
    _say(text)
    for label, short in progress.short.items():
        _say(f"short of its budget: {ended_short(label, *short)}", style="yellow")
    alike: dict[str, list[str]] = {}
    for label, message in progress.failed.items():
        alike.setdefault(message, []).append(label)
    for message, (label, *others) in alike.items():
        more = f" and {len(others)} studies more" if others else ""
        _say(f"failed: {label}{more}: {message}", style="red")
    if progress.reevaluations:
        done = progress.reevaluated_before + progress.reevaluated
        _say(f"re-evaluations of winners: {done} of {progress.reevaluations} on record")
    for label, message in progress.unreevaluated.items():
        _say(f"failed: {label}: {message}", style="red")
    if progress.failed:
        _say(f"{len(progress.failed)} studies failed; run again to retry them")
    _say(f"next: derby report {sweep.name} --results {results}")


if __name__ == "__main__":
    main()
