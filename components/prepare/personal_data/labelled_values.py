"""Made-up personal data, and what only looks like it, for the labelled sentences."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from stdnum import luhn
from stdnum.ru import inn

from components.prepare.personal_data.checksums import account_key_is_valid, snils_is_valid

MOBILE = (903, 905, 909, 910, 915, 916, 917, 920, 921, 925, 926, 950, 961, 964, 977, 985, 999)
PHONE_STYLES = (
    "8{c}{a}{b}{d}", "+7{c}{a}{b}{d}", "8 ({c}) {a}-{b}-{d}", "+7 {c} {a} {b} {d}",
    "8-{c}-{a}-{b}-{d}", "{c} {a}-{b}-{d}", "{c}{a}{b}{d}", "+7({c}){a}{b}{d}",
    "8.{c}.{a}.{b}.{d}", "8 {c} {a}{b}{d}", "8({c}){a}-{b}-{d}", "7{c}{a}{b}{d}",
    "+7-{c}-{a}{b}{d}",
)  # fmt: skip
LOGINS = (
    "ivan.petrov",
    "olga_84",
    "kot-matroskin",
    "a.n.sidorova",
    "buhgalter",
    "89mars",
    "info-shop",
)
MONTHS = ("января", "марта", "мая", "августа", "октября", "декабря")
LATIN = ("IVAN KUZNETSOV", "OLGA SMIRNOVA", "TIMUR AKHMEDOV")

ABROAD, CITY, HYPHENATED = 0.05, 0.1, 0.5
"""Shares: phones abroad, phones abroad or in a city, SNILS as it is printed on the card."""


@dataclass
class Values:
    """Draws values; the BIK of a sentence is drawn once, so that its account fits it."""

    rng: random.Random
    half: dict[str, list[str]]
    bik: str = field(init=False)

    def __post_init__(self) -> None:
        self.bik = "0445" + self.digits(2) + self.rng.choice(("225", "593", "700", "974"))

    def digits(self, count: int) -> str:
        """Random digits."""
        return "".join(self.rng.choices("0123456789", k=count))

    def until(self, draw: Callable[[], str], wanted: Callable[[str], bool]) -> str:
        """Draws until a value is as wanted."""
        while not wanted(value := draw()):
            pass
        return value

    def spaced(self, digits: str, sizes: tuple[int, ...], gaps: tuple[str, ...]) -> str:
        """The digits in groups, all with the same gap between them."""
        starts = [sum(sizes[:place]) for place in range(len(sizes))]
        groups = [digits[s : s + n] for s, n in zip(starts, sizes, strict=True)]
        return self.rng.choice(gaps).join(groups)

    def phone(self) -> str:
        """A mobile number as people write it; one in ten of a city or another country."""
        kind = self.rng.random()
        if kind < ABROAD:
            return f"+375 29 {self.digits(3)}-{self.digits(2)}-{self.digits(2)}"
        code = "495" if kind < CITY else str(self.rng.choice(MOBILE))
        style = self.rng.choice(PHONE_STYLES)
        return style.format(c=code, a="2" + self.digits(2), b=self.digits(2), d=self.digits(2))

    def email(self) -> str:
        """An address; one in six the way it is dictated."""
        login, domain = self.rng.choice(LOGINS), self.rng.choice(self.half["domains"])
        if domain.endswith("рф"):
            login = "иван"
        styles = ("{}@{}", "{}@{}", "{}@{}", "{}@{}", "{} @ {}", "{} собака {}")
        return self.rng.choice(styles).format(login, domain)

    def passport(self) -> str:
        """Series and number with few words or none."""
        digits = f"{self.rng.choice((45, 36, 92, 40))}{self.rng.randint(0, 23):02d}{self.digits(6)}"
        styles = ("{s}{t} {n}", "{s} {t} {n}", "{s}{t}{n}", "{s}{t} № {n}", "{s}{t}-{n}")
        return self.rng.choice(styles).format(s=digits[:2], t=digits[2:4], n=digits[4:])

    def passport_words(self) -> str:
        """Series and number with words between."""
        style = self.rng.choice(("{} номер {}", "{}, номер {}", "{} н. {}"))
        return style.format(f"46{self.rng.randint(0, 23):02d}", self.digits(6))

    def snils(self) -> str:
        """Eleven digits with a right control number."""
        digits = self.until(lambda: self.digits(11), snils_is_valid)
        return self._snils_style(digits)

    def bad_snils(self) -> str:
        """Eleven digits with a wrong control number, no phone either."""
        digits = self.until(lambda: "1" + self.digits(10), lambda d: not snils_is_valid(d))
        return self._snils_style(digits)

    def _snils_style(self, digits: str) -> str:
        if self.rng.random() < HYPHENATED:
            return self.spaced(digits[:9], (3, 3, 3), ("-",)) + self.rng.choice(" -") + digits[9:]
        return self.spaced(digits, (3, 3, 3, 2), ("", " "))

    def inn(self) -> str:
        """A person's."""
        return self._right_inn(12)

    def inn_company(self) -> str:
        """A company's or a sole trader's."""
        return self._right_inn(10)

    def _right_inn(self, length: int) -> str:
        return self.until(lambda: "77" + self.digits(length - 2), inn.is_valid)

    def bad_inn(self) -> str:
        """Twelve digits with wrong control digits."""
        return self.until(lambda: "77" + self.digits(10), lambda d: not inn.is_valid(d))

    def card(self) -> str:
        """Sixteen digits that satisfy Luhn."""
        return self._card(lambda d: bool(luhn.is_valid(d)))

    def bad_card(self) -> str:
        """Sixteen digits that do not."""
        return self._card(lambda d: not luhn.is_valid(d))

    def _card(self, wanted: Callable[[str], bool]) -> str:
        head = self.rng.choice(("2200", "2202", "4276", "5469", "4111"))
        digits = self.until(lambda: head + self.digits(12), wanted)
        return self.spaced(digits, (4, 4, 4, 4), ("", " ", " ", "-"))

    def account(self) -> str:
        """A person's account whose key fits the sentence's BIK."""
        return self._account(lambda a: account_key_is_valid(a, self.bik))

    def bad_account(self) -> str:
        """An account whose key does not."""
        return self._account(lambda a: not account_key_is_valid(a, self.bik))

    def _account(self, wanted: Callable[[str], bool]) -> str:
        head = self.rng.choice(("40817810", "42301810", "40817840", "40802810"))
        digits = self.until(lambda: head + self.digits(12), wanted)
        return self.spaced(digits, (5, 3, 1, 4, 7), ("", "", " "))

    def address(self) -> str:
        """A flat or a house, from neat to hasty."""
        street, city = self.rng.choice(self.half["streets"]), self.rng.choice(self.half["cities"])
        house, flat = self.rng.randint(1, 120), self.rng.randint(1, 300)
        styles = (
            "г. {c}, ул. {s}, д. {h}, кв. {f}", "{c}, улица {s}, дом {h}, квартира {f}",
            "г {c} ул {s} {h} кв {f}", "{i}, г. {c}, ул. {s}, {h}-{f}", "ул. {s}, {h}",
            "{c}, ул. {s}, д.{h}к2, кв.{f}", "{c}, проспект {s}, {h}", "{c} {s} {h} кв {f}",
            "{c}, {s} ул., д. {h}/2", "деревня Сосновка, улица {s}, дом {h}",
        )  # fmt: skip
        index = self.rng.randint(101000, 690000)
        return self.rng.choice(styles).format(s=street, c=city, h=house, f=flat, i=index)

    def latin(self) -> str:
        """A holder as it is embossed on a card."""
        return self.rng.choice(LATIN)

    def amount(self) -> str:
        """Money, up to millions; long ones too."""
        value = self.rng.choice((300, 15_000, 100_000, 1_250_000, 8_916_123, 12_345_678_901))
        spaced = f"{value:,}".replace(",", self.rng.choice((" ", "")))
        return spaced + self.rng.choice((" ₽", " рублей", " руб.", "р"))

    def date(self) -> str:
        """A day in three spellings."""
        day, month, year = self.rng.randint(1, 28), self.rng.randint(1, 12), 2026
        words = f"{day} {self.rng.choice(MONTHS)} {year}"
        return self.rng.choice(
            (f"{day:02d}.{month:02d}.{year}", words, f"{year}-{month:02d}-{day:02d}")
        )

    def order(self) -> str:
        """An order's or a request's number, with or without letters."""
        return self.rng.choice(("№ {}", "{}", "ЗК-{}", "#{}")).format(self.digits(8))

    def contract(self) -> str:
        """A contract's number."""
        styles = ("№ {}/{}", "{}-{}", "№ДБ{}/26-{}")
        return self.rng.choice(styles).format(self.digits(6), self.digits(3))

    def receipt(self) -> str:
        """A document's long number."""
        return self.rng.choice(("№ 10", "ФД 20", "A-1")) + self.digits(12)

    def hotline(self) -> str:
        """A toll-free line, nobody's own."""
        return self.rng.choice(("8 800 {}-{}-{}", "8800{}{}{}", "8-800-{}-{}-{}")).format(
            "2" + self.digits(2), self.digits(2), self.digits(2)
        )

    def four(self) -> str:
        """Four digits."""
        return self.digits(4)

    def rate(self) -> str:
        """Per cent."""
        return f"{self.rng.randint(9, 22)},{self.rng.randint(1, 9)}%"

    def rate_fx(self) -> str:
        """An exchange rate."""
        return f"{self.rng.randint(70, 120)},{self.digits(4)}"

    def term(self) -> str:
        """How long."""
        return self.rng.choice(("6 месяцев", "180 дней", "3 года", "367 дней"))

    def product(self) -> str:
        """A product named like a person or a thing."""
        return self.rng.choice(self.half["products"])

    def product_lower(self) -> str:
        """The same, typed in haste."""
        return self.product().lower()
