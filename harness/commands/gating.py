"""The command that tests whether a change made a method worse."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.commands import completion
from harness.commands.codes import DONE, NOT_KNOWN, SOME_FAILED
from harness.commands.launching import while_running
from harness.commands.options import DEFAULT_RESULTS, DataFolder, Results, sweep_name, use_data
from harness.commands.terminal import new_console, say, table
from harness.errors import RecordError, SideError

if TYPE_CHECKING:
    from collections.abc import Iterator


_CODES = {
    "identical": DONE,
    "not worse": DONE,
    "worse": SOME_FAILED,
    "dearer": SOME_FAILED,
    "undecided": NOT_KNOWN,
}
"""Exit codes of a gate's outcomes, as `git bisect run` understands them."""


def gate(
    sweep: Annotated[
        str,
        typer.Argument(
            metavar="SWEEP",
            autocompletion=completion.methods,
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
    from harness.environments import Wish, check_different
    from results.folders import check_replaceable, replacing

    use_data(data)
    sides = (
        Wish(baseline, tuple(baseline_with or ()), baseline_revision, repository),
        Wish(candidate, tuple(candidate_with or ()), candidate_revision, repository),
    )
    check_different(*sides)
    sweep_name(sweep)  # reads it where it is a file; a method may be known to one of the sides only
    if out is not None:
        check_replaceable(out)

    from json import dumps

    from analysis.report.gate import HEADER, as_json, rows, sentence, write_page
    from analysis.report.gate import markdown as as_markdown
    from analysis.statistics.sequential import Plan
    from harness import gate as engine
    from results.layout import write_atomically

    chosen: dict[str, Any] = {"margin": margin, "cost_margin": cost_margin, "level": level}
    chosen["looks"] = None if looks is None else engine.looks_of(looks)
    plan = Plan(**{name: value for name, value in chosen.items() if value is not None})
    with _gated(), while_running():
        prepared = engine.prepared(sweep, *sides, plan, results, costs=costs)
        for line in engine.introduction(prepared):
            say(line)
        with new_console().status("") as status:
            result = engine.run(
                prepared, on_look=lambda look: say(engine.headline(look)), on_progress=status.update
            )
        account, target = result.account, out or prepared.folder / "report"
        with replacing(target) as draft:
            page = write_page(account, result.plot, draft)
        if json is not None:
            write_atomically(json, f"{dumps(as_json(account), indent=1)}\n")
        if markdown is not None:
            write_atomically(markdown, as_markdown(account))
    say(f"\n{account.outcome}: {sentence(account)}\n", style="bold")
    table(HEADER, rows(account))
    say(f"\n{account.proposals}")
    changed = (f"{name} {old} → {new}" for name, (old, new) in account.versions.items())
    say(f"versions that differ: {', '.join(changed) or 'none'}")
    used = (f"{side} {seconds:.0f} s" for side, seconds in result.cpu_seconds.items())
    say(f"processor time: {', '.join(used)}")
    say(f"report: {target.resolve() / page.name}")
    raise typer.Exit(_CODES[account.outcome])


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
