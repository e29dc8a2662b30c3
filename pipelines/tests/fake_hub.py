"""A simulated model hub: as much of the Hugging Face API as a snapshot needs, over HTTP."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "5" * 40
WEIGHTS = "model.safetensors"


@dataclass
class FakeHub:
    """What it holds, and what was asked of it."""

    hub_id: str
    files: dict[str, bytes]
    licence: str = "apache-2.0"
    lie: bool = False
    """Gives another sha256 for the weights than theirs."""
    cut: bool = False
    """Breaks the first download of the weights off in the middle."""
    url: str = ""
    ranges: list[str] = field(default_factory=list)

    def info(self) -> dict[str, Any]:
        return {
            "id": self.hub_id,
            "sha": COMMIT,
            "cardData": {"license": self.licence},
            "siblings": [
                {"rfilename": name, "size": len(content), "blobId": "0", **self.lfs(name)}
                for name, content in self.files.items()
            ],
            "tags": ["simulated"],
        }

    def lfs(self, name: str) -> dict[str, Any]:
        if name != WEIGHTS:
            return {}
        content = self.files[name] + (b"!" if self.lie else b"")
        digest = hashlib.sha256(content).hexdigest()
        return {"lfs": {"sha256": digest, "oid": digest, "size": len(content), "pointerSize": 1}}

    def tree(self) -> list[dict[str, Any]]:
        return [
            {"type": "file", "path": name, "size": len(content), "oid": "0", **self.lfs(name)}
            for name, content in self.files.items()
        ]


class Handler(BaseHTTPRequestHandler):
    """Answers for the hub of its server."""

    server: "Server"

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hub, path = self.server.hub, self.path.partition("?")[0]
        api = f"/api/models/{hub.hub_id}"
        name = path.removeprefix(f"/{hub.hub_id}/resolve/{COMMIT}/")
        if path in (f"{api}/revision/main", f"{api}/revision/{COMMIT}"):
            self._send(json.dumps(hub.info()).encode())
        elif path == f"{api}/tree/{COMMIT}":
            self._send(json.dumps(hub.tree()).encode())
        elif name in hub.files:
            self._send(hub.files[name], name)
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _send(self, content: bytes, name: str = "") -> None:
        hub = self.server.hub
        wanted = re.fullmatch(r"bytes=(\d+)-\d*", self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content) - start))
        if wanted:
            hub.ranges.append(wanted[0])
            ends = f"{start}-{len(content) - 1}/{len(content)}"
            self.send_header("Content-Range", f"bytes {ends}")
        self.end_headers()
        if self.command == "HEAD":
            return
        if hub.cut and name == WEIGHTS:
            hub.cut, self.close_connection = False, True
            content = content[: len(content) // 2]
        self.wfile.write(content[start:])


class Server(ThreadingHTTPServer):
    """Knows what it serves."""

    def __init__(self, hub: FakeHub) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.hub = hub


@contextmanager
def running(hub: FakeHub) -> Iterator[FakeHub]:
    server = Server(hub)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
