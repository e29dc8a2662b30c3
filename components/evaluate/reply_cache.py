"""Replies of contenders and judges, kept by content, so that a re-run asks nothing twice."""

import hashlib
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from components.core.journal import Entry, Journal
from components.core.llm import Completion, Endpoint

FAILED = ("error", "timeout")
"""Ends of a request that gave no reply: asked again by the next run."""


class ReplyCache:
    """A journal that takes replies only; a context manager.

    Opening it raises BadInputError when another process has it open, or a line is damaged. A last
    line that was torn by `kill -9` is dropped, with a warning.
    """

    def __init__(self, path: Path) -> None:
        """Opens the file and makes it where there is none.

        Args:
            path: JSON lines of `Entry`.
        """
        self._journal = Journal(path, Entry)

    def __enter__(self) -> Self:
        """Locks the file and reads where its replies lie."""
        self._journal.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the file, which unlocks it."""
        self._journal.__exit__(kind, error, trace)

    def __len__(self) -> int:
        """How many replies there are."""
        return len(self._journal)

    def get(self, key: str) -> Completion | None:
        """Gives a reply as it was when it came, its times and retries included.

        Args:
            key: From `request_key`.

        Returns:
            The reply, or None when it has to be asked for.
        """
        return self._journal.get(key)

    def add(self, key: str, completion: Completion) -> None:
        """Keeps a reply, unless the request failed; when this returns, it is on the disk.

        Args:
            key: From `request_key`.
            completion: The reply; one that ended in `error` or `timeout` is not kept.

        Raises:
            OSError: There is no room; the cache stays as it was.
        """
        if completion.finish_reason not in FAILED:
            self._journal.add(Entry(key=key, completion=completion))


def model_identity(endpoint: Endpoint, served: str, weights: str = "") -> str:
    """Tells a model apart from others, whatever its address.

    Args:
        endpoint: Gives the model's name.
        served: What the endpoint says stands behind the name (`served_model`).
        weights: What we know of it beside, for an endpoint that only repeats the name.

    Returns:
        One string, for `request_key`.
    """
    return "\n".join((endpoint.model, served, weights))


def cache_file(identity: str, beside: Path) -> Path:
    """Says where the replies of a model are kept.

    A file a model, so that contenders can be asked at once by several processes.

    Args:
        identity: From `model_identity`.
        beside: An output of the step.

    Returns:
        A file of `$FINIST_HOME/cache/replies`, which outlives a pipeline run; without that
        variable, a file in the output's folder.
    """
    home = os.environ.get("FINIST_HOME")
    name = f"replies-{hashlib.sha256(identity.encode()).hexdigest()[:12]}.jsonl"
    return Path(home, "cache", "replies", name) if home else beside.with_name(name)
