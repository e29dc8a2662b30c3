"""TCP ports on the loopback interface."""

import socket
from contextlib import ExitStack

import psutil

from components.core.errors import PortInUseError

LOOPBACK = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """Finds ports that nobody listens on, all different.

    Args:
        count: How many.
    """
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in sockets:
            probe.bind((LOOPBACK, 0))
        return [int(probe.getsockname()[1]) for probe in sockets]


def claim(port: int, purpose: str) -> int:
    """Checks that a port which a person chose can be listened on.

    Args:
        port: The port.
        purpose: Whose port it is to be, for the message.

    Raises:
        PortInUseError: Somebody listens there; the message says who.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise PortInUseError(
                f"port {port} for {purpose} cannot be used: {_owner(port)}; "
                "stop that or choose another port."
            ) from error
    return port


def _owner(port: int) -> str:
    """Names the process that listens on the port, as far as this user may know."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return "another process listens there"
    for connection in connections:
        listens = connection.status == psutil.CONN_LISTEN and tuple(connection.laddr)[1:2] == (
            port,
        )
        if listens and connection.pid and psutil.pid_exists(connection.pid):
            return f"{psutil.Process(connection.pid).name()} (pid {connection.pid}) listens there"
    return "another process listens there"
