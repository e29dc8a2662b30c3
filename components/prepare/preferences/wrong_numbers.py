"""Another number in place of the one in a value, with the same unit and sound Russian.

`12 месяцев` may become `15 месяцев` but never `13 месяца` or `22 месяцев`: where a noun follows,
the new number asks for the same of the three plural forms (CLDR plural rules for Russian: one, few,
many). Dates stay dates, percents stay below 100, codes and telephone numbers keep their length.
"""

import random
import re
from collections.abc import Callable, Sequence

_NUMBER = re.compile(
    r"(?P<whole>\d+(?P<rest>(?P<space>[ \u00a0\u202f])\d{3}(?!\d)"
    r"(?:[ \u00a0\u202f]\d{3}(?!\d))*)?)(?:(?P<mark>[.,])(?P<fraction>\d+))?"
)
_DATE = re.compile(r"(?<![\d.])\d{1,2}(?=\.\d{1,2}\.\d{4}(?!\d))")
_CODE = re.compile(r"[*#+]?[\d\s()\-–:]*\d[*#]?")
_DAY = re.compile(
    r"\s*(?:-?го\b|числа|январ|феврал|март|апрел|ма[йя]\b|июн|июл|август|сентябр|октябр|ноябр|декабр)"
)
_PERCENT = re.compile(r"\s*(?:%|процент)")
_NOUN = re.compile(r"\s*(?!(?:млн|млрд|тыс|мес|руб|мин|сек|р|г|л|ч)\b)[а-яё]")
_LAST_DAY = 28
"""The last day that every month has."""
_ROUND = 100
"""Numbers below this are tried when none near the right one has its plural form."""
_TRIED = 200
"""Numbers near the right one that are tried; of a wider range, so many at random."""
_GROUPED = 1000


def other_number(written: str, rng: random.Random) -> str | None:
    """Changes one number of a value.

    Args:
        written: The value as the answer writes it: `16,5%`, `10 000 рублей`, `5-го числа`.
        rng: Decides which number, and into what.

    Returns:
        The value with the other number, or None when it holds no number that can be changed.
    """
    if _CODE.fullmatch(written.strip()):
        return _other_code(written, rng)
    if match := _DATE.search(written):
        day = _other_day(match, rng).zfill(len(match.group()))
        return written[: match.start()] + day + written[match.end() :]
    numbers = list(_NUMBER.finditer(written))
    if not numbers:
        return None
    match = rng.choice(numbers)
    after = written[match.end() :].lower()
    changed = _other_day(match, rng) if _DAY.match(after) else _other_amount(match, after, rng)
    return changed and written[: match.start()] + changed + written[match.end() :]


def _other_code(written: str, rng: random.Random) -> str:
    """Changes the last digit of a code or a telephone number."""
    place = max(i for i, char in enumerate(written) if char.isdecimal())
    digits = [digit for digit in "123456789" if digit != written[place]]
    return written[:place] + rng.choice(digits) + written[place + 1 :]


def _other_day(match: re.Match[str], rng: random.Random) -> str:
    days = [day for day in range(1, _LAST_DAY + 1) if day != int(re.sub(r"\s", "", match.group()))]
    return str(rng.choice(days))


def _other_amount(match: re.Match[str], after: str, rng: random.Random) -> str | None:
    """Another amount near the right one, as round as it: for 10 000 other whole 10 000s."""
    whole, fraction = re.sub(r"\s", "", match["whole"]), match["fraction"] or ""
    digits = (whole + fraction).lstrip("0") or "0"
    zeros = 0 if fraction else len(digits) - len(digits.rstrip("0") or digits)
    base, unit = int(digits) // 10**zeros, 10**zeros

    def fits(number: int) -> bool:
        below_100 = not _PERCENT.match(after) or number * unit < _ROUND * 10 ** len(fraction)
        if fraction:
            return below_100 and number % 10 != 0
        same_form = not _NOUN.match(after) or _plural(number * unit) == _plural(base * unit)
        return below_100 and same_form

    around = range(max(1, base // 2), 2 * base + 4)
    few = around if len(around) <= _TRIED else rng.sample(around, _TRIED)
    candidates = _fitting(few, base, fits) or _fitting(range(1, _ROUND), base, fits)
    return _written(rng.choice(candidates) * unit, match) if candidates else None


def _fitting(among: Sequence[int], right: int, fits: Callable[[int], bool]) -> list[int]:
    return [number for number in among if number != right and fits(number)]


def _plural(number: int) -> str:
    """The form of a noun after a number: `one` день, `few` дня, `many` дней."""
    if number % 10 == 1 and number % 100 != 11:  # noqa: PLR2004
        return "one"
    return "few" if number % 10 in (2, 3, 4) and number % 100 not in (12, 13, 14) else "many"


def _written(number: int, like: re.Match[str]) -> str:
    """Writes a number as another is written: decimals, mark, spaces between thousands."""
    fraction = like["fraction"]
    if fraction:
        padded = str(number).zfill(len(fraction) + 1)
        return padded[: -len(fraction)] + like["mark"] + padded[-len(fraction) :]
    plain = not like["space"] and int(like["whole"]) >= _GROUPED
    return str(number) if plain else f"{number:,}".replace(",", like["space"] or " ")
