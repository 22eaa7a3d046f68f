"""Server: a site on the loopback interface, for whoever was given its address."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ..errors import HwnasError
from .site import Site, static

MAX_BODY = 4096  # bytes of a request
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
Answer = tuple[int, str, bytes]  # status, content type, body


class Server:
    """http://127.0.0.1:PORT/TOKEN/. The token is new at every start; no path is ever looked up on disk.

    Another user of the machine, who can connect, has not the token; another web site, whose pages can make a browser connect,
    is told by its Host (DNS rebinding) or Origin.
    """

    def __init__(self, site: Site, port: int = 0):
        self.token = secrets.token_urlsafe(18)
        try:
            self._http = ThreadingHTTPServer(("127.0.0.1", port), _handler(site, self))
        except OSError as error:
            raise HwnasError(f"--port {port}: {error.strerror}: leave it out, and a free one is taken") from None
        self._http.daemon_threads = True
        self.port = int(self._http.server_address[1])

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.origin}/{self.token}/"

    def serve(self) -> None:
        """Until `close`, or Ctrl-C."""
        self._http.serve_forever(poll_interval=0.2)

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def _handler(site: Site, server: Server) -> type[BaseHTTPRequestHandler]:
    def page() -> Answer:
        return 200, "text/html", site.page().encode()

    def report() -> Answer:
        return 200, "text/html", site.report().encode()

    def state() -> Answer:
        return _json(200, site.state())

    gets: dict[str, Callable[[], Answer]] = {"": page, "report": report, "state": state}
    files = {"ui.js": "text/javascript", "page.css": "text/css", "ui.css": "text/css"}

    class Handler(BaseHTTPRequestHandler):
        protocol_version, server_version, sys_version, timeout = "HTTP/1.1", "hwnas", "", 30

        def do_GET(self) -> None:
            if (path := self._admitted()) is None:
                return
            if path in files:
                self._answer((200, files[path], static(path)))
            elif path in gets:
                self._guarded(gets[path], own_policy=path == "report")
            else:
                self._refuse(404, "nothing here")

        def do_POST(self) -> None:
            if (path := self._admitted()) is None:
                return
            if self.headers.get("Origin") != server.origin or self.headers.get("Content-Type") != "application/json":
                return self._refuse(403, "from another origin")
            if path != "search":
                return self._refuse(404, "nothing here")
            length = self.headers.get("Content-Length", "")
            if not length.isascii() or not length.isdigit() or int(length) > MAX_BODY:
                return self._refuse(413, "too long")
            try:
                told = json.loads(self.rfile.read(int(length)))
                budget = told["budget"]
                if not isinstance(budget, str):
                    raise TypeError
            except (ValueError, KeyError, TypeError):
                return self._refuse(400, 'expected {"budget": "DEVICE:metric=value"}')
            self._guarded(lambda: _json(200, site.search(budget)))

        def _admitted(self) -> str | None:
            """What follows the token; None when the request was refused."""
            hosts = (f"127.0.0.1:{server.port}", f"localhost:{server.port}")
            origin = self.headers.get("Origin")
            token, slash, rest = self.path.removeprefix("/").partition("/")
            if self.headers.get("Host") not in hosts or (origin is not None and origin != server.origin):
                self._refuse(403, "another host or origin")
            elif not secrets.compare_digest(token.encode(), server.token.encode()) or not slash:
                self._refuse(404, "nothing here: the address that `hwnas ui` printed holds a token")
            else:
                return rest
            return None

        def _guarded(self, answer: Callable[[], Answer], own_policy: bool = False) -> None:
            try:
                found = answer()
            except HwnasError as error:
                found = _json(422, {"error": str(error)})
            except Exception as error:  # a file that is damaged, or just being replaced: the page goes on
                found = _json(500, {"error": f"{type(error).__name__}: {error}"})
            self._answer(found, own_policy)

        def _refuse(self, status: int, why: str) -> None:
            self.close_connection = True
            self._answer(_json(status, {"error": why}))

        def _answer(self, answer: Answer, own_policy: bool = False) -> None:
            status, kind, body = answer
            self.send_response(status)
            for name, value in HEADERS.items():
                if not (own_policy and name == "Content-Security-Policy"):  # the report brings a stricter one
                    self.send_header(name, value)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass  # the address holds the token

    return Handler


def _json(status: int, data: object) -> Answer:
    return status, "application/json", json.dumps(data).encode()
