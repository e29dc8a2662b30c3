"""E-mail addresses, also the way they are mistyped and dictated."""

import re

from components.prepare.personal_data.kinds import Span

SIGNS = ("@", "собак", "собач")
EMAIL = re.compile(
    r"(?<![\w@])[\w.+%-]{1,64}"
    r"(?:\s?@\s?|\s\(?соба(?:ка|чка)\)?\s)"
    r"[\w-]{1,63}(?:(?:\.|,(?=(?:ru|com|рф|net|org)\b)|\sточка\s)[\w-]{1,63}){1,4}",
    re.IGNORECASE,
)
"""RFC 5321 lengths; `mail,ru` and `name собака mail точка ru` count."""


def find_emails(text: str, public: frozenset[str]) -> list[Span]:
    """Finds e-mail addresses.

    Args:
        text: A text.
        public: Addresses and domains to keep, in lower case.

    Returns:
        Spans from left to right.
    """
    lowered = text.lower()
    if not any(sign in lowered for sign in SIGNS):
        return []
    return [
        Span(match.start(), match.end(), "email")
        for match in EMAIL.finditer(text)
        if not _is_public(match.group().lower(), public)
    ]


def _is_public(address: str, public: frozenset[str]) -> bool:
    return address in public or address.rpartition("@")[2].strip() in public
