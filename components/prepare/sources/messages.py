"""Messages of a dialogue as other formats write them: roles by other names, texts in parts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time
from itertools import pairwise
from typing import Any

from pydantic import ValidationError

from components.core.schemas import Turn
from components.prepare.sources.quarantine import RowError, shown

ROLES: Mapping[str, str] = {
    "user": "user",
    "human": "user",
    "клиент": "user",
    "assistant": "assistant",
    "bot": "assistant",
    "gpt": "assistant",
    "банк": "assistant",
    "system": "system",
    "developer": "system",
}
"""Name of a role, in small letters -> ours; OpenAI's newer models say `developer` for `system`."""


@dataclass(frozen=True)
class Message:
    """How the messages of a source are written.

    Attributes:
        roles: Name of a role -> ours.
        role_key: Key of the role.
        content_key: Key of the text.
        max_characters: Of one text.
    """

    roles: Mapping[str, str]
    role_key: str
    content_key: str
    max_characters: int


def messages(given: Any, form: Message) -> list[Turn]:
    """Reads the messages of one dialogue.

    A system message may open it; then user and assistant take turns, user first. A question at
    the end that nobody answered is left off, since it teaches nothing.

    Args:
        given: A list of objects, or such a list as JSON text.
        form: How they are written.

    Returns:
        At least a question and its answer.

    Raises:
        RowError: The messages are none, too long, of unknown roles or in another order.
    """
    said = [_turn(item, form) for item in _list(given)]
    while said and said[-1].role == "user":
        said.pop()
    order = [turn.role for turn in said if turn.role != "system"]
    if not order:
        raise RowError("empty-answer", "No message of the assistant answers; write the answer.")
    misplaced = any(turn.role == "system" for turn in said[1:])
    if misplaced or order[0] != "user" or any(one == two for one, two in pairwise(order)):
        reason = "Messages must be the user's and the assistant's in turns, the user's first."
        raise RowError("wrong-order", reason)
    return said


def _list(given: Any) -> list[Any]:
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError) as error:
            raise RowError("wrong-messages", f"The messages are no JSON ({error}).") from error
    if isinstance(given, dict) and all(isinstance(value, list) for value in given.values()):
        return [dict(zip(given, item, strict=False)) for item in zip(*given.values(), strict=False)]
    if not isinstance(given, list | tuple):
        reason = f"Messages must be a list of objects, not {type(given).__name__}."
        raise RowError("wrong-messages", reason)
    return list(given)


def _turn(item: Any, form: Message) -> Turn:
    if not isinstance(item, dict) or form.role_key not in item:
        reason = f"A message must be an object with {form.role_key} and {form.content_key}."
        raise RowError("wrong-messages", reason)
    given = str(item[form.role_key])
    role = form.roles.get(given.casefold())
    if role is None:
        known = ", ".join(form.roles)
        raise RowError("unknown-role", f"The role {shown(given, 40)!r} is none of {known}.")
    name = "answer" if role == "assistant" else "question"
    content = text_of(_whole(item.get(form.content_key)), name, form.max_characters)
    try:
        return Turn.model_validate({"role": role, "content": content, "time": item.get("time")})
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise RowError("wrong-value", f"A message's time: {problem}; mend it.") from error


def _whole(content: Any) -> Any:
    """Joins the text parts that OpenAI's format allows in place of a text."""
    if not isinstance(content, list):
        return content
    parts = [part.get("text") for part in content if isinstance(part, dict)]
    if len(parts) < len(content) or not all(isinstance(part, str) for part in parts):
        raise RowError("wrong-messages", "A message holds parts that are no text; remove them.")
    return "".join(map(str, parts))


def text_of(value: Any, name: str, max_characters: int) -> str:
    """Checks one text.

    Args:
        value: As it was read; numbers and dates of a table count as text.
        name: What it is, for the reason and the kind `empty-<name>`.
        max_characters: More are too many.

    Returns:
        The text without spaces around it.

    Raises:
        RowError: It is empty, too long, not text, or not decoded.
    """
    text = value.strip() if isinstance(value, str) else _written(value, name)
    if not text:
        raise RowError(f"empty-{name.replace('_', '-')}", f"The {name} is empty; write it.")
    if len(text) > max_characters:
        reason = f"The {name} has {len(text)} characters, over {max_characters}; shorten it."
        raise RowError("too-long", reason)
    if not _encodable(text):
        reason = f"The {name} holds bytes that do not decode; save the file as UTF-8."
        raise RowError("encoding", reason)
    return text


def _written(value: Any, name: str) -> str:
    if value is None:
        return ""
    if isinstance(value, date | time):
        return value.isoformat()
    if not isinstance(value, int | float):
        raise RowError("wrong-value", f"The {name} is {type(value).__name__}; write text.")
    return str(value)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
