"""What is drawn and how: the options of the commands that draw, and ``derby figure``, which draws one figure."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.commands import completion
from harness.commands.options import (
    DEFAULT_PUBLISHED,
    DEFAULT_RESULTS,
    Published,
    Results,
    SweepName,
    sweep_name,
)
from harness.commands.terminal import say, table
from harness.errors import SweepError, refusal

if TYPE_CHECKING:
    from analysis.figures.named import Drawn
    from harness.figure_fields import FiguresSpec
    from results.tables import SweepTables

Only = Annotated[
    str | None,
    typer.Option(metavar="A,B", help="Show these methods alone; ranks and tests are then among them."),
]
Tasks = Annotated[str | None, typer.Option(metavar="A,B", help="Show these tasks alone.")]
Labels = Annotated[str | None, typer.Option(metavar="OLD=NEW,...", help="Other names of methods and tasks.")]
Order = Annotated[str | None, typer.Option(metavar="A,B", help="Methods in the order of legends.")]
Width = Annotated[
    str | None, typer.Option(metavar="LENGTH", help="Of every figure: 3.3in, 84mm, 8.4cm, 240pt.")
]
Formats = Annotated[
    str | None, typer.Option("--format", metavar="A,B", help="Files of each figure: pdf, svg, png.")
]
Brief = Annotated[
    bool,
    typer.Option(
        "--brief",
        help="Only the figures read first, one image each, and no pages of trials: for a small publication.",
    ),
]
StyleFile = Annotated[
    Path | None,
    typer.Option("--style", metavar="FILE", help="YAML with the fields of a sweep file's block `figures`."),
]


def chosen(
    sweep: str,
    tables: SweepTables | None,
    style: Path | None,
    only: str | None,
    tasks: str | None,
    labels: str | None,
    order: str | None,
    width: str | None,
    formats: str | None,
    *,
    brief: bool = False,
) -> FiguresSpec:
    """Return how figures are drawn: what options say, then a style file, then the sweep's file.

    Args:
        sweep: The sweep as it was named: a file says what holds now, in the place of what was recorded of it.
        tables: Of the sweep, whose file as it is recorded is among them; ``None`` where several are drawn together.
        style: A style file.
        only: The option, and so on.
        tasks: Likewise.
        labels: Likewise.
        order: Likewise.
        width: Likewise.
        formats: Likewise.
        brief: Likewise; nothing is said where it is not given.

    Raises:
        SweepError: Something of it is unusable.
    """
    from harness import figure_fields

    given: dict[str, Any] = {
        "only": _listed(only),
        "tasks": _listed(tasks),
        "order": _listed(order),
        "formats": _listed(formats),
        "labels": _pairs(labels),
        "width": width,
        "brief": brief or None,
    }
    spec = figure_fields.parse({name: value for name, value in given.items() if value is not None}, "options")
    if style is not None:
        spec = spec.over(figure_fields.load_style(style))
    text = "" if tables is None else str(tables.provenance.get("sweep", ""))
    if sweep.endswith((".yaml", ".yml")):
        text = Path(sweep).read_text(encoding="utf-8")
    return spec.over(figure_fields.recorded(text))


def _listed(text: str | None) -> list[str] | None:
    """Return what commas part; what stands in double quotes may hold one."""
    if text is None:
        return None
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = ",", True, ""
    lexer.quotes, lexer.escape = '"', ""
    try:
        return [name.strip() for name in lexer if name.strip()]
    except ValueError as error:
        raise SweepError(f"expected names with commas between them, got {text!r}: {error}") from error


def _pairs(text: str | None) -> dict[str, str] | None:
    pairs = {}
    for part in _listed(text) or ():
        old, equals, new = part.partition("=")
        if not equals or not old.strip() or not new.strip():
            raise SweepError(f"--labels: expected OLD=NEW,OLD=NEW, got {part!r}")
        pairs[old.strip()] = new.strip()
    return None if text is None else pairs


def figure(
    sweep: SweepName,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="FIGURE",
            help="The figure; lists them when left out.",
            autocompletion=completion.figures,
        ),
    ] = None,
    over: Annotated[
        str | None,
        typer.Option(
            metavar="COST",
            help="evaluations, epochs, cost or seconds; what the budget counts by default.",
            autocompletion=completion.costs,
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="A task's label; over all tasks by default.", autocompletion=completion.labels_of_tasks
        ),
    ] = None,
    only: Only = None,
    tasks: Tasks = None,
    labels: Labels = None,
    order: Order = None,
    width: Width = None,
    formats: Formats = None,
    style: StyleFile = None,
    results: Results = DEFAULT_RESULTS,
    out: Annotated[
        Path | None,
        typer.Option(
            help="A folder, or a file that ends in .pdf, .svg or .png; in the sweep's folder by default."
        ),
    ] = None,
    published: Published = DEFAULT_PUBLISHED,
) -> None:
    """Draw one figure of a sweep, and print its caption; without a figure's name, list them."""
    from results.sources import named

    source = named(sweep_name(sweep), results)  # a wrong name is refused before anything else is loaded
    target = source.place("figures", out)
    if name is None:
        from analysis.figures.named import FIGURES

        rows = [
            (
                key,
                own.about,
                {"all": "", "task": "--task", "either": "[--task]"}[own.of],
                "[--over]" if own.over else "",
            )
            for key, own in FIGURES.items()
        ]
        table(("figure", "what it shows", "", ""), rows)
        return
    from results.extended import read_whole

    tables = read_whole(source, published)
    spec = chosen(sweep, tables, style, only, tasks, labels, order, width, formats)
    written, caption = draw(tables, spec, name, task, over, target)
    for path in written:
        say(str(path))
    say(f"\n{caption}")


def draw(
    tables: SweepTables, spec: FiguresSpec, name: str, task: str | None, over: str | None, target: Path
) -> tuple[list[Path], str]:
    """Draw a figure into a folder, or as a file, each file whole or not at all; return the files and the caption.

    Raises:
        SweepError: The file's ending is that of pictures of another kind.
        WriteError: It cannot be written.
    """
    from matplotlib.backend_bases import FigureCanvasBase

    from analysis import style
    from analysis.figures import named
    from analysis.figures.chosen import choose
    from analysis.statistics.inputs import prepare
    from harness.figure_fields import parse

    ending = target.suffix.removeprefix(".").lower()
    if ending not in style.SAVING and ending in FigureCanvasBase.filetypes and not target.is_dir():
        endings = [f".{known}" for known in style.SAVING]
        raise SweepError(
            f"expected a folder, or a file that ends in {', '.join(endings[:-1])} or {endings[-1]}, got {target}"
        )
    if ending in style.SAVING:
        spec = parse({"formats": [ending]}, str(target)).over(spec)
    selected = choose(tables, spec)
    with style.using(selected.style):
        drawn = named.draw(prepare(selected.tables), name, task=selected.task(task), over=over)
        return _written(drawn, target, ending if ending in style.SAVING else ""), drawn.plot.caption


def _written(drawn: Drawn, target: Path, ending: str) -> list[Path]:
    """Write a figure into a folder, or as a file where an ending is given, each file whole or not at all."""
    from analysis.figures.canvas import save
    from harness.errors import WriteError
    from results.layout import make_folder

    folder = target.parent if ending else target
    make_folder(folder)
    try:
        with tempfile.TemporaryDirectory(prefix=".derby-", dir=folder) as draft:
            made = save(drawn.plot, Path(draft), drawn.stem)
            if ending:
                made = {ending: made[ending].rename(Path(draft) / target.name)}
            return [path.replace(folder / path.name) for path in made.values()]
    except OSError as error:
        raise WriteError(f"cannot write {target}: {refusal(error)}; give another place with --out") from error
