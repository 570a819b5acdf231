"""The command that makes a leaderboard of published races."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from harness.commands import completion
from harness.commands.options import DEFAULT_PUBLISHED, Published
from harness.commands.terminal import say
from harness.errors import DerbyError, RecordError, nearest

DEFAULT_SITE = Path("results/site")


def site(
    races: Annotated[
        list[str],
        typer.Argument(
            metavar="PUBLISHED...",
            help="Published races: names, or folders.",
            autocompletion=completion.published,
        ),
    ],
    title: Annotated[str, typer.Option(help="The site's title.")] = "Leaderboard",
    budgets: Annotated[
        str,
        typer.Option(
            metavar="N,N,...",
            help="Budgets that curves are read at, in full evaluations; the end of each race besides.",
        ),
    ] = "10,25,50,100",
    published: Published = DEFAULT_PUBLISHED,
    out: Annotated[Path, typer.Option(help="Folder to write.")] = DEFAULT_SITE,
) -> None:
    """Make a leaderboard of published races: pages to read from the disk or to put on any web server."""
    points = _points(budgets)
    folders = [_folder(given, published) for given in dict.fromkeys(races)]

    from results.folders import check_replaceable, replacing

    check_replaceable(out)
    for folder in folders:
        if out.resolve() == folder.resolve() or out.resolve() in folder.resolve().parents:
            raise DerbyError(
                f"--out {out} holds {folder}, which the site is made from; choose another folder"
            )
        if folder.resolve() in out.resolve().parents:
            raise DerbyError(
                f"--out {out} lies in {folder}, which is published and does not change; choose another"
            )

    from analysis.site.arenas import arenas, read_race
    from analysis.site.pages import build, named_in
    from harness.descriptions import described

    found = arenas([read_race(folder) for folder in folders], points)
    about = described(*named_in(found))
    with replacing(out) as draft:
        page = build(found, about, draft, title=title)
    for arena in found:
        if arena.apart:
            say(f"note: {arena.apart}")
    say(f"site: {out.resolve() / page.name}")


def _points(text: str) -> list[float]:
    """Return the budgets in a list; raise `DerbyError` where one is none."""
    found = []
    for part in text.split(","):
        try:
            value = float(part)
        except ValueError:
            value = math.nan
        if not 1 <= value < math.inf:
            raise DerbyError(
                f"--budgets: expected numbers of full evaluations from 1, such as 10,25,50, got {part.strip()!r}"
            )
        found.append(value)
    return found


def _folder(given: str, published: Path) -> Path:
    """Return the published folder that is meant: a name in the folder of published results, or a path."""
    from results.publications import MANIFEST, names_in

    inside = published / given
    if "/" not in given and (inside / MANIFEST).is_file():
        return inside
    if (Path(given) / MANIFEST).is_file():
        return Path(given)
    if Path(given).is_dir():
        raise RecordError(
            f"{given} is not published: it has no {MANIFEST}; publish the sweep first, with `derby publish`"
        )
    raise RecordError(f"nothing published as {given!r} in {published}; {nearest(given, names_in(published))}")
