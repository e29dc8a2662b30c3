"""Finds a model's refusals, leftovers of web pages and of prompts by their phrases."""

import re
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from components.core.errors import RecipeError
from components.core.recipes import load_recipe

PHRASES = Path(__file__).parent / "phrases.yaml"
"""The built-in phrases; a bank's own file has the same keys."""

PhraseKind = Literal["refusal", "boilerplate", "template"]

Entry: TypeAlias = tuple[str, PhraseKind, re.Pattern[str]]
Groups: TypeAlias = tuple[tuple[re.Pattern[str], tuple[Entry, ...]], ...]


class Phrases(BaseModel):
    """For each kind, regular expressions by the plain text that a message must hold first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    refusal: dict[str, tuple[str, ...]]
    boilerplate: dict[str, tuple[str, ...]]
    template: dict[str, tuple[str, ...]]


_GATES = {gate: re.compile(gate) for gate in ("[a-z]", r"[{}<\[#%]", "")}
"""Cues are tried by groups, and a group only on messages with a character that all of it need."""


@cache
def _groups(path: Path, kinds: tuple[PhraseKind, ...]) -> Groups:
    phrases = load_recipe(path, Phrases)
    groups: dict[str, list[Entry]] = {gate: [] for gate in _GATES}
    for kind in kinds:
        for cue, expressions in getattr(phrases, kind).items():
            gate = next(gate for gate, pattern in _GATES.items() if pattern.search(cue))
            groups[gate].append((cue, kind, _pattern(path, expressions)))
    return tuple((_GATES[gate], tuple(entries)) for gate, entries in groups.items())


def _pattern(path: Path, expressions: tuple[str, ...]) -> re.Pattern[str]:
    joined = "|".join(f"(?:{each})" for each in expressions).replace(" ", r"\s+")
    try:
        return re.compile(joined, re.MULTILINE)
    except re.error as error:
        raise RecipeError(
            f"{path}: {joined!r} is no regular expression ({error}); mend this phrase."
        ) from error


def find_phrase(
    text: str, kinds: tuple[PhraseKind, ...], path: Path = PHRASES
) -> tuple[PhraseKind, str] | None:
    """Looks for a phrase that gives a message away.

    Args:
        text: A cleaned message.
        kinds: Which lists to look in, in this order.
        path: The file of phrases.

    Returns:
        The kind and what was found, at most 80 characters of it; None for nothing.

    Raises:
        RecipeError: The file of phrases cannot be used.
    """
    lowered = text.lower()
    for gate, entries in _groups(path, kinds):
        for cue, kind, pattern in entries if gate.search(lowered) else ():
            if cue in lowered and (found := pattern.search(lowered)):
                return kind, found.group()[:80]
    return None
