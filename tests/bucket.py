"""A bucket of Google Cloud Storage, as much of it as reading needs: the files of a folder, over HTTP."""

import contextlib
import http.server
import json
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

NAME = "bucket"


class Bucket(http.server.ThreadingHTTPServer):
    """Serves the files of `folder` as the objects of one bucket.

    Attributes:
      asked: each read of an object: its name, and which bytes.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(("localhost", 0), _Request)
        self.folder, self.asked = folder, list[tuple[str, str]]()

    def handle_error(self, request, client_address) -> None:
        """Says nothing: array_record hangs up when it has what it wants."""


class _Request(http.server.BaseHTTPRequestHandler):
    server: Bucket
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        inside, found, name = url.path.removeprefix("/download").partition(f"/storage/v1/b/{NAME}/o")
        name = urllib.parse.unquote(name.removeprefix("/"))
        file = self.server.folder / name
        if inside or not found or (name and not file.is_file()):
            self._send(404, {"error": {"code": 404, "message": f"no object {name}"}})
        elif not name:
            self._list(query.get("prefix", ""), query.get("delimiter"))
        elif query.get("alt") != "media":
            self._send(200, self._about(file))
        else:
            self._read(name, file.read_bytes())

    def _read(self, name: str, data: bytes) -> None:
        asked = self.headers.get("Range")
        self.server.asked.append((name, asked or ""))
        if not asked:
            self._send(200, data)
            return
        first, _, last = asked.removeprefix("bytes=").partition("-")
        begin = int(first) if first else max(0, len(data) - int(last))
        end = min(int(last) + 1 if first and last else len(data), len(data))
        if begin >= len(data):
            self._send(416, b"")
        else:
            self._send(206, data[begin:end], f"bytes {begin}-{end - 1}/{len(data)}")

    def _list(self, prefix: str, delimiter: str | None) -> None:
        items, folders = [], set()
        for file in sorted(file for file in self.server.folder.rglob("*") if file.is_file()):
            name = file.relative_to(self.server.folder).as_posix()
            head, more, _ = name.removeprefix(prefix).partition(delimiter or "\0")
            if name.startswith(prefix) and more:
                folders.add(f"{prefix}{head}{more}")
            elif name.startswith(prefix):
                items.append(self._about(file))
        self._send(200, {"kind": "storage#objects", "items": items, "prefixes": sorted(folders)})

    def _about(self, file: Path) -> dict[str, str]:
        name, when = file.relative_to(self.server.folder).as_posix(), "2026-01-01T00:00:00Z"
        about = {"kind": "storage#object", "name": name, "bucket": NAME, "size": str(file.stat().st_size)}
        return about | {"generation": "1", "updated": when, "timeCreated": when}

    def _send(self, status: int, content: bytes | dict, part: str | None = None) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if part:
            self.send_header("Content-Range", part)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@contextlib.contextmanager
def bucket(folder: Path) -> Iterator[tuple[Bucket, dict[str, str]]]:
    """The bucket, and the environment in which gcsfs and array_record find it, while entered."""
    with Bucket(folder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://localhost:{server.server_port}"
        environment = {
            "STORAGE_EMULATOR_HOST": address,
            "CLOUD_STORAGE_EMULATOR_ENDPOINT": address,
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # it would ask Google what kind of bucket this is
        }
        try:
            yield server, environment
        finally:
            server.shutdown()
