"""Tells in which language a message is written.

Two steps, since lingua (github.com/pemistahl/lingua-py, n-gram models inside the package) needs
about half a millisecond for a dialogue. First, letters and words that decide: a Cyrillic text with
«ы», «э», «ё» or «сколько» and without letters of other alphabets is Russian. Lingua gets the rest.
"""

import re
from collections.abc import Iterable
from functools import cache

from lingua import Language, LanguageDetector, LanguageDetectorBuilder

CYRILLIC = ("RUSSIAN", "UKRAINIAN", "BELARUSIAN", "BULGARIAN", "KAZAKH", "SERBIAN", "MACEDONIAN",
            "MONGOLIAN")  # fmt: skip
OTHERS = ("ENGLISH", "GERMAN", "FRENCH", "SPANISH", "ITALIAN", "PORTUGUESE", "POLISH", "TURKISH",
          "AZERBAIJANI", "CHINESE", "JAPANESE", "KOREAN", "ARABIC", "PERSIAN", "HEBREW",
          "ARMENIAN", "GEORGIAN", "HINDI")  # fmt: skip

LEAST_LETTERS = 16
"""Shorter texts tell nothing: names of products, `Apple Pay?`, `ok`."""
SHORT = 80
"""Characters up to which a message of Russian letters may follow the rest of its dialogue."""
SHORT_LATIN = 25
"""The same for a message with other letters."""
MIXED = 0.2
"""Share of Cyrillic letters from which a mostly Latin message is not judged: it names products."""
LETTERS_A_SIGN = 120
"""Russian has «ы», «э» or «ё» every 45 letters; this leaves room for chance."""
LONGEST_LOOK = 400
"""Characters that lingua gets to see; more would not change its mind."""
SURE = 0.5
"""Confidence from which another language is believed ..."""
SURE_RATIO = 3.0
"""... when it is also so many times that of any language which is kept."""

_FOREIGN_LETTER = re.compile(r"[^\W\d_А-яЁё]")
_LATIN = re.compile(r"[a-z]+")
_UKRAINIAN = re.compile(r"(?=.*[іїєґ].*[іїєґ])[^ўәғқңөұүһјљњћђџѓќѕ]*$", re.DOTALL)
_ANY_LETTER = re.compile(r"[^\W\d_]")
_CYRILLIC_WORD = re.compile(r"[\u0400-\u052f]+")
_FOREIGN_WORD = re.compile(r"[^\W\d_\u0400-\u052f]+")
_RUSSIAN_WORD = re.compile(  # words and verb endings that no other Cyrillic language here has
    r"\b(?:что|чтобы|это|если|как(?:ая|ой|ие|ую|им|их|ого|ое)|сколько|где|когда|есть|нет|меня|мне"
    r"|его|её|только|можно|нужно|нужен|подскажите|уточните|назовите|пожалуйста|спасибо|добрый"
    r"|доброе|здравствуйте|почему|зачем|рубл(?:ь|я|ей)|комисси[яюией]|узнать|время|деньги"
    r"|месяцев|дней|[а-я]+(?:ется|ится|ются|ятся|а[ею]т|у[ею]т|я[ею]т))\b"
)


@cache
def _detector(names: tuple[str, ...], accurate: bool) -> LanguageDetector:
    """Loads models on the first text: 170 MiB and 2 s of CPU for Cyrillic, far less otherwise."""
    builder = LanguageDetectorBuilder.from_languages(*(getattr(Language, n) for n in names))
    return (builder if accurate else builder.with_low_accuracy_mode()).build()


def evident(text: str) -> str:
    """Tells Russian and Ukrainian by their letters and words, in microseconds.

    Args:
        text: A cleaned message.

    Returns:
        `ru`, `uk`, or empty where letters do not decide.
    """
    lowered = text.lower()
    if _LATIN.search(lowered):
        lowered = _LATIN.sub("", lowered)
        if 2 * len(lowered) < len(text):
            return ""
    signs = sum(map(lowered.count, "ыэё")) - lowered.count("ъ")
    if _FOREIGN_LETTER.search(lowered):
        return "uk" if not signs and _UKRAINIAN.match(lowered) else ""
    if signs > 0 and signs * LETTERS_A_SIGN >= len(text):
        return "ru"
    plain = signs == 0 and len(text) < 2 * LETTERS_A_SIGN
    return "ru" if plain and _RUSSIAN_WORD.search(lowered) else ""


def follows_the_rest(text: str) -> bool:
    """Tells whether a message is so short that it takes the language of the rest of its dialogue.

    That holds for Russian letters, since lingua takes «Назовите срок кредита» for Bulgarian, and
    for a few Latin words, since customers name products: «Google Pay / Samsung Pay».

    Args:
        text: A cleaned message.
    """
    return len(text) < (SHORT_LATIN if _FOREIGN_LETTER.search(text) else SHORT)


def language_of(text: str, kept: Iterable[str] = ("ru",)) -> str:
    """Tells the language of a message, when it can be told.

    Args:
        text: A cleaned message.
        kept: ISO 639-1 codes that get the benefit of the doubt.

    Returns:
        An ISO 639-1 code; empty for a text too short, too mixed or too ambiguous to tell.
    """
    return evident(text) or _looked_up(text[:LONGEST_LOOK], tuple(kept))


def _looked_up(text: str, kept: tuple[str, ...]) -> str:
    letters = len(_ANY_LETTER.findall(text))
    cyrillic = sum(map(len, _CYRILLIC_WORD.findall(text)))
    if letters < LEAST_LETTERS:
        return ""
    if 2 * cyrillic >= letters:
        return _believed(_FOREIGN_WORD.sub(" ", text), kept, CYRILLIC, accurate=True)
    if cyrillic >= MIXED * letters:
        return ""
    return _believed(_CYRILLIC_WORD.sub(" ", text), kept, OTHERS, accurate=False)


def _believed(text: str, kept: tuple[str, ...], names: tuple[str, ...], *, accurate: bool) -> str:
    ranked = _detector(names, accurate).compute_language_confidence_values(text)
    codes = {each.language.iso_code_639_1.name.lower(): each.value for each in ranked}
    first, confidence = next(iter(codes.items()))
    rival = max((codes.get(code, 0.0) for code in kept if code != first), default=0.0)
    if first in kept or (confidence >= SURE and confidence >= SURE_RATIO * rival):
        return first
    return ""
