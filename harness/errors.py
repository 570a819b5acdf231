"""The errors a user can act on; each message says what was expected, what came, where, and what to do."""

from __future__ import annotations

import difflib
import errno
import itertools
import os
import re
from collections.abc import Iterable, Mapping, Sequence

from harness.plurals import plural


class DerbyError(Exception):
    """Base of every error that the command line prints as a message instead of a traceback."""


class SpaceError(DerbyError, ValueError):
    """A domain, a search space or a configuration is not valid."""


class UnknownNameError(DerbyError, KeyError):
    """A task, searcher, variant or setting of that name does not exist."""

    def __str__(self) -> str:  # KeyError would show the repr of the message
        return str(self.args[0])


class IncompatibleError(DerbyError, ValueError):
    """A searcher cannot handle this problem; known before anything is trained."""


class MissingLibraryError(DerbyError, ImportError):
    """A searcher or task needs a library that is not installed."""


class TaskError(DerbyError, RuntimeError):
    """A task raised, or returned something outside its contract; the studies on it fail."""


class SearcherError(DerbyError, RuntimeError):
    """A searcher raised, or proposed something outside the space; its study fails."""


class ProtocolError(DerbyError, RuntimeError):
    """The ask/tell contract was broken by the caller: told twice, or told something never asked."""


class DataError(DerbyError, RuntimeError):
    """A data set was not found, or is not the one expected."""


class SweepError(DerbyError, ValueError):
    """A sweep file is unusable; the message lists every problem with file, line and field."""


class ForeignResultsError(DerbyError, ValueError):
    """What was run elsewhere cannot be imported; the message lists every problem with its place."""


class RecordError(DerbyError, RuntimeError):
    """The results folder cannot be read or written."""


class WriteError(RecordError):
    """The results folder cannot be written; the run stops, and goes on when run again."""


class SideError(DerbyError, RuntimeError):
    """A side of a gate cannot be built or run: nothing is known of the method."""


class ProcessorError(DerbyError, RuntimeError):
    """This processor cannot compute as was declared."""


class ReplayMismatchError(DerbyError, RuntimeError):
    """A resumed study did not repeat what its journal says it did."""


class Interruption(KeyboardInterrupt):
    """The user asked a run to stop; raised wherever the main thread is, and never by a task or a searcher."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return a hint that ends an error message: the nearest valid name, then all of them, or of very many the nearest.

    Of names about as near, the nearest is the one that begins like what was given.
    """
    names = sorted(valid)
    close = _closest(str(name), names)
    hint = f"did you mean {close!r}? " if close is not None else ""
    if len(names) > _LISTED:
        near = difflib.get_close_matches(str(name), names, n=_NEAR, cutoff=0.0)
        return f"{hint}valid: {', '.join(near)} and {len(names) - len(near)} others"
    return f"{hint}valid: {', '.join(names) if names else 'none'}"


_LISTED = 100
"""How many valid names are listed; of more than these the nearest."""
_NEAR = 10
"""How many the nearest are."""
_SIMILAR = 0.5
"""From which similarity on, 1 being equal, a name may be meant."""


def _closest(name: str, names: Sequence[str]) -> str | None:
    given = name.casefold()

    def nearness(other: str) -> float:
        folded = other.casefold()
        alike = difflib.SequenceMatcher(None, folded, given).ratio()
        begun = sum(itertools.accumulate(map(str.__eq__, folded, given), min))
        whole = len(given) > 1 and given in folded  # a part of the name
        return alike + begun / max(len(given), 1) if alike >= _SIMILAR or whole else 0.0

    best = max(names, key=nearness, default="")
    return best if best and nearness(best) else None


_SYSTEM = {
    errno.ENOENT: "there is no such file or folder",
    errno.EISDIR: "it is a folder, and a file was expected",
    errno.ENOTDIR: "a part of this path is a file, and a folder was expected",
    errno.EEXIST: "there is something of that name already",
    errno.EACCES: "there is no permission",
    errno.EPERM: "there is no permission",
    errno.EROFS: "the file system is read-only",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota of disk space is used up",
    errno.EFBIG: "the file would be too large",
    errno.ENAMETOOLONG: "a name in this path is too long",
    errno.ELOOP: "its links lead in a circle",
    errno.EMFILE: "too many files are open",
    errno.ENFILE: "too many files are open",
    errno.ENOTEMPTY: "the folder is not empty",
    errno.EXDEV: "it would have to move to another disk",
    errno.EIO: "its disk reports an error",
    errno.ECONNREFUSED: "nothing listens there",
    errno.EADDRINUSE: "another program listens there",
}
"""What the operating system refuses by, in words; others as it says them."""


def refusal(error: Exception) -> str:
    """Return in words why the operating system refused something, without number and path; of others what they say."""
    if not isinstance(error, OSError):
        return said(error)
    if error.errno in _SYSTEM and error.strerror == os.strerror(error.errno):  # and no words of our own
        return _SYSTEM[error.errno]
    return error.strerror or said(error)


MESSAGE_CHARACTERS = 10_000
"""What is kept of the text of others."""


def shown(value: object, most: int = 80) -> str:
    """Return a value as Python writes it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def fault_in_words(fault: Mapping[str, object]) -> str:
    """Return what pydantic found wrong with a value, and the value."""
    text = str(fault["msg"]).removeprefix("Value error, ")
    return f"{text[:1].lower()}{text[1:]}, got {shown(fault['input'])}"


def typed(value: object) -> str:
    """Return a value of others for a message: its beginning and its type, also where its ``__repr__`` raises."""
    kind = type(value).__name__
    try:
        return f"{shown(value)} ({kind})"
    except BaseException:  # noqa: BLE001 - of others; whatever it is, it is not what was asked for
        return f"a {kind} whose repr raises"


def said(error: BaseException) -> str:
    """Return what an exception says of itself, also where its ``__str__`` raises."""
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 - of others
        text = "(its __str__ raises)"
    return plain_text(f"{type(error).__name__}: {text}" if text else type(error).__name__)


_DETAILS = re.compile(
    r"""\b(?:Float|Int|Choice)\(.*\)|(?:did\ you\ mean\ .*\?\ )?\bvalid:\ .*|\{[^{}]*\}|\[[^\[\]]*\]|'[^']*'|"[^"]*"
    |(?<!line\ )-?\b\d[\w.+-]*""",
    re.VERBOSE,
)
"""What messages name: domains, valid names, configurations, names and numbers, but for lines of files."""


def gist(message: str) -> str:
    """Return what a message has in common with others that say the same of other values."""
    return _DETAILS.sub("…", message)


def by_gist(messages: Mapping[str, str]) -> list[str]:
    """Return a line for each kind of message: of which study it is, of how many others, and what it says of the first.

    Args:
        messages: Of studies, by their labels.
    """
    kinds: dict[str, dict[str, str]] = {}
    for label, message in messages.items():
        kinds.setdefault(gist(message), {})[label] = message
    lines = []
    for own in kinds.values():
        (label, message), *others = own.items()
        same = sum(other == message for _, other in others)
        more = f" and {_studies(same)}" if same else ""
        alike = f"; and {_studies(len(others) - same)} likewise" if len(others) > same else ""
        lines.append(f"{label}{more}: {message}{alike}")
    return lines


def _studies(number: int) -> str:
    return plural(number, "study more", "studies more")


def plain_text(text: str) -> str:
    """Return a text that any file takes: no lone surrogates, and not without end."""
    kept = text if len(text) <= MESSAGE_CHARACTERS else f"{text[:MESSAGE_CHARACTERS]} …"
    return kept.encode(errors="backslashreplace").decode()
