"""Text, numbers and tables as LaTeX source."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from analysis.words import rounded_by_sd
from harness.plurals import plural

_SPECIAL: Mapping[str, str] = MappingProxyType(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\textquotedbl{}",
        "–": "--",
        "—": "---",
        "−": "$-$",
        "±": r"$\pm$",
        "×": r"$\times$",
        "≤": r"$\leq$",
        "∞": r"$\infty$",
        "τ": r"$\tau$",
        "χ": r"$\chi$",
        "²": r"$^2$",
        "…": r"\dots{}",
        "\u2019": "'",
        "\u00a0": "~",
    }
)


def escape(text: str) -> str:
    r"""Return text that LaTeX prints as it is.

    Characters of other scripts are kept: pdfLaTeX refuses them, and LuaLaTeX prints them in a font that has
    them, as `table_environment` says in its first line. What has no print, such as a control character, is a space.

    Example:
        >>> escape("50 % of a_b & {c}")
        '50 \\% of a\\_b \\& \\{c\\}'
    """
    printed = "".join(c if c.isprintable() else " " for c in text)
    return "".join(_SPECIAL.get(c, c) for c in (text if text.isprintable() else " ".join(printed.split())))


_LATIN = 0x17F
"""The last character that pdfLaTeX knows by itself: the end of Latin Extended-A."""


def _engine(latex: str) -> list[str]:
    """Return a comment that names the characters for which another engine is needed; none where none are."""
    others = "".join(sorted({c for c in latex if ord(c) > _LATIN}))
    return (
        [f"% Compile with LuaLaTeX or XeLaTeX, in a font that has {others}: pdfLaTeX cannot print these."]
        if others
        else []
    )


def table_environment(
    header: Sequence[str], rows: Sequence[Sequence[str]], caption: str, label: str, *, align: str = ""
) -> str:
    r"""Return a ``table`` environment.

    Args:
        header: Column headings, text.
        rows: Cells; LaTeX already, so that text must have gone through `escape`.
        caption: Text.
        label: For ``\ref``; text.
        align: Column types; left for the first and right for the others when empty.

    Raises:
        ValueError: A row has not as many cells as there are headings.
    """
    if any(len(row) != len(header) for row in rows):
        raise ValueError(f"every row needs {plural(len(header), 'cell')}, got {[len(row) for row in rows]}")
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(caption)}}}",
        rf"\label{{tab:{''.join(c if c.isalnum() or c in '-:' else '-' for c in label)}}}",
        rf"\begin{{tabular}}{{{align or 'l' + 'r' * (len(header) - 1)}}}",
        r"\toprule",
        " & ".join(escape(cell) for cell in header) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join([*_engine("".join(lines)), *lines]) + "\n"


def in_latex(value: float, digits: int = 3) -> str:
    """Return a number in LaTeX with significant digits; a dash where there is none, ∞ where it is infinite."""
    if math.isnan(value):
        return "--"
    if math.isinf(value):
        return r"$\infty$" if value > 0 else r"$-\infty$"
    text = f"{value:z.{digits}g}"
    if "e" in text:
        mantissa, exponent = text.split("e")
        return rf"${mantissa}\cdot 10^{{{int(exponent)}}}$"
    return f"${text}$" if text.startswith("-") else text


def mean_in_latex(mean: float, sd: float) -> str:
    """Return a mean with its standard deviation, to two significant digits of the latter; a dash without a mean."""
    if not math.isfinite(mean):
        return "--"
    own = rounded_by_sd(mean, sd)
    if not own.sd:
        return in_latex(mean, 5)
    if own.exponent:
        return rf"$({own.mean} \pm {own.sd})\cdot 10^{{{own.exponent}}}$"
    return rf"${own.mean} \pm {own.sd}$"


def interval_in_latex(value: float, low: float, high: float, decimals: int = 3) -> str:
    """Return a value with its interval; without what is NaN, and a dash without a value."""
    if math.isnan(value):
        return "--"
    if math.isnan(low):
        return f"{value:z.{decimals}f}".replace("-", "$-$")
    return f"{value:z.{decimals}f} [{low:z.{decimals}f}, {high:z.{decimals}f}]".replace("-", "$-$")


def p_in_latex(value: float) -> str:
    """Return a p to two significant digits; a dash where it is NaN."""
    if math.isnan(value):
        return "--"
    return r"\textless{}0.001" if value < 0.001 else f"{value:.2g}"
