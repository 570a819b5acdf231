"""The command that shows a sweep's progress in the browser."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands.options import DEFAULT_RESULTS, Results, SweepName, sweep_name
from harness.commands.terminal import say

if TYPE_CHECKING:
    from types import FrameType

    from harness.watch.server import Server


def watch(
    sweep: SweepName,
    results: Results = DEFAULT_RESULTS,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: one that is free.")] = 0,
    figures: Annotated[
        float,
        typer.Option(
            metavar="MINUTES", min=0.1, help="Draw figures at most so often, while the page is open."
        ),
    ] = 5.0,
    no_figures: Annotated[bool, typer.Option("--no-figures", help="Draw none.")] = False,
) -> None:
    """Show a sweep's progress as a page in the browser, on this machine only; Ctrl-C ends it."""
    from harness.watch.figures import Figures
    from harness.watch.overview import Overview
    from harness.watch.server import Server
    from results.layout import checked_name

    name = checked_name("sweep", sweep_name(sweep))
    drawn = Figures(results, name, None if no_figures else figures * 60)
    try:
        with Server(Overview(results, name), drawn, port) as server:
            _until_asked(server)
            say(f"watching {name} in {results}: {server.url}")
            say("Ctrl-C ends this page, not the sweep.")
            server.serve_forever(poll_interval=0.2)
    finally:
        drawn.close()


def _until_asked(server: Server) -> None:
    """Let the signals that end a program end the server, which is the usual way to do it and no failure."""

    def end(_signal: int, _frame: FrameType | None) -> None:
        threading.Thread(target=server.shutdown).start()  # waits for the loop that this signal interrupts

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, end)
