"""Other ways to write a value of the bank, which count as the same fact."""

import re

_PERCENT = re.compile(r"^(\d+(?:,\d+)?)%$")
_MONEY = re.compile(r"^(\d{1,3}(?: \d{3})*) рублей$")
_MILLIONS = re.compile(r"^(\d+(?:,\d+)?) млн рублей$")
_MONTHS = re.compile(r"^(\d+) месяц\w*$")


def spellings(value: str) -> tuple[str, ...]:
    """Gives other spellings of a value.

    Args:
        value: As an answer writes it: `16,5%`, `10 000 рублей`, `1,5 млн рублей`, `12 месяцев`;
            any other form has no derived spelling.

    Returns:
        The other spellings, without `value` itself; the unit stays in each, so that a part of a
        longer number is never taken for it.
    """
    if match := _PERCENT.match(value):
        return _percent(match[1])
    if match := _MONEY.match(value):
        return _money(match[1])
    if match := _MILLIONS.match(value):
        return _millions(match[1])
    if match := _MONTHS.match(value):
        return (f"{match[1]} мес",)
    return ()


def _percent(number: str) -> tuple[str, ...]:
    numbers = dict.fromkeys((number, number.replace(",", ".")))
    forms = [f"{n}{unit}" for n in numbers for unit in ("%", " %", " процент")]
    return tuple(form for form in forms if form != f"{number}%")


def _money(number: str) -> tuple[str, ...]:
    plain = number.replace(" ", "")
    numbers = dict.fromkeys((number, number.replace(" ", "\u00a0"), plain))
    forms = [f"{n} {unit}" for n in numbers for unit in ("рублей", "руб", "₽")]
    if plain.endswith("000"):
        forms += [f"{number[:-4]} тыс"]
    return tuple(form for form in forms if form != f"{number} рублей")


def _millions(number: str) -> tuple[str, ...]:
    roubles = f"{round(float(number.replace(',', '.')) * 1_000_000):,}".replace(",", " ")
    short = (f"{number} миллион", f"{number.replace(',', '.')} млн", f"{number} млн")
    return (*dict.fromkeys(short), f"{roubles} рублей", *_money(roubles)[:-1])
