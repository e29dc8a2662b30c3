"""Exact facts: which of the facts that an answer must contain it does contain, and where.

A fact counts when one of its spellings stands in the answer as a whole: same numbers, same words.
What a reader does not see as a difference is not one here: letter case, non-breaking spaces, ё
for е, kinds of dash, comma or dot in a decimal, spaces between thousands, trailing zeros of a
decimal, a space before a unit, and the common names of percent and rouble. Boundaries are those
of numbers and words: `5%` is not in `15%`, in `0,5%` or in `5,5%`, and `нет` is not in
`интернет`. Negation is not understood: `не бесплатно` contains `бесплатно`.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from components.core.schemas import Fact

_SAME = str.maketrans(
    dict.fromkeys("\u00a0\u202f\u2009\u2007\t\n\r", " ")
    | dict.fromkeys("‐‑‒–—−", "-")
    | dict.fromkeys("«»„“”", '"')
    | {"ё": "е"}
)
_DECIMAL_COMMA = re.compile(r"(?<=\d),(?=\d)")
_ROUBLE = r"(?:₽|руб(?:\.|л[а-я]+)?|р\.)"
_TOKEN = re.compile(
    rf"(?P<rouble>{_ROUBLE}(?!\w))|(?P<percent>%|процент[а-я]*)"
    r"|(?P<number>\d+(?: +\d{3}(?!\d))*(?:\.\d+)?)|(?P<word>[^\W\d]+)|(?P<sign>[^\w\s])"
)


@dataclass(frozen=True, slots=True)
class FactCheck:
    """Which facts an answer holds.

    Attributes:
        found: Facts with the place where they stand, `(start, end)` in the answer.
        missing: The others.
    """

    found: tuple[tuple[Fact, tuple[int, int]], ...]
    missing: tuple[Fact, ...]

    @property
    def share(self) -> float | None:
        """Found over required, in [0, 1]; None when nothing was required."""
        required = len(self.found) + len(self.missing)
        return len(self.found) / required if required else None


def check_facts(facts: Iterable[Fact], answer: str) -> FactCheck:
    """Looks for every required fact in an answer.

    Args:
        facts: What the answer must contain.
        answer: The answer as given.

    Returns:
        The facts found, with their places, and the missing ones, each in the order given.
    """
    places = [(fact, find_fact(fact, answer)) for fact in facts]
    found = tuple((fact, place) for fact, place in places if place)
    return FactCheck(found, tuple(fact for fact, place in places if place is None))


def fact_share(facts: Sequence[Fact], answer: str) -> float | None:
    """Gives the share of required facts that stand in the answer; None when there are none."""
    return check_facts(facts, answer).share


def find_fact(fact: Fact, answer: str) -> tuple[int, int] | None:
    """Finds the first place of a fact, by its value or an accepted spelling.

    Args:
        fact: The fact; an empty spelling is never found.
        answer: The answer as given.

    Returns:
        `(start, end)` in the answer, or None.
    """
    text = _canonical(answer)
    for spelling in (fact.value, *fact.accepted):
        pattern = _pattern(spelling)
        match = pattern.search(text) if pattern else None
        if match:
            return match.span()
    return None


def _canonical(text: str) -> str:
    """Maps what looks alike to one character each, so that places stay where they are."""
    lowered = "".join(low if len(low := char.lower()) == 1 else char for char in text)
    return _DECIMAL_COMMA.sub(".", lowered.translate(_SAME))


@lru_cache(maxsize=16384)
def _pattern(spelling: str) -> re.Pattern[str] | None:
    """Compiles a spelling to a pattern over canonical text; None when it holds no token."""
    tokens = list(_TOKEN.finditer(_canonical(spelling)))
    if not tokens:
        return None
    parts = [_before(tokens[0])]
    for index, token in enumerate(tokens):
        parts += [_gap(tokens[index - 1], token) if index else "", _matcher(token)]
    return re.compile("".join([*parts, _after(tokens[-1])]))


def _matcher(token: re.Match[str]) -> str:
    if token["rouble"]:
        return _ROUBLE
    if token["percent"]:
        return r"(?:%|процент[а-я]*)"
    if token["number"]:
        return _number(token["number"])
    return re.escape(token.group())


def _number(written: str) -> str:
    """Matches a number with any grouping of thousands and any trailing zeros.

    Leading zeros stay, since they tell a date or a code from an amount.
    """
    whole, _, fraction = written.replace(" ", "").partition(".")
    head = len(whole) % 3 or 3
    groups = [whole[:head], *(whole[i : i + 3] for i in range(head, len(whole), 3))]
    kept = fraction.rstrip("0")
    return " *".join(groups) + (rf"\.{kept}0*" if kept else r"(?:\.0+(?!\d))?")


def _gap(left: re.Match[str], right: re.Match[str]) -> str:
    """What may stand between two tokens: nothing more than the spelling's own space, but units."""
    if right["rouble"] or right["percent"] or left["sign"] or right["sign"]:
        return r"\s*"
    return r"\s+" if left.end() < right.start() else ""


def _before(token: re.Match[str]) -> str:
    if token["number"]:
        whole = token["number"].split(".")[0].replace(" ", "")
        grouped = len(whole) % 3 == 0
        return r"(?<![\w])(?<!\d\.)" + (r"(?<!\d )" if grouped else "")
    return "" if token["sign"] else r"(?<!\w)"


def _after(token: re.Match[str]) -> str:
    if token["number"]:
        return r"(?![^\W_])(?!\.\d)(?! \d{3}(?!\d))"
    return "" if token["sign"] or token.group() == "%" else r"(?!\w)"
