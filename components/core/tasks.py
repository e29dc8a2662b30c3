"""Coroutines run together; the first error that a person can mend is raised as itself."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from components.core.errors import FinistError

Result = TypeVar("Result")


async def gather_all(coroutines: Sequence[Coroutine[Any, Any, Result]]) -> list[Result]:
    """Runs all; the first error cancels the rest and is raised as itself, not in a group.

    Args:
        coroutines: What to run.

    Returns:
        Their results, in their order.

    Raises:
        FinistError: One of them raised it.
        OSError: One of them raised it: no room where an answer was to be kept.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in coroutines]
    except* (FinistError, OSError) as errors:
        first = errors.exceptions[0]
    else:
        return [task.result() for task in tasks]
    raise first
