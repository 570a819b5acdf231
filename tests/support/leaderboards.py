"""Published races for tests of leaderboards, without drawing a report; and what a page holds."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

from analysis.site.arenas import Race
from results.tables import SweepTables


def race_of(tables: SweepTables, folder: Path) -> Race:
    """Return a race whose folder has what pages link to."""
    folder.mkdir(parents=True)
    tables.trials.to_parquet(folder / "trials.parquet")
    tables.studies.to_parquet(folder / "studies.parquet")
    (folder / "manifest.json").write_text(json.dumps({"files": {}}))
    return Race(folder.name, folder, {"files": {}}, tables)


def draw_nothing(tables: SweepTables, folder: Path) -> None:
    """Stand for the report where a sweep is published."""
    del tables
    for name in ("figures", "tables"):
        (folder / name).mkdir()
    (folder / "report.html").write_text("<html>")


class Page(HTMLParser):
    """A page: its links, anchors, text and cells.

    Attributes:
        links: Where it leads, and what it shows.
        ids: Its anchors.
        items: Texts of the chooser's answers, by id.
        text: All its text.
        missing: Images without a text.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.missing: list[str] = []
        self._text: list[str] = []
        self._hidden = 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self._hidden += tag in ("script", "style")
        if "id" in found:
            self.ids.append(found["id"])
        self.links += [found[name] for name in ("href", "src") if name in found]
        if tag == "img" and not found.get("alt"):
            self.missing.append(found.get("src", "")[:80])

    def handle_endtag(self, tag):
        self._hidden -= tag in ("script", "style")

    def handle_data(self, data):
        if not self._hidden:
            self._text.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self._text).split())


def pages_in(folder: Path) -> list[Path]:
    """Return the pages of a site, but those of the published races in it."""
    return sorted(
        path for path in folder.rglob("*.html") if "published" not in path.relative_to(folder).parts
    )


def dead_links(folder: Path) -> list[str]:
    """Return every link of a site's pages that leads nowhere inside it."""
    pages = {path.resolve(): Page(path) for path in pages_in(folder)}
    dead = []
    for path, page in pages.items():
        for link in page.links:
            if link.startswith("data:"):
                continue
            name, _, anchor = link.partition("#")
            target = (path.parent / unquote(name)).resolve() if name else path
            inside = target.is_relative_to(folder.resolve()) and target.is_file()
            if not inside or (anchor and target in pages and unquote(anchor) not in pages[target].ids):
                dead.append(f"{path.relative_to(folder.resolve())}: {link}")
    return dead
