"""A statistical filter for messages that nobody could learn from: works offline, explains itself.

The rules on repetition follow Gopher (Rae et al. 2021, arXiv:2112.11446, table A1), with the
changes named in `QualitySettings`; words are looked up in the dictionary
of pymorphy3 (OpenCorpora).
"""

import re
from collections import Counter
from collections.abc import Callable
from functools import cache, lru_cache
from typing import TypeAlias

import ftfy.badness
import pymorphy3

from components.prepare.cleaning.characters import PLAIN
from components.prepare.cleaning.settings import QualitySettings

_SYMBOL = re.compile(r"[-+*=_.!?/]{4,}|[^\w\s.,:;?!()\"'«»„“”%№₽$€/+–—…•·×&@°’-]")
_SYLLABLE = re.compile(r"[^\W_]{2}")
_WORD = re.compile(r"\w+")
_LONG_WORD = re.compile(r"[а-яё]{4,}")
_SENTENCE_END = re.compile(r"(?<=[.!?…;])\s+|\n")
_LATIN_1 = re.compile(r"[À-ÿ]")
_KEYBOARD = ("йцукен", "нгшщз", "фывап", "ролдж", "ячсми", "qwerty", "asdfg", "zxcvb")
_NO_VOWEL = re.compile(r"\b[b-df-hj-np-tv-xzбвгджзклмнпрстфхцчшщьъ]{5,}\b")
_LEAST_FOR_DISTINCT, _MOST_FOR_DISTINCT = 10, 300
_PLAINLY_DISTINCT = 0.8
_LONGEST_PIECES = 15
"""Characters of a piece between spaces, on average: longer ones may hold several words."""
_LEAST_FOR_KNOWN = 2
_LEAST_FOR_RUN = 5
_ENOUGH_FOR_KNOWN = 400
_LEAST_FOR_SYMBOLS = 8
_LEAST_SENTENCES = 4


Rule: TypeAlias = Callable[[str, QualitySettings], str]
"""Takes a cleaned message and gives what is wrong with it, after `A message`; empty for nothing."""

Rules: TypeAlias = tuple[tuple[str, Rule], ...]
"""Rules with the kind under which what they find is counted."""


def first_fault(text: str, settings: QualitySettings, rules: Rules) -> tuple[str, str] | None:
    """Looks for the first fault of a message.

    Args:
        text: A cleaned message, not empty.
        settings: The thresholds.
        rules: `UNREADABLE` or `POOR`.

    Returns:
        The kind and what is wrong, or None for a message without a fault.
    """
    for kind, rule in rules:
        if wrong := rule(text, settings):
            return kind, wrong
    return None


def _mojibake(text: str, _: QualitySettings) -> str:
    if PLAIN.fullmatch(text):
        return ""
    accented = len(_LATIN_1.findall(text))
    if "\ufffd" in text or 2 * accented > len(text) or ftfy.badness.is_bad(text):
        return "was read in a wrong encoding"
    return ""


def _symbols(text: str, settings: QualitySettings) -> str:
    if len(text) < _LEAST_FOR_SYMBOLS:
        return ""
    if not _SYLLABLE.search(text):
        return "holds no word and no number"
    if PLAIN.fullmatch(text):
        return ""
    share = sum(len(m.group()) for m in _SYMBOL.finditer(text)) / len(text.replace(" ", ""))
    return f"{share:.0%} of its characters are symbols" if share > settings.max_symbol_share else ""


@cache
def _dictionary() -> pymorphy3.MorphAnalyzer:
    return pymorphy3.MorphAnalyzer()


@lru_cache(maxsize=100_000)
def _is_known(word: str) -> bool:
    return bool(_dictionary().word_is_known(word))


def _mashed(text: str, _: QualitySettings) -> str:
    lowered = text.lower()
    middle = lowered[len(lowered) // 2]  # a run over half of the text holds its middle
    if (
        len(lowered) >= _LEAST_FOR_RUN
        and not middle.isdigit()
        and 2 * lowered.count(middle) > len(lowered)
    ):
        return f"is {middle!r} for the most part"
    mashed = sum(len(keys) for keys in _KEYBOARD if keys in lowered)
    mashed += sum(map(len, _NO_VOWEL.findall(lowered)))
    return "looks typed at random" if 2 * mashed > len(lowered) else ""


def _unknown_words(text: str, settings: QualitySettings) -> str:
    words = _LONG_WORD.findall(text[:_ENOUGH_FOR_KNOWN].lower())
    known = sum(map(_is_known, words))
    if len(words) >= _LEAST_FOR_KNOWN and known < settings.min_known_words * len(words):
        return f"has {known} of {len(words)} words in the dictionary"
    return ""


def _same_sentences(text: str, settings: QualitySettings) -> str:
    sentences = [each for each in _SENTENCE_END.split(text) if each]
    if len(sentences) < _LEAST_SENTENCES:
        return ""
    repeated = len(sentences) - len(set(sentences))
    if repeated > settings.max_same_sentences * len(sentences):
        return f"repeats {repeated} of {len(sentences)} sentences"
    return ""


def _few_words(text: str, settings: QualitySettings) -> str:
    pieces = text.lower().split()
    plainly = len(set(pieces)) >= _PLAINLY_DISTINCT * len(pieces)
    if plainly and len(text) < _LONGEST_PIECES * len(pieces):
        return ""
    words = _WORD.findall(text.lower())
    if not _LEAST_FOR_DISTINCT <= len(words) <= _MOST_FOR_DISTINCT:
        return ""
    distinct = len(set(words)) / len(words)
    return f"has {distinct:.0%} distinct words" if distinct < settings.min_distinct_words else ""


def _top_ngrams(text: str, settings: QualitySettings) -> str:
    words = text.lower().split()
    if len(words) < settings.repetition_from_words:
        return ""
    total = sum(map(len, words))
    for size, limit in settings.max_top_ngram_share:
        grams = Counter(zip(*(words[start:] for start in range(size)), strict=False))
        gram, count = grams.most_common(1)[0]
        share = count * sum(map(len, gram)) / total if count > 1 else 0.0
        if share > limit:
            return f"consists to {share:.0%} of {' '.join(gram)!r}"
    return ""


UNREADABLE: Rules = (("mojibake", _mojibake), ("symbols", _symbols), ("gibberish", _mashed))
"""Rules that need no language."""
POOR: Rules = (
    ("gibberish", _unknown_words),
    ("repetition", _same_sentences),
    ("repetition", _few_words),
    ("repetition", _top_ngrams),
)
"""Rules for messages in a language that is kept."""
