"""JSON lines and JSON lists: ours, chats of others, exports of Label Studio."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from components.core.errors import BadInputError, SchemaError
from components.core.schemas import QuarantinedRow
from components.prepare.sources.columns import Columns
from components.prepare.sources.quarantine import RowError, quarantined
from components.prepare.sources.records import LONGEST_LINE, Reading, Record


def read_jsonl(path: Path, columns: Columns) -> Iterator[Record | QuarantinedRow]:
    """Reads JSON lines one by one; blank lines are skipped.

    Args:
        path: UTF-8, one object a line; a line in other bytes is quarantined.
        columns: How keys become fields.

    Yields:
        Records, and quarantined lines where they stand.

    Raises:
        SchemaError: The file is UTF-16.
    """
    with path.open("rb") as file:
        for line, raw in enumerate(_lines(file), 1):
            content = raw.removeprefix(b"\xef\xbb\xbf") if line == 1 else raw
            if line == 1 and raw.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise SchemaError(f"{path} is UTF-16; save it as UTF-8.")
            if content.strip():
                yield _from_line(path, line, content, columns)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines, each cut at `LONGEST_LINE`."""
    while line := file.readline(LONGEST_LINE):
        rest = line
        while len(rest) == LONGEST_LINE and not rest.endswith(b"\n"):
            rest = file.readline(LONGEST_LINE)
        yield line


def _from_line(path: Path, line: int, raw: bytes, columns: Columns) -> Record | QuarantinedRow:
    row: Any = raw[:1000].decode("utf-8", "backslashreplace")
    try:
        row = _parsed(raw)
        return Record(str(path), line, columns.of_row(row))
    except RowError as rejected:
        return quarantined(path, line, rejected, row)


def _parsed(raw: bytes) -> Any:
    if len(raw) >= LONGEST_LINE:
        raise RowError("too-long", f"The line has over {LONGEST_LINE} bytes; shorten it.")
    try:
        return json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise RowError("encoding", f"The line is not UTF-8 ({error}); save it so.") from error
    except (ValueError, RecursionError) as error:
        raise RowError("broken-json", f"The line is no JSON ({error}); mend it.") from error


def read_json(path: Path, columns: Columns, reading: Reading) -> Iterator[Record | QuarantinedRow]:
    """Reads a file that is one JSON list of objects: chats, or an export of Label Studio.

    A task of Label Studio's JSON export gives its `data` with the results of its newest annotation
    by the name of their control (`from_name`): textarea, choices, rating, number. JSON_MIN is a
    plain list already. See the page "Export annotations" of Label Studio's guide.

    Args:
        path: UTF-8.
        columns: How keys become fields.
        reading: Holds the largest size.

    Yields:
        Records, whose line is the object's number from 1, and quarantined ones where they stand.

    Raises:
        BadInputError: The file is larger than `reading` allows.
        SchemaError: It is JSON, but no list.
    """
    if path.stat().st_size > reading.max_list_bytes:
        raise BadInputError(
            f"{path} has over {reading.max_list_bytes} bytes, and a JSON list is read as a "
            "whole; write JSON lines, or raise max_list_bytes."
        )
    try:
        rows = _parsed_list(path)
    except RowError as rejected:
        yield quarantined(path, 0, rejected, None)
        return
    for number, row in enumerate(rows, 1):
        try:
            yield Record(str(path), number, columns.of_row(_flat(row)))
        except RowError as rejected:
            yield quarantined(path, number, rejected, row)


def _parsed_list(path: Path) -> list[Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise RowError("encoding", f"The file is not UTF-8 ({error}); save it so.") from error
    except (ValueError, RecursionError) as error:
        raise RowError("broken-json", f"The file is no JSON ({error}); mend it.") from error
    if not isinstance(content, list):
        raise SchemaError(f"{path} must hold a JSON list of objects, as Label Studio exports it.")
    return content


def _flat(task: Any) -> Any:
    """A task of Label Studio as one object; anything else as it is."""
    if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
        return task
    annotations = task.get("annotations")
    done = [a for a in annotations if _counts(a)] if isinstance(annotations, list) else []
    if not done:
        return task["data"]
    newest = max(done, key=lambda annotation: str(annotation.get("created_at", "")))
    return task["data"] | _results(newest["result"])


def _counts(annotation: Any) -> bool:
    """Whether an annotation was finished rather than skipped."""
    return (
        isinstance(annotation, dict)
        and not annotation.get("was_cancelled")
        and isinstance(annotation.get("result"), list)
    )


def _results(results: list[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for result in results:
        if not isinstance(result, dict) or not isinstance(result.get("value"), dict):
            raise RowError("label-studio", "A result has no value; export the task again.")
        value = result["value"]
        kind = next((k for k in ("text", "choices", "rating", "number") if k in value), None)
        if kind:
            found[str(result.get("from_name", ""))] = _joined(value[kind])
    return found


def _joined(value: Any) -> Any:
    return "\n".join(map(str, value)) if isinstance(value, list) else value
