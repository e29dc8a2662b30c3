"""Names of people in Russian text, in every case, by what pymorphy3 knows of each word.

A chain of neighbouring words that may be names is taken when its words support each other (first
name and patronymic, surname and initials), when one of them can hardly be anything else, or when
an introduction such as `меня зовут` stands before it. Only then do small letters count.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from components.prepare.personal_data.kinds import Span
from components.prepare.personal_data.words import NOTHING, WordClass, word_class

CAPITALISED = re.compile(r"[А-ЯЁ][А-ЯЁа-яё]+(?:-[А-ЯЁ][А-ЯЁа-яё]+)*")
TOKEN = re.compile(r"(?<![А-ЯЁа-яё])[А-ЯЁа-яё]\.|[А-ЯЁа-яё]+(?:-[А-ЯЁа-яё]+)*")
HINTS = (
    "ович", "евич", "овн", "евн", "ичн", "льич", "зовут", "фио", "ф.и.о", "имя", "фамили",
    "отчество", "получател", "отправител", "подпись", "уважением", "клиент", "заёмщик", "заемщик",
    "держател", "спросить", "гражданин", "гражданк", "менеджер", "оператор", "я ", "это ",
    "здравств", "спасибо", "привет", "добрый ", "доброе ",
)  # fmt: skip
"""Without one of these, small letters hold no name that could be found."""
INTRODUCED = re.compile(
    r"(?:зовут(?: меня)?|\bфио|ф\.\s?и\.\s?о\.?|\bна имя|\bимя|фамили[яию]|отчество|"
    r"получател[ья]|отправител[ья]|подпись|с уважением|\bклиент\w*|за[её]мщик\w*|держател[ья]|"
    r"спросить|гражданин\w?|гражданк\w|анкета|заявител[ья])[\s:,–—-]{1,3}$",
    re.IGNORECASE,
)
SOFTLY = re.compile(
    r"(?:\bя|\bэто|\bснова|мама|муж|жена|сын|брат|подруга|друг|менеджер\w?|оператор\w?|"
    r"сотрудни\w+|(?:здравствуй|спасибо|привет)\w*|добр\w+ (?:день|вечер|утро))[\s,:]{1,3}$",
    re.IGNORECASE,
)
PRODUCT = re.compile(
    r"(?:\bкарт|\bвклад|\bсч[её]т|кредит|тариф|пакет|ипотек|сервис|подписк|программ|страховк|полис|"
    r"\bфонд|облигаци|копилк|услуг|банк|депозит)\w*\s+$",
    re.IGNORECASE,
)
PLACE_BEFORE = re.compile(
    r"(?:\bул(?:\.|иц\w+)|проспект\w*|\bпр(?:-т|\.)|площад\w+|\bпл\.|метро|станци\w+|\bг\.|город\w*|"
    r"бульвар\w*|\bпер\.|переул\w+|шоссе|набережн\w+|отделени\w+ на|памятник\w*)\s*$",
    re.IGNORECASE,
)
QUOTED = re.compile(r"«[^«»]{1,60}»|[\"„“][^\"„“”]{1,60}[\"“”]")
SENTENCE_START = re.compile(r"(?:^|[.!?\n…])[\s\"«(–—-]*$")
NOT_NAMES = frozenset(
    {"тинькофф", "сбер", "альфа", "альфу", "альфе", "альфой", "мир", "мира", "лада", "ладу", "ладе",
     "марий", "май", "мая", "июль", "август", "августа", "вас", "вам", "дай"}
)  # fmt: skip
"""Brands, months, a republic and small words that pymorphy3 also knows as names."""
IN_PLACE = re.compile(r"(?:^|\s)(?:во?|из|под|близ|до)\s$", re.IGNORECASE)
SMALL_INITIALS = re.compile(r"\b[а-яё]\.\s?[а-яё]\.")
LATIN = re.compile(r"[A-Z]{2} [A-Z]{2}")
LATIN_HOLDER = re.compile(
    r"(?i:держател\w+|карте?|написано|cardholder|holder|имя)[\s:,-]{1,3}(?:имя |написано |стоит )?"
    r"([A-Z]{2,20} [A-Z]{2,25})\b"
)
GAP = re.compile(r"[ \u00a0\t]{1,2}")
LONGEST_CHAIN = 3
BEFORE = 40
SURE = 0.5
VERY_SURE = 0.9
LIKELY = 0.3
CERTAIN = 0.95
SHORT = 3
FAIR = 0.4
RARE = 0.01
ABBREVIATIONS = frozenset({"те", "тк", "тд", "тп", "нэ", "сг", "тч", "то", "др", "пп", "мб"})
"""Two letters with stops that are no initials: `т.е.`, `т.к.`, `и т.д.`"""


class Token(NamedTuple):
    """A word or an initial, with its readings."""

    start: int
    end: int
    word: str
    reading: WordClass
    initial: bool

    @property
    def capital(self) -> bool:
        """Begins with a capital letter."""
        return self.word[0].isupper()


def find_names(text: str) -> list[Span]:
    """Finds names of people.

    Args:
        text: A text.

    Returns:
        Spans from left to right. Names in quotation marks are products unless they have two parts.
    """
    latin = _latin(text)
    if not _worth_reading(text):
        return latin
    quoted = [match.span() for match in QUOTED.finditer(text)]
    spans = [Span(c[0].start, c[-1].end, "name") for c in _chains(text, quoted)]
    return sorted(spans + latin)


def _latin(text: str) -> list[Span]:
    if LATIN.search(text) is None:
        return []
    return [Span(*match.span(1), "name") for match in LATIN_HOLDER.finditer(text)]


def _worth_reading(text: str) -> bool:
    if any(word_class(word).any_name for word in CAPITALISED.findall(text)):
        return True
    lowered = text.lower()
    if any(hint in lowered for hint in HINTS) or SMALL_INITIALS.search(text):
        return True
    return text == lowered and any(word_class(word).name >= CERTAIN for word in TOKEN.findall(text))


def _chains(text: str, quoted: list[tuple[int, int]]) -> Iterator[list[Token]]:
    tokens = list(_tokens(text))
    place = 0
    while place < len(tokens):
        chain = _longest(text, tokens, place, quoted)
        if chain:
            yield chain
        place += max(1, len(chain))


def _tokens(text: str) -> Iterator[Token]:
    """Words that may be parts of names, and initials; all others are left out."""
    for match in TOKEN.finditer(text):
        word = match.group()
        if word.endswith("."):
            yield Token(*match.span(), word, NOTHING, initial=True)
            continue
        reading = word_class(word)
        named = reading.any_name or (reading.unknown and word[0].isupper())
        if named and word.lower() not in NOT_NAMES:
            yield Token(*match.span(), word, reading, initial=False)


def _longest(
    text: str, tokens: list[Token], first: int, quoted: list[tuple[int, int]]
) -> list[Token]:
    """The longest name that begins with this token; empty when there is none."""
    chain = tokens[first : first + 1]
    for token in tokens[first + 1 : first + LONGEST_CHAIN]:
        gap = text[chain[-1].end : token.start]
        joined = GAP.fullmatch(gap) or (gap == "" and (chain[-1].initial or token.initial))
        if not joined:
            break
        chain.append(token)
    before = text[max(0, chain[0].start - BEFORE) : chain[0].start]
    inside = any(start < chain[0].start < end for start, end in quoted)
    while chain and not _is_name(chain, before, inside):
        chain = chain[:-1]
    return chain


def _is_name(chain: list[Token], before: str, quoted: bool) -> bool:
    if any(token.initial for token in chain):
        return _with_initials(chain)
    if len(chain) == 1:
        return not quoted and _single(chain[0], before)
    readings = [token.reading for token in chain]
    if all(token.capital for token in chain):
        return _supported(readings)
    if any(token.capital for token in chain):
        return False
    if INTRODUCED.search(before) or SOFTLY.search(before):
        return any(reading.name >= LIKELY or reading.patronymic >= SURE for reading in readings)
    return _supported(readings) and any(
        reading.patronymic >= SURE or reading.name >= VERY_SURE for reading in readings
    )


def _supported(readings: list[WordClass]) -> bool:
    """Parts of different sorts: a first name with a patronymic or a surname."""
    names = [reading for reading in readings if reading.name > 0 or reading.unknown]
    patronymics = [reading for reading in readings if reading.patronymic >= SURE]
    surnames = [reading for reading in readings if reading.surname >= LIKELY]
    if patronymics:
        return bool(names or surnames)
    certain = [reading for reading in readings if max(reading.name, reading.surname) >= SURE]
    apart = len(readings) > 1 and any(a is not b for a in names for b in surnames)
    return bool(apart and any(not reading.unknown for reading in certain))


def _with_initials(chain: list[Token]) -> bool:
    """A surname and two initials on either side, or a name and the first letter of the next."""
    words = [token for token in chain if not token.initial]
    if not words or len({token.capital for token in chain}) > 1:
        return False
    readings = [token.reading for token in words]
    if len(chain) - len(words) == 1:
        sure = any(max(reading.name, reading.surname) >= SURE for reading in readings)
        supported = len(words) == 1 or _supported(readings)
        return chain[-1].initial and chain[-1].capital and sure and supported
    if len(chain) < LONGEST_CHAIN or chain[1] is words[0]:
        return False
    letters = "".join(token.word[0] for token in chain if token.initial)
    return letters not in ABBREVIATIONS and (words[0].capital or readings[0].surname > RARE)


def _single(token: Token, before: str) -> bool:
    if INTRODUCED.search(before):
        return _introduced(token)
    if not token.capital:
        return _small(token, before)
    reading = token.reading
    if token.word.isupper() or _is_thing(reading, before):
        return False
    if max(reading.name, reading.patronymic) >= SURE:
        return True
    if SENTENCE_START.search(before):
        return reading.surname >= VERY_SURE and not reading.place
    return reading.name > RARE or (reading.surname >= LIKELY and not reading.place)


def _introduced(token: Token) -> bool:
    reading = token.reading
    sure = max(reading.name, reading.surname, reading.patronymic, SURE * reading.unknown)
    return sure >= (RARE if token.capital else LIKELY)


def _small(token: Token, before: str) -> bool:
    """One word in small letters: only a name that is nothing else, or after a greeting."""
    name = token.reading.name
    if PRODUCT.search(before) or PLACE_BEFORE.search(before):
        return False
    alone = name >= CERTAIN and len(token.word) > SHORT
    return alone or (name >= FAIR and SOFTLY.search(before) is not None)


def _is_thing(reading: WordClass, before: str) -> bool:
    """What stands before makes it a place, or a product unless it is a name and nothing else."""
    if PLACE_BEFORE.search(before) or (reading.place and IN_PLACE.search(before)):
        return True
    return reading.name < VERY_SURE and PRODUCT.search(before) is not None
