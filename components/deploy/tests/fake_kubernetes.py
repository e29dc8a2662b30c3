"""A stand-in for a Kubernetes API server, over real HTTP, that keeps InferenceServices and pods."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

LIST = re.compile(r"/apis/serving\.kserve\.io/v1beta1/namespaces/[^/]+/inferenceservices")
SERVICES = re.compile(
    r"^/apis/serving\.kserve\.io/v1beta1/namespaces/[^/]+/inferenceservices/[^/]+"
)


@dataclass
class Cluster:
    """What the server holds, and what it was asked."""

    status: dict[str, Any] = field(default_factory=dict)
    pods: list[dict[str, Any]] = field(default_factory=list)
    refuse: tuple[int, str] | None = None
    applied: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path with query, content type."""
    url: str = ""

    def answer(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, Any]:
        if self.refuse:
            code, message = self.refuse
            return code, {"kind": "Status", "code": code, "message": message}
        if "/pods?" in path or LIST.fullmatch(path):
            return 200, {"kind": "List", "items": self.pods if "/pods?" in path else self.applied}
        if not SERVICES.match(path):
            return 404, {"kind": "Status", "message": f"no {path}"}
        if method == "DELETE":
            if not self.applied:
                return 404, {"kind": "Status", "code": 404, "message": "not found"}
            self.applied.clear()
            return 200, {"kind": "Status", "status": "Success"}
        if method == "PATCH" and body is not None:
            self.applied.append(body)
        return 200, {**self.applied[-1], "status": self.status}


@contextmanager
def running(cluster: Cluster) -> Iterator[Cluster]:
    """Serves the cluster on a free port of 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply("GET")

        def do_PATCH(self) -> None:
            self._reply("PATCH")

        def do_DELETE(self) -> None:
            self._reply("DELETE")

        def _reply(self, method: str) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            kind = self.headers.get("Content-Type", "")
            cluster.requests.append((method, self.path, kind))
            code, content = cluster.answer(method, self.path, body)
            data = json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    cluster.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield cluster
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
