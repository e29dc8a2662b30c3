"""Files that appear whole or not at all, also when the process is killed while it writes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives a path to write to; what stands there takes the file's place when the block ends well.

    Args:
        path: The file; missing folders are made.

    Yields:
        `<name>.partial` beside it, removed when the block ends with an error.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 text whole or not at all.

    Args:
        path: The file; missing folders are made.
        text: Its content.
    """
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
