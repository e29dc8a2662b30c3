"""Wrong numbers: another number, the same unit, the same grammar."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.facts import find_fact
from components.core.schemas import Fact
from components.prepare.preferences.wrong_numbers import other_number


def drafts(written: str) -> set[str]:
    made = {other_number(written, random.Random(seed)) for seed in range(60)}
    assert None not in made
    return {text for text in made if text}


@pytest.mark.parametrize(
    ("written", "like"),
    [
        ("16,5%", r"\d{1,2},[1-9]%"),
        ("16.5 %", r"\d{1,2}\.[1-9] %"),
        ("0,03%", r"0,0[1-9]%"),
        ("40%", r"[1-9]0%"),
        ("1%", r"[2-5]%"),
        ("10 000 рублей", r"[2-5]0 000 рублей"),
        ("123 456 789 рублей", r"\d+( \d{3}){2} рублей"),
        ("900 рублей", r"([4-9]|1 \d|2 [01])00 рублей"),
        ("1,5 млн рублей", r"\d,[1-9] млн рублей"),
        ("12 месяцев", r"([6-9]|1[0-9]|2[05-7]) месяцев"),
        ("24 месяца", r"\d?[2-4] месяца"),
        ("1 день", r"[2-9]1 день"),
        ("21 года", r"[1-9]?1 года"),
        ("5-го числа", r"\d{1,2}-го числа"),
        ("31 декабря", r"([1-9]|1\d|2[0-8]) декабря"),
        ("до 01.07.2026", r"до [0-2]\d\.07\.2026"),
        ("*101", r"\*10[2-9]"),
        ("8 800 555-35-35", r"8 800 555-35-3[1-9]"),
        ("от 18 до 65 лет", r"от \d+ до \d+ лет"),
    ],
)
def test_unit_and_form_stay(written: str, like: str) -> None:
    made = drafts(written)
    assert written not in made
    assert [text for text in made if not re.fullmatch(like, text)] == []


@pytest.mark.parametrize("written", ["бесплатно", "«Уведомления»", "100%", ""])
def test_no_number_that_can_be_changed(written: str) -> None:
    assert other_number(written, random.Random(1)) is None


@settings(deadline=None)
@given(
    number=st.integers(0, 10**9),
    unit=st.sampled_from(["рублей", "дней", "%", "млн рублей", "-го числа", "минуту"]),
    seed=st.integers(0, 1000),
)
def test_the_fact_is_never_found_again(number: int, unit: str, seed: int) -> None:
    written = f"{number:,}".replace(",", " ") + ("" if unit in "%-го числа" else " ") + unit
    made = other_number(written, random.Random(seed))
    assert made is None or find_fact(Fact(name="f", value=written), f"Это {made}.") is None
