"""The progress page's server: loopback only, read only, and for who knows its address.

Other programs of this machine, and pages of other sites in the browser, can reach a loopback port, too. So the address
holds a secret; a request must name this server as its host, which no page does that made its own name point here
(DNS rebinding); nothing but ``GET`` and ``HEAD`` is answered; and files are found by names that were listed, never by
path.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import msgspec

from harness.errors import SweepError, refusal
from harness.watch.figures import Figures
from harness.watch.overview import Overview

HOST: Final = "127.0.0.1"
QUIET_SECONDS: Final = 30
"""A connection that says nothing for so long is closed."""

_HERE: Final = Path(__file__).parent
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".pdf": "application/pdf",
    ".csv": "text/csv; charset=utf-8",
    ".tex": "text/plain; charset=utf-8",
}
_OWN: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_REPORT: Final = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""A report holds its script and style itself; it may load nothing, and send nothing anywhere."""


class Server(ThreadingHTTPServer):
    """Serves the progress page of one sweep to any number of browsers.

    Args:
        overview: What the page shows.
        figures: Its figures.
        port: Where to listen; 0 takes one that is free.

    Raises:
        SweepError: The port cannot be had.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, overview: Overview, figures: Figures, port: int = 0) -> None:
        self.overview = overview
        self.figures = figures
        self.secret = secrets.token_urlsafe(12)
        self.page = {f"page{path.suffix}": path.read_bytes() for path in _HERE.glob("page.*")}
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise SweepError(
                f"cannot listen on port {port} of {HOST}: {refusal(error)}; give another one with --port, or 0 for one "
                "that is free"
            ) from error

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://{HOST}:{self.server_port}/{self.secret}/"

    @property
    def hosts(self) -> frozenset[str]:
        """By which names requests may call it."""
        return frozenset(f"{name}:{self.server_port}" for name in (HOST, "localhost"))

    def state(self) -> bytes:
        """Return what the page asks for again and again, as JSON."""
        view = self.overview.view()
        done = view.recorded.states["done"] if view.recorded is not None else 0
        shown = self.figures.consider(done or None)
        return msgspec.json.encode({"view": view, "figures": shown})

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that broke off: a browser's tab was closed."""


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version = "derby"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = QUIET_SECONDS

    def do_GET(self) -> None:
        """Answer with what is there by that name."""
        self._answer()

    def do_HEAD(self) -> None:
        """Answer as to `do_GET`, without the content."""
        self._answer()

    def _answer(self) -> None:
        if self.headers.get("Host", "").lower() not in self.server.hosts:
            self._send(HTTPStatus.MISDIRECTED_REQUEST, b"This server answers only by its own name.\n", ".txt")
            return
        if self.path == f"/{self.server.secret}":
            self._send(HTTPStatus.PERMANENT_REDIRECT, b"", ".txt", location=f"/{self.server.secret}/")
            return
        name = self._name()
        if name is None:
            self._send(HTTPStatus.NOT_FOUND, b"Open the address that derby watch has printed.\n", ".txt")
            return
        made = self._content(name)
        if made is None:
            self._send(HTTPStatus.NOT_FOUND, b"There is nothing of that name.\n", ".txt")
            return
        policy = _REPORT if name.startswith("report/") else _OWN
        self._send(HTTPStatus.OK, made, Path(name or "page.html").suffix, policy)

    def _name(self) -> str | None:
        """Return what is asked for, without the secret before it; ``None`` where that is missing."""
        secret, slash, name = unquote(urlsplit(self.path).path).removeprefix("/").partition("/")
        known = hmac.compare_digest(secret.encode(), self.server.secret.encode())
        return name if slash and known else None

    def _content(self, name: str) -> bytes | None:
        own: dict[str, Callable[[], bytes | None]] = {
            "": lambda: self.server.page["page.html"],
            "page.css": lambda: self.server.page["page.css"],
            "page.js": lambda: self.server.page["page.js"],
            "state.json": self.server.state,
        }
        if name in own:
            return own[name]()
        if name.startswith("report/"):
            return self.server.figures.file(name.removeprefix("report/"))
        return None

    def _send(
        self, status: HTTPStatus, content: bytes, suffix: str, policy: str = _OWN, **headers: str
    ) -> None:
        self.send_response(status)
        headers |= {
            "Content-Type": _TYPES.get(suffix, "text/plain; charset=utf-8"),
            "Content-Length": str(len(content)),
            "Cache-Control": "no-store",
            "Content-Security-Policy": policy,
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        for header, value in headers.items():
            self.send_header(header, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what the library refuses: unknown methods, malformed requests."""
        status = HTTPStatus(code)
        if status is HTTPStatus.NOT_IMPLEMENTED:  # a method that is not one of the two
            status = HTTPStatus.METHOD_NOT_ALLOWED
        self.close_connection = True
        if not hasattr(self, "command") or self.command is None:
            self.command = "GET"
        self._send(status, f"{status.phrase}.\n".encode(), ".txt")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named by the library
        """Keep the terminal to the address."""
