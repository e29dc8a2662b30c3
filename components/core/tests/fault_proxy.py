"""A proxy before a real S3 server that spoils what passes as a test decides, and counts it.

The Host header passes as it is, since SigV4 signs it. One request a connection.
"""

import re
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from urllib.parse import urlsplit

CHUNK = 256 * 1024
LENGTH = re.compile(rb"^content-length: *(\d+)", re.IGNORECASE | re.MULTILINE)
EXPECT = re.compile(rb"^expect: 100-continue\r\n", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Fault:
    """What happens to one request; the default passes it."""

    status: int = 0
    """Answer with this instead of asking the server."""
    code: str = "InternalError"
    cut_request_at: int | None = None
    """Bytes of the body after which both connections are closed."""
    cut_reply_at: int | None = None
    """The same for the reply; 0 loses the answer to what was done."""
    flip_at: int | None = None
    """Byte of the reply's body whose lowest bit is turned."""
    hold: bool = False
    """Neither answered nor passed on, until the test is over."""
    pause: float = 0.0
    """Seconds before each chunk of the reply's body."""


@dataclass(frozen=True)
class Passed:
    """A request that the server answered."""

    head: str
    body_bytes: int

    @property
    def line(self) -> str:
        """Method and target."""
        return self.head.partition(" HTTP/")[0]


Decide = Callable[[str], Fault | None]
"""From the request's head, as text, to its fault; called in the proxy's thread."""


class FaultProxy:
    """What passed, and what is to happen next; `decide` may be replaced at any time."""

    def __init__(self, upstream: str) -> None:
        place = urlsplit(upstream)
        self.upstream = (str(place.hostname), int(place.port or 80))
        self.decide: Decide = lambda _: None
        self.url = ""
        self.asked: list[str] = []
        self.passed: list[Passed] = []
        self.held = threading.Event()
        self.over = threading.Event()

    def serve(self, client: socket.socket) -> None:
        """One request, and the end of the connection."""
        with suppress(ConnectionError, EOFError), client.makefile("rb") as reader:
            head = _head(reader)
            self.asked.append(head.decode())
            self._answer(head, self.decide(head.decode()) or Fault(), reader, client)

    def _answer(
        self, head: bytes, fault: Fault, reader: BufferedReader, client: socket.socket
    ) -> None:
        found = LENGTH.search(head)
        length = int(found[1]) if found else 0
        if EXPECT.search(head):  # else the client waits a second before it sends the body
            head = EXPECT.sub(b"", head)
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if fault.hold:
            self.held.set()
            self.over.wait()
        elif fault.status:
            _copy(reader, None, length)
            client.sendall(_refusal(fault))
        else:
            with socket.create_connection(self.upstream) as server:
                server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                server.sendall(head[:-2] + b"Connection: close\r\n\r\n")
                _copy(reader, server, length, fault.cut_request_at)
                with server.makefile("rb") as replies:
                    reply = _head(replies)
                    self.passed.append(Passed(head.decode(), length))
                    if fault.cut_reply_at != 0:
                        client.sendall(reply)
                        self._relay(replies, client, fault)

    def _relay(self, reader: BufferedReader, client: socket.socket, fault: Fault) -> None:
        done = 0
        while chunk := reader.read1(CHUNK):
            self.over.wait(fault.pause)
            spoilt = bytearray(chunk)
            if fault.flip_at is not None and done <= fault.flip_at < done + len(chunk):
                spoilt[fault.flip_at - done] ^= 1
            done += len(chunk)
            if fault.cut_reply_at is not None and done > fault.cut_reply_at:
                raise ConnectionResetError
            client.sendall(spoilt)


def _head(reader: BufferedReader) -> bytes:
    lines: list[bytes] = []
    while not lines or lines[-1] != b"\r\n":
        line = reader.readline()
        if not line:
            raise EOFError
        lines.append(line)
    return b"".join(lines)


def _copy(
    reader: BufferedReader, target: socket.socket | None, length: int, cut_at: int | None = None
) -> None:
    done = 0
    while done < length:
        chunk = reader.read1(min(CHUNK, length - done))
        done += len(chunk)
        if not chunk or (cut_at is not None and done > cut_at):
            raise ConnectionResetError
        if target:
            target.sendall(chunk)


def _refusal(fault: Fault) -> bytes:
    body = f"<Error><Code>{fault.code}</Code><Message>injected</Message></Error>".encode()
    head = f"HTTP/1.1 {fault.status} Injected\r\nContent-Type: application/xml\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


@contextmanager
def proxied(upstream: str) -> Iterator[FaultProxy]:
    """Serves on a free loopback port, a thread for each connection, and stops."""
    proxy = FaultProxy(upstream)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            proxy.serve(self.request)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.over.set()
            server.shutdown()
            thread.join(20)
