"""Required facts as people and files write them."""

import re
from collections.abc import Iterator
from typing import Any

from components.core.schemas import Fact
from components.prepare.sources.quarantine import RowError

_SEPARATOR = re.compile(r"[;\n]")
_NAMED = re.compile(r"\s*(?P<name>[^\d:|]+?)\s*:\s*(?P<value>.+)", re.DOTALL)


def parsed_facts(given: Any) -> tuple[Fact, ...]:
    """Reads the facts that an answer must contain.

    Args:
        given: Text as the brief asks for (`ставка: 16,5% | 16,5 процента; срок: 12 месяцев`; a
            fact without a name gets a number), an object of names and values, or a list of
            objects as in `Dialogue`.

    Returns:
        The facts, in their order.

    Raises:
        RowError: It is none of these (`wrong-facts`).
    """
    facts = tuple(_each(given))
    if any(not fact.value.strip() for fact in facts):
        raise RowError("wrong-facts", "A fact has no value; write it or leave the fact out.")
    return facts


def _each(given: Any) -> Iterator[Fact]:
    if isinstance(given, str):
        parts = (part for part in _SEPARATOR.split(given) if part.strip())
        for number, part in enumerate(parts, 1):
            yield _written(part, number)
    elif isinstance(given, dict):
        for name, value in given.items():
            yield _fact(name, value)
    elif isinstance(given, list):
        for number, item in enumerate(given, 1):
            yield _of_object(item) if isinstance(item, dict) else _fact(f"факт {number}", item)
    else:
        raise _wrong(given)


def _written(part: str, number: int) -> Fact:
    named = _NAMED.fullmatch(part)
    name, text = (named["name"], named["value"]) if named else (f"факт {number}", part)
    value, *accepted = (spelling.strip() for spelling in text.split("|"))
    return Fact(name=name, value=value, accepted=tuple(filter(None, accepted)))


def _of_object(item: dict[str, Any]) -> Fact:
    accepted = item.get("accepted") or ()
    if not isinstance(accepted, list | tuple) or not all(isinstance(a, str) for a in accepted):
        raise _wrong(item)
    return _fact(item.get("name"), item.get("value"), tuple(accepted))


def _fact(name: Any, value: Any, accepted: tuple[str, ...] = ()) -> Fact:
    if not isinstance(name, str) or not isinstance(value, str | int | float):
        raise _wrong({name: value} if isinstance(name, str) else value)
    return Fact(name=name, value=str(value), accepted=accepted)


def _wrong(given: Any) -> RowError:
    what = type(given).__name__
    return RowError("wrong-facts", f"Facts are no {what}; write `name: value; name: value`.")
