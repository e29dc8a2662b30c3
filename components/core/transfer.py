"""What uploads, downloads and copies share: parts, a bounded pool, a progress bar."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from tqdm import tqdm

MIB = 1024**2
PART_BYTES = 8 * MIB
MOST_PARTS = 10_000
"""S3's limit for one object."""

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def part_bytes(size: int) -> int:
    """Size of the parts that a file goes in; it depends on nothing else, so cut uploads fit.

    Args:
        size: The file's, in bytes.

    Returns:
        8 MiB, or the least whole number of MiB with which 10,000 parts do.
    """
    return max(PART_BYTES, -(-size // (MOST_PARTS * MIB)) * MIB)


class BoundedPool:
    """Threads that stop at the first error; a context manager that waits for all of them.

    Handing in work waits until a thread is free: what waits is never more than one piece, so
    memory does not grow with the size of a transfer.
    """

    def __init__(self, workers: int) -> None:
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="s3")
        self._free = threading.Semaphore(workers)
        self._error: BaseException | None = None

    def submit(
        self,
        work: Callable[Arguments, Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Future[Result]:
        """Gives work to a free thread.

        Args:
            work: What to call.
            *args: Its arguments.
            **kwargs: Its arguments by name.

        Raises:
            BaseException: What earlier work raised.
        """
        self._free.acquire()
        if self._error:
            self._free.release()
            raise self._error
        future = self._threads.submit(work, *args, **kwargs)
        future.add_done_callback(self._done)
        return future

    def _done(self, future: Future[Any]) -> None:
        self._error = self._error or future.exception()
        self._free.release()

    def __enter__(self) -> Self:
        """The pool, for work to be handed in."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Waits for all work, and raises what any of it raised unless the block itself did."""
        self._threads.shutdown()
        if self._error and kind is None:
            raise self._error


@contextmanager
def progress(what: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
    """A progress bar in bytes where a person looks on; silent elsewhere."""
    with tqdm(total=total_bytes, unit="B", unit_scale=True, desc=what, disable=None) as bar:
        lock = threading.Lock()

        def advance(count: int) -> None:
            with lock:
                bar.update(count)

        yield advance
