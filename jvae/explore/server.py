"""An app in; a page on this machine, at 127.0.0.1, out. It asks nothing of anybody else, and neither does the page."""

import errno
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from jvae.errors import InputError
from jvae.explore.app import App, Reply, as_json
from jvae.explore.photos import Gone

HOST = "127.0.0.1"
NAMES = (HOST, "localhost", "[::1]")  # by which a browser may call this machine; no other site's name leads here
LARGEST = 200 << 20  # bytes of a request, a photograph's
PAGE = Path(__file__).parent / "page"
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# The browser, too, is told that nothing comes from anywhere else.
POLICY = "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; frame-ancestors 'none'"


def open_server(app: App, port: int | None = None) -> ThreadingHTTPServer:
    """A server of the page that listens, at a free port or at `port`.

    Raises:
      InputError: the port is in use, or is none.
    """

    class Bound(_Handler):
        pass

    Bound.app = app
    if port is not None and not 0 < port < 2**16:
        raise InputError(f"port={port} must lie between 1 and 65535; leave it out for a free one")
    try:
        server = ThreadingHTTPServer((HOST, port or 0), Bound)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        why = "is in use" if error.errno == errno.EADDRINUSE else "is not ours to take"
        raise InputError(f"port {port} {why}: give another --port, or leave it out for a free one") from None
    server.daemon_threads = True
    return server


def address(server: ThreadingHTTPServer) -> str:
    """Where the page is."""
    return f"http://{HOST}:{server.server_address[1]}/"


class _Handler(BaseHTTPRequestHandler):
    """Answers one browser's requests, one after the other."""

    app: App
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # which holds a small reply back for 40 ms
    wbufsize = -1

    def do_GET(self) -> None:
        """The page's files, and what it reads."""
        where, query = self._asked()
        if not self._from_here():
            return
        if where in self.app.gets:
            self._answer(lambda: self.app.gets[where](query))
        else:
            self._answer(lambda: _file(where))

    def do_POST(self) -> None:
        """What the page wants to be done."""
        where, query = self._asked()
        length = self.headers.get("Content-Length", "")
        if not self._from_here():
            return
        if not (length.isascii() and length.isdecimal() and len(length) < 16 and int(length) <= LARGEST):
            self.close_connection = True
            self._send(_error(f"the file has more than {LARGEST >> 20} MB: give a smaller one", 413))
            return
        body = self.rfile.read(int(length))
        if where not in self.app.posts:
            self._send(_error(f"there is nothing at {where}", 404))
        else:
            self._answer(lambda: self.app.posts[where](query, body))

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: a line for every move of a slider would bury what matters."""

    def _asked(self) -> tuple[str, dict[str, str]]:
        parts = urlsplit(self.path)
        return parts.path, dict(parse_qsl(parts.query))

    def _from_here(self) -> bool:
        """Whether it is the page that asks; another site that a browser has open is sent away."""
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        if {host, host.rpartition(":")[0]} & {*NAMES} and origin in (None, f"http://{host}"):
            return True
        self.close_connection = True
        self._send(_error("only the page itself may ask", 403))
        return False

    def _answer(self, function: Any) -> None:
        try:
            reply = function()
        except Gone as error:
            reply = _error(str(error), 410)
        except (InputError, OSError) as error:
            reply = _error(str(error), 422)
        except Exception as error:
            traceback.print_exc()
            reply = _error(f"a bug of jvae's, of which the terminal says more: {error or type(error).__name__}", 500)
        self._send(reply)

    def _send(self, reply: Reply) -> None:
        try:
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.type)
            self.send_header("Content-Length", str(len(reply.body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("Content-Security-Policy", POLICY)
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(reply.body)
            self.wfile.flush()
        except ConnectionError:  # the page was closed, or wanted something newer
            self.close_connection = True


def _error(message: str, status: int) -> Reply:
    return as_json({"error": message}, status)


def _file(where: str) -> Reply:
    """A file of the page."""
    name = where.removeprefix("/") or "index.html"
    if name not in {path.name for path in PAGE.iterdir()}:
        return _error(f"there is nothing at {where}", 404)
    path = PAGE / name
    return Reply(path.read_bytes(), TYPES[path.suffix])
