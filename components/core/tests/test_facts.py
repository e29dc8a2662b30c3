"""Exact facts: what counts as the same, what does not, and places in the answer."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.facts import check_facts, fact_share, find_fact
from components.core.schemas import Fact


def fact(value: str, *accepted: str) -> Fact:
    return Fact(name="x", value=value, accepted=accepted)


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ("5%", "ставка 5 % годовых"),
        ("16,5%", "16.5 процента"),
        ("16,5%", "до 16,50%."),
        ("16%", "16,0 %"),
        ("100 000 ₽", "100\u00a0000 рублей"),
        ("100000 руб.", "всего 100\u202f000 р."),
        ("8 800 555-35-35", "звоните 8 800 555‑35‑35."),
        ("01.10.2026", "с 01.10.2026 г."),
        ("Всё включено", "тариф «все включено»"),
        ("«Рост»", 'вклад "РОСТ"'),
        ("от 1 000 до 5 000 ₽", "от 1000 до 5000 рублей"),
        ("24/7", "работаем 24/7!"),
        ("бесплатно", "Бесплатно."),
    ],
)
def test_what_a_reader_takes_as_equal_is_found(value: str, answer: str) -> None:
    assert find_fact(fact(value), answer) is not None


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ("5%", "15%"),
        ("5%", "0,5%"),
        ("5%", "5,5%"),
        ("5%", "5 лет"),
        ("5", "5 000"),
        ("300", "2 300 000"),
        ("500 ₽", "1 500 ₽"),
        ("100 000 ₽", "5 100 000 ₽"),
        ("0 ₽", "100 000 ₽"),
        ("нет", "интернет"),
        ("3 года", "3 годами"),
        ("16", "16,5"),
        ("", "что угодно"),
        ("5%", ""),
    ],
)
def test_other_numbers_and_other_words_are_not_found(value: str, answer: str) -> None:
    assert find_fact(fact(value), answer) is None


def test_accepted_spellings_count_and_places_are_those_of_the_answer() -> None:
    answer = "Срок — 12\u00a0месяцев, или год."
    check = check_facts([fact("1 год", "12 месяцев"), fact("два года")], answer)
    ((_, (start, end)),) = check.found
    assert answer[start:end] == "12\u00a0месяцев"
    assert [missing.value for missing in check.missing] == ["два года"]
    assert check.share == 0.5


def test_no_required_facts_have_no_share() -> None:
    assert fact_share([], "ответ") is None


AMOUNTS = st.integers(0, 10**9)


def grouped(amount: int, space: str) -> str:
    return f"{amount:,}".replace(",", space)


@settings(max_examples=150, deadline=None)
@given(
    AMOUNTS,
    st.sampled_from(["", " ", "\u00a0", "\u202f"]),
    st.sampled_from(["₽", "рублей", "руб."]),
)
def test_an_amount_is_found_in_any_grouping_and_unit(amount: int, space: str, unit: str) -> None:
    assert find_fact(fact(f"{amount} ₽"), f"Сумма: {grouped(amount, space)} {unit}, не больше")


@settings(max_examples=300, deadline=None)
@given(AMOUNTS, AMOUNTS)
def test_an_amount_is_found_only_in_itself(wanted: int, written: int) -> None:
    found = find_fact(fact(f"{wanted} ₽"), f"лимит {grouped(written, ' ')} ₽ в месяц")
    assert (found is not None) == (wanted == written)


@settings(max_examples=200, deadline=None)
@given(st.decimals(0, 100, places=2), st.decimals(0, 100, places=2))
def test_a_rate_is_found_only_where_the_number_is_equal(wanted: object, written: object) -> None:
    comma = str(written).replace(".", ",")
    found = find_fact(fact(f"{wanted}%"), f"под {comma} % годовых")
    assert (found is not None) == (wanted == written)


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1, max_size=30), st.text(max_size=20), st.text(max_size=20))
def test_no_text_breaks_it_and_places_are_within(value: str, before: str, after: str) -> None:
    answer = f"{before} {value} {after}"
    place = find_fact(fact(value), answer)
    assert place is None or 0 <= place[0] < place[1] <= len(answer)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.from_regex(re.compile(r"[а-я]{1,9}"), fullmatch=True), min_size=1, max_size=4))
def test_whole_words_are_found_where_they_stand(words: list[str]) -> None:
    value = " ".join(words)
    assert find_fact(fact(value), f"Ответ: {value.upper()}, вот.") is not None
