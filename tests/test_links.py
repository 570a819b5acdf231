"""Links between the pages: each leads to a file and a heading that are there, on a code host and on the site alike."""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").glob("*.md")
)
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]


@cache
def tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))


def inline(page: Path) -> Iterator[tuple[Token, Token | None]]:
    """Yield each run of text of a page, and the token that opened its block."""
    for before, token in zip([None, *tokens(page)], tokens(page), strict=False):
        if token.type == "inline":
            yield token, before


@cache
def anchors(page: Path) -> list[str]:
    """Return the anchors of a page's headings, in order, as code hosts make them of their words."""
    found: list[str] = []
    for token, before in inline(page):
        if before is None or before.type != "heading_open":
            continue
        words = "".join(it.content for it in token.children or () if it.type in ("text", "code_inline"))
        slug = re.sub(r"[^\w\- ]", "", unicodedata.normalize("NFC", words).lower()).replace(" ", "-")
        found.append(slug)
    return found


def links(page: Path) -> list[str]:
    """Return where a page's links and pictures lead."""
    children = [child for token, _ in inline(page) for child in token.children or ()]
    return [
        str(it.attrs.get("href", it.attrs.get("src", "")))
        for it in children
        if it.type in ("link_open", "image")
    ]


def fault(page: Path, link: str) -> str | None:
    """Return what is wrong with a link of a page; others' sites are not asked."""
    if re.match(r"[a-z]+:", link):
        return None if link.startswith(("https://", "http://", "mailto:")) else "an unknown kind of link"
    name, _, anchor = unquote(link).partition("#")
    target = (page.parent / name).resolve() if name else page
    if not target.is_relative_to(ROOT) or not target.exists():
        return f"no such file: {target}"
    if name.startswith("/"):
        return "a path from the root, which is another folder on a code host"
    if anchor and target.suffix != ".md":
        return "an anchor in what is no page"
    if anchor and anchor not in anchors(target):
        return f"{target.name} has no such heading; it has {', '.join(anchors(target))}"
    return None


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_leads_somewhere(page):
    assert {link: why for link in links(page) if (why := fault(page, link))} == {}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_heading_has_an_anchor_of_its_own(page):
    """Where two headings are alike, code hosts and the site number them in different ways."""
    if page.name == "CHANGELOG.md":  # its sections are alike in every version
        return
    assert len(set(anchors(page))) == len(anchors(page))


def test_every_page_is_listed():
    """The site's navigation is the lists of `docs/index.md`: a page that is on none of them is not found."""
    index = ROOT / "docs" / "index.md"
    listed = {(index.parent / link).resolve() for link in links(index)}
    assert [page.name for page in PAGES if page.parent == index.parent and page not in {*listed, index}] == []


def test_the_site_shows_what_the_pages_link_to():
    """A page of the site may lead to another page, to a file of docs/, or to what the site takes from outside."""
    outside = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in PAGES
        if page.parent.name == "docs"
        for link in links(page)
        if link.startswith("../")
    }
    hooks = ast.parse((ROOT / "docs" / "hooks.py").read_text(encoding="utf-8"))
    [taken] = [
        ast.literal_eval(node.value)
        for node in hooks.body
        if isinstance(node, ast.AnnAssign) and node.value and ast.unparse(node.target) == "OUTSIDE"
    ]
    assert outside <= {ROOT / name for name in taken}


@pytest.mark.parametrize(
    ("link", "why"),
    [
        ("nowhere.md", "no such file"),
        ("../../elsewhere.md", "no such file"),
        ("sweeps.md#no-such-heading", "no such heading"),
        ("figures#here", "no page"),
        ("javascript:alert(1)", "unknown kind"),
    ],
)
def test_a_dead_link_is_found(link, why):
    assert why in (fault(ROOT / "docs" / "index.md", link) or "")


def test_anchors_are_those_of_code_hosts(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A `b_c`: d – e, f's 1.5\n\n## [Linked](x.md) *word*\n\n```\n# no heading\n```\n")
    assert anchors(page) == ["a-b_c-d--e-fs-15", "linked-word"]
