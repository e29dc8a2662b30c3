"""Personal numbers: phones, passports, SNILS, INN, bank cards and accounts.

A text's digits are read as runs of groups, so that `8 (916) 123-45-67` and `4508 номер 123456` are
one run each. A window of neighbouring groups is then named by its length, its checksum and the
last telling word before it.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import phonenumbers
from stdnum import luhn
from stdnum.ru import inn

from components.prepare.personal_data.checksums import (
    ACCOUNT_DIGITS,
    account_key_is_valid,
    snils_is_valid,
)
from components.prepare.personal_data.kinds import Kind, Span

LONG_NUMBER = re.compile(r"\d(?:\D{0,8}\d){6}")
"""Seven digits near each other: texts without them hold no personal number."""
GROUP = re.compile(r"\d+")
GAP = re.compile(r"[ \u00a0\-‐–—.()]{1,3}")
WORDS_GAP = re.compile(r"[ ,.:;-]{0,2}(?:номер|ном|н|№|n|no)[ .:№-]{0,3}", re.IGNORECASE)
MONEY = re.compile(r"\s?(?:₽|[$€%]|р(?:уб\w*)?\b|тыс|млн|млрд|миллион|доллар|евро|юан)", re.I)
CODE = re.compile(r"(?:\b[A-Za-zА-ЯЁ]{1,3}-|[#/_])$")
"""What stands right before the digits of a document or an order."""
BIK = re.compile(r"(?<!\d)04\d{7}(?!\d)")
CONTEXT_CHARACTERS = 45
CONTEXT = re.compile(
    r"(?P<passport>пасп\w+|сери[яию]\b)|(?P<snils>снилс|страхов\w+ (?:номер|свид))"
    r"|(?P<inn>\bинн|налогов\w+ номер)|(?P<phone>\bтел\b|телефон|звон|набер|"
    r"whats|ватсап|вацап|смс|логин|моб(?:ильн|\.))|(?P<card>\bкарт)|(?P<account>\bсч[её]т|\bр/с|\bл/с)"
    r"|(?P<order>заказ|заявк|договор|обращени|операци|\bчек\b|квитанц|трек|документ|посылк|"
    r"приказ|артикул|поруч|транзакц|полис)",
    re.IGNORECASE,
)
CARD_GROUPS = {
    (16,), (4, 4, 4, 4), (8, 8), (4, 12), (12, 4), (6, 10), (4, 4, 8), (8, 4, 4), (13,), (18,),
    (19,), (4, 4, 4, 4, 2), (4, 4, 4, 4, 3), (15,), (4, 6, 5),
}  # fmt: skip
"""How people group the 13 to 19 digits of ISO/IEC 7812 numbers."""
CARD_SYSTEMS = "23456"
"""First digits of Mir and Mastercard (2), American Express (3), Visa, Mastercard, UnionPay."""
PASSPORT_GROUPS = {(4, 6), (2, 2, 6)}
SNILS_GROUPS = {(11,), (3, 3, 3, 2)}
CURRENCIES = {"810", "643", "840", "978", "156", "784", "933", "398", "051", "826", "756", "392"}
"""Codes at places 6 to 8 of an account (OK 014-2000; 810 stands for roubles in accounts)."""
INN_LENGTHS = (10, 12)
NATIONAL, FULL = 10, 11
LONGEST_WINDOW = 12
"""Groups: a phone told digit by digit has eleven."""
SHORTEST_NUMBER = 7
"""Digits of a phone in its own city."""
LOCAL_GROUPS = {(3, 2, 2), (7,), (3, 4)}


@dataclass(frozen=True)
class Window:
    """Neighbouring groups of digits and what stands around them."""

    text: str
    start: int
    end: int
    digits: str
    lengths: tuple[int, ...]
    worded: bool
    """A word such as `номер` stands between two groups."""
    alone: bool
    """No other digits stand beside it."""
    context: str | None
    """The kind that the last telling word before names, or `order`."""

    @property
    def plus(self) -> bool:
        """Written with the plus of an international number."""
        return self.text[self.start - 1 : self.start] == "+"


def find_numbers(text: str, public: frozenset[str]) -> list[Span]:
    """Finds personal numbers.

    Args:
        text: A text.
        public: The last ten digits of numbers to keep.

    Returns:
        Spans that do not overlap, from left to right. Toll-free phones are nobody's own.
    """
    if LONG_NUMBER.search(text) is None:
        return []
    return [span for run in _runs(text) for span in _spans(text, run, public)]


def _runs(text: str) -> Iterator[list[re.Match[str]]]:
    groups = list(GROUP.finditer(text))
    run = groups[:1]
    for left, right in pairwise(groups):
        gap = text[left.end() : right.start()]
        if not (GAP.fullmatch(gap) or WORDS_GAP.fullmatch(gap)):
            yield run
            run = []
        run.append(right)
    yield run


def _spans(text: str, run: list[re.Match[str]], public: frozenset[str]) -> Iterator[Span]:
    first = 0
    while first < len(run):
        context = _context(text, run[first].start())
        for last in _ends(run, first):
            window = _window(text, run, first, last, context)
            kind = _kind(window)
            if kind is not None and window.digits[-NATIONAL:] not in public:
                yield _span(window, kind)
            if kind is not None or _is_mistyped(window):
                first = last - 1
                break
        first += 1


def _ends(run: list[re.Match[str]], first: int) -> list[int]:
    """Where windows from this group may end, the longest first."""
    ends, digits = [], 0
    for last in range(first, min(len(run), first + LONGEST_WINDOW)):
        digits += len(run[last].group())
        if SHORTEST_NUMBER <= digits <= ACCOUNT_DIGITS:
            ends.append(last + 1)
    return ends[::-1]


def _window(
    text: str, run: list[re.Match[str]], first: int, last: int, context: str | None
) -> Window:
    groups = run[first:last]
    start, end = groups[0].start(), groups[-1].end()
    between = text[start:end]
    return Window(
        text=text,
        start=start,
        end=end,
        digits="".join(group.group() for group in groups),
        lengths=tuple(len(group.group()) for group in groups),
        worded=any(character.isalpha() or character == "№" for character in between),
        alone=len(groups) == len(run),
        context=context,
    )


def _context(text: str, start: int) -> str | None:
    before = text[max(0, start - CONTEXT_CHARACTERS) : start]
    names = [match.lastgroup for match in CONTEXT.finditer(before)]
    return names[-1] if names else None


def _span(window: Window, kind: Kind) -> Span:
    """Takes the plus or the bracket before the digits along."""
    start = window.start
    while kind == "phone" and start and window.text[start - 1] in "+(":
        start -= 1
    return Span(start, window.end, kind)


def _kind(window: Window) -> Kind | None:
    if MONEY.match(window.text, window.end):
        return None
    return next((kind for kind, fits in RECOGNIZERS if fits(window)), None)


def _is_account(window: Window) -> bool:
    digits = window.digits
    if len(digits) != ACCOUNT_DIGITS or digits[0] not in "34" or digits.startswith("301"):
        return False
    biks = BIK.findall(window.text)
    right_key = any(account_key_is_valid(digits, bik) for bik in biks)
    return not window.worded and digits[5:8] in CURRENCIES and (right_key or not biks)


def _is_card(window: Window) -> bool:
    return (
        window.lengths in CARD_GROUPS
        and window.digits[0] in CARD_SYSTEMS
        and not window.worded
        and bool(luhn.is_valid(window.digits))
    )


def _is_mistyped(window: Window) -> bool:
    """A card or an account with a wrong checksum: its parts are no numbers of their own."""
    card = window.lengths in CARD_GROUPS and window.digits[0] in CARD_SYSTEMS
    return card or (len(window.digits) == ACCOUNT_DIGITS and window.digits[0] in "34")


def _is_snils(window: Window) -> bool:
    if window.worded or not snils_is_valid(window.digits):
        return False
    if window.context == "snils":
        return True
    return window.lengths in SNILS_GROUPS and not _is_foreign(window) and not _is_phone(window)


def _is_inn(window: Window) -> bool:
    if len(window.digits) not in INN_LENGTHS or window.worded:
        return False
    if window.context != "inn":
        certain = window.lengths == (12,) and window.context is None
        if not certain or _is_foreign(window):
            return False
    return bool(inn.is_valid(window.digits))


def _is_passport(window: Window) -> bool:
    if len(window.digits) != NATIONAL:
        return False
    if window.context == "passport":
        return True
    likely = window.lengths in PASSPORT_GROUPS and window.context in {None, "phone"}
    return likely and not _is_foreign(window)


def _is_foreign(window: Window) -> bool:
    """Belongs to something else: an order, a code such as `A-123`, a plus before it."""
    before = window.text[max(0, window.start - 5) : window.start]
    return window.context == "order" or window.plus or CODE.search(before) is not None


def _is_phone(window: Window) -> bool:
    if window.worded or CODE.search(window.text[max(0, window.start - 5) : window.start]):
        return False
    if window.context == "phone" and window.lengths in LOCAL_GROUPS and window.alone:
        return True
    if not (_is_national(window) or window.plus):
        return False
    number = ("+" if window.plus else "") + window.digits
    return _is_private_number(number)


def _is_national(window: Window) -> bool:
    """Eleven digits from 7 or 8, or ten of a mobile or after a bracket."""
    if len(window.digits) == FULL:
        return window.digits[0] in "78"
    bracket = window.text[window.start - 1 : window.start] == "("
    doubtful = window.context in {"order", "inn", "passport"}
    return len(window.digits) == NATIONAL and (window.digits[0] == "9" or bracket) and not doubtful


def _is_private_number(number: str) -> bool:
    try:
        parsed = phonenumbers.parse(number, "RU")
    except phonenumbers.NumberParseException:
        return False
    toll_free = phonenumbers.PhoneNumberType.TOLL_FREE
    plausible = (
        phonenumbers.is_possible_number if number[0] == "+" else phonenumbers.is_valid_number
    )
    return plausible(parsed) and phonenumbers.number_type(parsed) != toll_free


RECOGNIZERS: tuple[tuple[Kind, Callable[[Window], bool]], ...] = (
    ("account", _is_account),
    ("card", _is_card),
    ("inn", _is_inn),
    ("snils", _is_snils),
    ("passport", _is_passport),
    ("phone", _is_phone),
)
"""In the order of certainty: a window gets the first kind that fits."""
