"""Postal addresses of homes: a street with a house, or a house with a flat.

A street without a house is a place in the city and stays.
"""

import re

from components.prepare.personal_data.kinds import Span
from components.prepare.personal_data.words import word_class

STREET = (
    r"(?:улиц[аеуы]|ул|проспект[еау]?|пр-?к?т|просп|пр|переул(?:ок|ке|ка)|пер|шоссе|бульвар[еа]?|"
    r"б-р|бул|набережн(?:ая|ой)|наб|проезд[еа]?|площад[ьи]|пл|тупик[еа]?|мкр|микрорайон[еа]?)\b\.?"
)
TOWN = (
    r"(?:г|гор|город[еа]?|пос|посёл(?:ок|ке)|дер|деревн[яеи]|сел[ое]|с|пгт|станиц[ае]|хутор[еа]?)\b"
    r"\.?"
)
WORD = r"(?!(?:кв|м|га|сот)\b)[А-ЯЁа-яё][А-ЯЁа-яё-]{0,30}\.?"
NAME = rf"(?:\d{{1,3}}(?:-?[а-я]{{1,2}})?\s)?{WORD}(?:\s{WORD}){{0,2}}?"
ADJECTIVE = (
    r"(?:\d{1,3}-[яй]\s)?(?:(?-i:[А-ЯЁ][а-яё-]{1,30})(?:\s(?-i:[А-ЯЁ][а-яё-]{1,30}))?"
    r"|[а-яё-]{1,30}(?:ая|ий|ый|ой|[оеё]ва|ина))"
)
"""A street's name before its type: `Малая Садовая ул.`, `невский пр.`"""
HOUSE = (
    r"[\s,]{1,3}(?:(?:дом|д)(?![а-яё])\.?\s*)?№?\s*\d{1,4}(?:\s?[а-яА-Я]\b)?"
    r"(?:\s?(?:корп(?:ус)?|к|стр(?:оение)?|/|-)\.?\s?\d{1,4}){0,2}"
    r"(?:,?\sлит(?:ера|\.)?\s?[А-Яа-я]\b)?(?!\d)"
)
FLAT = r"[\s,]{0,3}(?:кв|квартира|квартире|офис|оф|комн|комната)(?![а-яё])\.?\s*№?\s*\d{1,4}"
DIGIT = re.compile(r"\d")
HINT = re.compile(rf"\b(?:{STREET}|(?:кв|дом|д)(?![а-яё])|квартир)", re.IGNORECASE)
WHOLE = re.compile(
    rf"\b(?:{STREET}\s*{NAME}{HOUSE}(?:{FLAT})?|{ADJECTIVE}\s{STREET}{HOUSE}(?!\s{WORD}[\s,]{{1,3}}\d)(?:{FLAT})?"
    rf"|{WORD}{HOUSE}{FLAT}|{TOWN}\s*{WORD}[\s,]{{1,3}}(?:дом|д)(?![а-яё])\.?\s*\d{{1,4}})",
    re.IGNORECASE,
)
TOWN_BEFORE = re.compile(
    rf"(?:\b\d{{6}}[\s,]{{1,3}})?"
    rf"(?:\b[А-ЯЁ][а-яё-]{{1,30}}\s(?:обл(?:асть)?|край)\b\.?[\s,]{{1,3}})?"
    rf"(?:\b{TOWN}\s*)?(?P<town>{WORD}(?:[\s-]{WORD})?)[\s,]{{1,3}}$",
    re.IGNORECASE,
)
MONEY = re.compile(r"\s?(?:₽|[$€%]|р(?:уб\w*)?\b|тыс|млн|лет\b|год|месяц|дн|минут|процент)", re.I)
BEFORE = 70


def find_addresses(text: str) -> list[Span]:
    """Finds addresses.

    Args:
        text: A text.

    Returns:
        Spans from left to right, each with the town and the index before the street.
    """
    if DIGIT.search(text) is None or HINT.search(text) is None:
        return []
    return [
        Span(_start(text, match.start()), match.end(), "address")
        for match in WHOLE.finditer(text)
        if not MONEY.match(text, match.end())
    ]


def _start(text: str, street: int) -> int:
    """Where the town before the street begins, or the street itself."""
    offset = max(0, street - BEFORE)
    match = TOWN_BEFORE.search(text[offset:street])
    return offset + match.start() if match and _has_town(match) else street


def _has_town(match: re.Match[str]) -> bool:
    words = re.split(r"[\s-]+", match.group("town"))
    typed = re.match(rf"\s*(?:\d{{6}}|{TOWN}\s)", match.group(), re.IGNORECASE)
    return typed is not None or any(word_class(word).place for word in words)
