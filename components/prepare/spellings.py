"""Other ways to say a value of the bank, which count as the same fact.

Only what `components.core.facts` does not already take as the same: it knows `16.5 %` and
`10000 руб.`, but not that `10 000` is `10 тысяч`.
"""

import re

_THOUSANDS = re.compile(r"^(\d{1,3}) 000 рублей$")
_MILLIONS = re.compile(r"^(\d+(?:,\d+)?) млн рублей$")
_MONTHS = re.compile(r"^(\d+) месяц\w*$")


def spellings(value: str) -> tuple[str, ...]:
    """Gives other spellings of a value.

    Args:
        value: As an answer writes it: `10 000 рублей`, `1,5 млн рублей`, `12 месяцев`; any other
            form has no derived spelling.

    Returns:
        The other spellings, without `value` itself.
    """
    if match := _THOUSANDS.match(value):
        return tuple(f"{match[1]} {unit}" for unit in ("тысяч", "тысячи", "тысяча", "тыс"))
    if match := _MILLIONS.match(value):
        roubles = round(float(match[1].replace(",", ".")) * 1_000_000)
        written = f"{roubles:,} рублей".replace(",", " ")
        return (written, *(f"{match[1]} {u}" for u in ("миллионов", "миллиона", "миллион", "млн")))
    if match := _MONTHS.match(value):
        return (f"{match[1]} мес",)
    return ()
