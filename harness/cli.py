"""The command line: which commands there are, and what becomes of their errors.

Everything but the command line's own library is imported where it is used: ``derby --help`` answers at once.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperCommand

from harness.arithmetic import declare
from harness.commands import (
    drawing,
    entering,
    examining,
    gating,
    importing,
    listings,
    recordings,
    reports,
    reproduction,
    running,
    site,
    trying,
    verifying,
    watching,
)
from harness.commands.codes import NO_READER, NO_RECORD, UNUSABLE_INPUT
from harness.errors import DerbyError, RecordError, fault_in_words, refusal
from harness.output import OutputLostError, guard

if TYPE_CHECKING:
    from collections.abc import Callable

app = typer.Typer(
    name="derby",
    help="Race hyperparameter-optimisation methods over real training tasks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


class _Command(TyperCommand):
    """A command that says of an option's value what was expected, and what came."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; see `typer.core.TyperCommand`."""
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            faults: list[Any] = getattr(error.__cause__, "errors", list)()  # where it comes of pydantic
            if faults:
                named = faults[0]["type"] == "value_error"  # by typer, with the value
                error.message = str(faults[0]["ctx"]["error"]) if named else fault_in_words(faults[0])
            raise


def _say_version(asked: bool) -> None:
    if not asked:
        return
    from harness.commands.terminal import say
    from harness.provenance import version_in_words

    say(version_in_words())
    raise typer.Exit


@app.callback()
def _before_every_command(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_say_version, is_eager=True, help="Say which version this is, and exit."
        ),
    ] = False,
) -> None:
    del version  # its callback has said it
    if context.invoked_subcommand not in ("run", "doctor"):  # which have a sweep file to ask
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
    except OSError as error:  # of a file that no room of the project asks for in words of its own
        place = f"{error.filename}: " if error.filename is not None else ""
        print(f"derby: {place}{refusal(error)}", file=sys.stderr)  # noqa: T201 - the edge
        sys.exit(NO_RECORD)
    except OutputLostError as lost:
        if lost.closed:
            sys.exit(NO_READER)
        print(f"derby: {lost}", file=sys.stderr)  # noqa: T201 - the edge
        sys.exit(NO_RECORD)


_COMMANDS: Final[dict[str, Callable[..., None]]] = {
    "tasks": listings.tasks,
    "searchers": listings.searchers,
    "plan": running.plan,
    "profile": trying.profile,
    "try": trying.try_one,
    "doctor": examining.doctor,
    "run": running.run,
    "record": recordings.record,
    "certify": recordings.certify,
    "confirm": recordings.confirm,
    "gate": gating.gate,
    "reproduce": reproduction.reproduce,
    "import": importing.import_,
    "status": running.status,
    "watch": watching.watch,
    "report": reports.report,
    "figure": drawing.figure,
    "export": reports.export,
    "compare": reports.compare,
    "publish": reports.publish,
    "verify": verifying.verify,
    "enter": entering.enter,
    "site": site.site,
}
for _name, _command in _COMMANDS.items():
    app.command(_name, cls=_Command)(_command)


if __name__ == "__main__":
    main()
