"""The kinds of personal data, their placeholders, and a found piece of it."""

from typing import Literal, NamedTuple, get_args

Kind = Literal["name", "phone", "email", "passport", "snils", "inn", "card", "account", "address"]
KINDS: tuple[Kind, ...] = get_args(Kind)

PLACEHOLDERS: dict[Kind, str] = {
    "name": "[ИМЯ]",
    "phone": "[ТЕЛЕФОН]",
    "email": "[ПОЧТА]",
    "passport": "[ПАСПОРТ]",
    "snils": "[СНИЛС]",
    "inn": "[ИНН]",
    "card": "[КАРТА]",
    "account": "[СЧЁТ]",
    "address": "[АДРЕС]",
}
"""What stands in a masked text; stable, since models are trained on it."""


class Span(NamedTuple):
    """A piece of personal data in a text: characters `start` to `end`, without the last."""

    start: int
    end: int
    kind: Kind
