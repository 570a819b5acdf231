"""A place for a copy of a results folder, a bucket or a shared folder: files by name, each replaced in one step."""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import pyarrow as pa
from pyarrow import fs

from harness.errors import RecordError, refusal
from harness.keys import NAME

ROOMS = {
    "machines": ("*.json",),
    "evaluations": ("*/*.jsonl",),
    "studies": ("*",),
    "sweeps": ("*/sources/*.py", "*/sweep.yaml", "*/plan.json", "*/runs/*.json"),
}
"""What is copied, in the order in which it is: an evaluation names its machine, a study its evaluations, and the
end of a run all of its studies."""

SOURCE = r"[A-Za-z0-9][A-Za-z0-9._-]{0,78}-[0-9a-f]{16}\.py"
"""Name of the copy of a user's file; see `results.layout.source_name`."""

RECORDED = re.compile(
    rf"machines/{NAME}\.json|evaluations/{NAME}/{NAME}\.jsonl|studies/{NAME}(\.jsonl|\.set-aside-{NAME})"
    rf"|sweeps/{NAME}/(sources/{SOURCE}|sweep\.yaml|plan\.json|runs/{NAME}\.json)"
)
"""Nothing else is read from a copy or written to one: no draft, no lock, and no name that leaves the folder."""

_CHUNK = 8 << 20

_KINDS = {"s3": "s3", "gs": "gs", "gcs": "gs", "file": "file", "": "file"}
"""By scheme. Azure's file is empty, and HDFS's half there, while it is written: a loss then would lose it."""

_HINTS = {
    "s3": "that the bucket exists and its region is right, and that credentials are found (AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY, ~/.aws, or the machine's role) which may list, read, write and delete there",
    "gs": "that the bucket exists, and that credentials are found (GOOGLE_APPLICATION_CREDENTIALS, or the machine's "
    "service account) which may list, read, write and delete there",
    "file": "that the folder's disk or share is mounted, has room, and may be written by you",
}


def _chunks(file: IO[bytes], length: int) -> Iterator[bytes]:
    """Yield the first ``length`` bytes of a file, in pieces that fit into memory."""
    file.seek(0)
    while length:
        chunk = file.read(min(_CHUNK, length))
        if not chunk:
            raise OSError(errno.EIO, "it became shorter while it was copied")
        length -= len(chunk)
        yield chunk


class Place:
    """Where a copy is: files by name, each replaced in one step.

    Args:
        uri: As for `Mirror`.

    Raises:
        RecordError: The URI names no place of a kind that can hold a copy.
    """

    def __init__(self, uri: str) -> None:
        # Keys may be part of a URI; they are never shown.
        self.shown = re.sub(r"//([^/@]*|[^@]*:[^@]*)@", "//", uri)
        self._uri = uri
        self._draft = f".{secrets.token_hex(4)}"
        scheme = "" if uri.startswith("/") else uri.partition("://")[0]
        self._kind = _KINDS.get(scheme, "")
        if self._kind == "gs" and "retry_limit_seconds" not in uri:
            # Its default is a quarter of an hour, for which a start or an end without network would wait.
            uri += ("&" if "?" in uri else "?") + "retry_limit_seconds=30"
        path = ""
        try:
            if self._kind:
                self._fs, path = fs.FileSystem.from_uri(uri)
            if self._kind == "s3":
                # A URI can set no timeouts, and without them a connection that hangs does so for ever.
                make, (options,) = self._fs.__reduce__()
                self._fs = make({**options, "connect_timeout": 10, "request_timeout": 20})
        except (OSError, ValueError, TypeError, pa.ArrowException) as error:
            raise RecordError(self.refusal("reach", error)) from error
        self._base = path.rstrip("/")
        if not self._base:
            raise RecordError(
                f"cannot copy to {self.shown!r}: expected s3://bucket/folder, gs://bucket/folder, file:///folder or "
                "an absolute path; mount another store as a folder and give that"
            )
        self._is_local = self._kind == "file"

    def prepare(self, root: Path) -> None:
        """Make sure that the place can be written, or raise `RecordError`."""
        if self._is_local and Path(self._base).resolve().is_relative_to(root.resolve()):
            raise RecordError(
                f"cannot copy results folder {root} to {self.shown}, which is in it; give a folder elsewhere, best on "
                "another machine's disk"
            )
        try:
            if self._is_local and not Path(self._base).is_dir():
                # Its parents are not made: where they are missing, a share is not mounted or a name is misspelt.
                Path(self._base).mkdir()
            probe = f"derby-probe{self._draft}"
            self._write(probe, [b"{}"])
            self._fs.delete_file(self._path(probe))
        except (OSError, pa.ArrowException) as error:
            raise RecordError(self.refusal("write to", error)) from error

    def refusal(self, what: str, error: BaseException) -> str:
        """Return a message that says why the place cannot be used, and what to check."""
        return f"cannot {what} {self.shown}: {self.words(error)}; check {_HINTS[self._kind]}"

    def words(self, error: BaseException, name: str = "") -> str:
        """Return an error in a line, without the keys of a URI."""
        text = refusal(error) if isinstance(error, OSError) and error.strerror else str(error)
        line = next(iter(text.replace(self._uri, self.shown).splitlines()), "") or type(error).__name__
        return f"{name}: {line[:300]}" if name else line[:300]

    def listing(self) -> dict[str, int]:
        """Return the length of every file of a record that is there, by name."""
        if self._is_local and not Path(self._base).is_dir():
            # Where a share is no longer mounted, its folder must not be made on the disk below.
            raise FileNotFoundError(errno.ENOENT, f"there is no folder {self._base}", self._base)
        held = {}
        for room in ROOMS:
            selector = fs.FileSelector(self._path(room), recursive=True, allow_not_found=True)
            for info in self._fs.get_file_info(selector):
                name = info.path.removeprefix(f"{self._base}/")
                if info.type == fs.FileType.File and RECORDED.fullmatch(name):
                    held[name] = info.size
        return held

    def read(self, name: str) -> Iterator[bytes]:
        """Yield a file's content in pieces."""
        with self._fs.open_input_stream(self._path(name)) as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk

    def part(self, name: str, begin: int, end: int) -> bytes:
        """Return some bytes of a file."""
        with self._fs.open_input_file(self._path(name)) as file:
            data: bytes = file.read_at(end - begin, begin)
        return data

    def write(self, name: str, source: IO[bytes], length: int) -> None:
        """Replace a file by the first ``length`` bytes of another, in one step."""
        if length <= _CHUNK:
            self._write(name, list(_chunks(source, length)))
            return
        # A stream cannot be given up: to close it makes a file of what was written so far. So a disk that
        # fails is noticed before, not after, half of a file has taken the place of the whole one.
        for _ in _chunks(source, length):
            pass
        self._write(name, _chunks(source, length))

    def _write(self, name: str, chunks: Iterable[bytes]) -> None:
        if not self._is_local:
            self._stream(self._path(name), chunks)
            return
        path = Path(self._path(name))
        draft = path.with_name(f".{path.name}{self._draft}")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._stream(str(draft), chunks)
            with draft.open("rb") as file:
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)

    def _stream(self, path: str, chunks: Iterable[bytes]) -> None:
        with self._fs.open_output_stream(path) as stream:
            for chunk in chunks:
                stream.write(chunk)
                stream.flush()  # Waits for what is under way: else all of a file might wait in memory.

    def _path(self, name: str) -> str:
        return f"{self._base}/{name}"
