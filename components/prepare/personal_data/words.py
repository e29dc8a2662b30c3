"""What a Russian word may be: first name, patronymic, surname or place, by pymorphy3."""

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pymorphy3 import MorphAnalyzer

CACHED_WORDS = 200_000
"""About 60 MB in the worst case; parsing a word anew takes 0.2 ms."""
LONGEST_WORD = 40
"""Longer ones are no names, and would fill the cache."""
RUSSIAN = re.compile(r"[а-яё]{2,}")
SURNAME_ENDING = re.compile(
    r"(?:[оеё]в(?:а|у|ым|ой|ых)?|[иы]н(?:а|у|ым|ой)?|ск(?:ий|ая|ого|ому|им|ой|ую)|енко|[яа]н|"
    r"швили|дзе|[уюа]к|чук|ич)$"
)
GUESSED = 0.5
"""Weight given to an unknown word with the ending of a surname."""


class WordClass(NamedTuple):
    """Weights from 0 to 1 of a word's readings."""

    name: float
    patronymic: float
    surname: float
    place: bool
    unknown: bool
    """In no dictionary: a rare name as well as a brand or a mistyped word."""

    @property
    def any_name(self) -> bool:
        """May be a part of a person's name."""
        return self.name > 0 or self.patronymic > 0 or self.surname > 0


NOTHING = WordClass(0.0, 0.0, 0.0, place=False, unknown=False)


@cache
def _analyzer() -> "MorphAnalyzer":
    from pymorphy3 import MorphAnalyzer

    return MorphAnalyzer()


def word_class(word: str) -> WordClass:
    """Classifies a word.

    Args:
        word: In any letter case; the parts of a hyphenated one are taken apart.

    Returns:
        Its weights. The parts of a double surname must all be parts of names.
    """
    return _word_class(word) if len(word) <= LONGEST_WORD else NOTHING


@lru_cache(maxsize=CACHED_WORDS)
def _word_class(word: str) -> WordClass:
    parts = [_class(part) for part in word.lower().split("-") if part]
    if not parts:
        return NOTHING
    if len(parts) == 1 or not all(part.any_name for part in parts):
        return parts[0] if len(parts) == 1 else NOTHING
    return WordClass(
        name=min(part.name for part in parts),
        patronymic=0.0,
        surname=max(part.surname for part in parts),
        place=False,
        unknown=any(part.unknown for part in parts),
    )


def _class(word: str) -> WordClass:
    if RUSSIAN.fullmatch(word) is None:
        return NOTHING
    parses = _analyzer().parse(word)
    if parses[0].tag.POS not in {"NOUN", "ADJF", "ADJS", None}:
        return NOTHING
    known = any(parse.is_known for parse in parses)
    weight = {
        grammeme: sum(parse.score for parse in parses if grammeme in parse.tag)
        for grammeme in ("Name", "Patr", "Surn")
    }
    guessed = GUESSED if not known and SURNAME_ENDING.search(word) else 0.0
    return WordClass(
        name=weight["Name"] if known else 0.0,
        patronymic=weight["Patr"],
        surname=weight["Surn"] if known else max(guessed, min(weight["Surn"], GUESSED)),
        place=any("Geox" in parse.tag for parse in parses),
        unknown=not known,
    )
