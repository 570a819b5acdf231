"""What MkDocs is told of the pages: their order, those from outside docs/, and the reference of the Python names.

The pages are read on code hosts, too. So nothing in them is written for the site: links lead to files of the
repository, and anchors are those that code hosts make of headings.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify

ROOT: Final = Path(__file__).parent.parent
OUTSIDE: Final = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "cluster.yaml": "cluster.yaml",
}
"""Files of the repository that pages link to, and where the site has them."""
REFERENCE: Final = "reference.md"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Give the site its navigation and the anchors of code hosts."""
    config.mdx_configs.setdefault("toc", {})["slugify"] = slugify(case="lower")
    config.nav = navigation((Path(config.docs_dir) / "index.md").read_text(encoding="utf-8"))
    return config


def navigation(index: str) -> list[dict[str, Any]]:
    """Return the navigation that the lists of the first page make, section by section."""
    nav: list[dict[str, Any]] = [{"Overview": "index.md"}]
    for heading, body in re.findall(r"^## (.+)\n((?:(?!## ).*\n?)*)", index, re.MULTILINE):
        listed = re.findall(r"^- \[(.+?)\]\((?:\.\./)?(\S+?\.md)\)", body, re.MULTILINE)
        if listed:
            nav.append({heading: [{title: OUTSIDE.get(path, path)} for title, path in listed]})
    nav[-2][next(iter(nav[-2]))].append({"Python reference": REFERENCE})
    return nav


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what the site takes from outside docs/, and the reference."""
    for path, place in OUTSIDE.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / path)))
    files.append(File.generated(config, REFERENCE, content=reference()))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Let links to files outside docs/ lead to where the site has them, and those of such pages into docs/."""
    if page.file.src_uri in OUTSIDE.values():
        markdown = re.sub(r"\]\(docs/", "](", markdown)
    return re.sub(
        r"\]\((?:\.\./)?([\w.]+)(#[^)]*)?\)",
        lambda link: f"]({OUTSIDE[link[1]]}{link[2] or ''})" if link[1] in OUTSIDE else link[0],
        markdown,
    )


def reference() -> str:
    """Return the page of the names that `derby` has for its users, by the modules they are from."""
    tree = ast.parse((ROOT / "derby" / "__init__.py").read_text(encoding="utf-8"))
    public = next(
        set(ast.literal_eval(node.value))
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    parts = [
        "# Python reference",
        "`import derby` has all of these names. They are loaded when they are first used.",
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and public & {name.name for name in node.names}:
            path = ROOT.joinpath(*node.module.split("."))
            file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
            about = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or node.module
            parts += ["## " + about.partition("\n")[0].rstrip("."), f"Module `{node.module}`."]
            parts += [f"::: {node.module}.{name.name}" for name in node.names if name.name in public]
    return "\n\n".join(parts) + "\n"
