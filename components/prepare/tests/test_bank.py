"""The built-in bank: its size, its Russian, and what a broken copy of it says."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from components.core.errors import CatalogueError
from components.core.facts import check_facts
from components.prepare.catalogue import Bank
from components.prepare.load import BANK, load_bank
from components.prepare.spellings import spellings


@pytest.fixture(scope="module")
def bank() -> Bank:
    return load_bank()


def test_is_as_large_as_promised(bank: Bank) -> None:
    assert len(bank.products) >= 45
    assert len(bank.intents) >= 60
    assert all(len(intent.phrasings) >= 8 for intent in bank.intents.values())
    assert all(len(intent.test) >= 2 for intent in bank.intents.values())
    assert all(bank.intent_products[intent] for intent in bank.intents)


@pytest.mark.parametrize("intent", ["deposit_rate", "deposit_term", "card_fee", "card_cashback"])
def test_core_intents_have_many_families(bank: Bank, intent: str) -> None:
    assert len(bank.intents[intent].train) >= 12
    assert len(bank.intents[intent].test) >= 3


def test_every_fact_is_asked_for(bank: Bank) -> None:
    asked = {
        (product.id, fact)
        for intent in bank.intents.values()
        for product in bank.intent_products[intent.id]
        for fact in intent.fact_names
    }
    assert {(p.id, fact) for p in bank.products.values() for fact in p.facts} == asked


def test_case_forms_share_the_stem(bank: Bank) -> None:
    for product in bank.products.values():
        stem = product.name[:2].lower()
        forms = (product.genitive, product.dative, product.prepositional)
        assert all(form.lower().startswith(stem) for form in forms), product.id


def test_text_is_clean_russian(bank: Bank) -> None:
    for intent in bank.intents.values():
        for text in (intent.answer, *intent.phrasings):
            words = re.sub(r"{\w+}", "«Имя»", text)
            assert not re.search(r"[A-Za-z]|  | [,.?!:;]", words), text
            assert text[0].isupper() or text[0] == "{", text
            assert text[-1] in ".?!", text
        assert intent.answer.endswith("."), intent.id


def test_questions_ask_and_requests_do_not(bank: Bank) -> None:
    for intent in bank.intents.values():
        for text in intent.phrasings:
            first = text.split()[0].strip(",")
            request = first in {"Хочу", "Назовите", "Расскажите", "Опишите"}
            assert text.endswith("?") or request or "Интересуют" in text, text


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("16,5%", "16.5 процента"),
        ("10 000 рублей", "10000 ₽"),
        ("10 000 рублей", "10 тысяч"),
        ("1,5 млн рублей", "1 500 000 рублей"),
        ("1,5 млн рублей", "1,5 миллиона"),
        ("12 месяцев", "12 мес"),
    ],
)
def test_other_spellings_count(bank: Bank, value: str, said: str) -> None:
    products = bank.products.values()
    fact = next(p.fact(k) for p in products for k, f in p.facts.items() if f.value == value)
    assert not check_facts([fact], f"Ответ: {said}.").missing


def test_unknown_form_has_no_derived_spelling() -> None:
    assert spellings("5-го числа") == ()


Edit = Callable[[str], str]


def swap(old: str, new: str) -> Edit:
    def edit(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return edit


@pytest.mark.parametrize(
    ("edit", "line", "message"),
    [
        (lambda _: "category: a: b", 1, "not readable as YAML"),
        (lambda _: "", None, "is empty"),
        (swap("title: Вклады", "titel: Вклады"), 2, "unknown key"),
        (swap("title: Вклады", "category: x"), 2, "twice"),
        (swap(", minimum: 10 000 рублей", ""), None, "needs {minimum}, which the product 'sokol'"),
        (swap("id: zarya", "id: sokol"), 7, "the product id 'sokol' stands here and in"),
        (swap("id: deposit_term\n", "id: deposit_rate\n"), None, "the intent id 'deposit_rate'"),
        (swap("15,2%", "16,5%"), None, "cannot tell a wrong answer"),
        (
            swap('"Вклад {name}: какая ставка?"', '"Вклад {name: какая ставка?"'),
            None,
            "unmatched '{'",
        ),
        (
            swap('"Какой процент по вкладу {name}?"', '"Какая ставка по вкладу {name}?"'),
            None,
            "twice",
        ),
        (swap("ставка {rate} годовых", "ставка{rate}годовых"), None, "hides the fact 'rate'"),
        (
            swap("  - id: deposit_rate\n", "  - id: deposit_rate\n    categories: [boats]\n"),
            30,
            "'boats'",
        ),
        (swap('rate: "16,5%"', "rate: [1]"), 5, "rate"),
    ],
)
def test_broken_bank_names_file_and_line(
    tmp_path: Path, edit: Edit, line: int | None, message: str
) -> None:
    bank = tmp_path / "bank"
    shutil.copytree(BANK, bank)
    file = bank / "deposits.yaml"
    file.write_text(edit(file.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(CatalogueError) as error:
        load_bank(bank)
    assert message in str(error.value)
    assert f"{file}:{line}:" in str(error.value) if line else str(file) in str(error.value)
    assert "\n" not in str(error.value)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    shutil.copytree(BANK, tmp_path / "bank")
    (tmp_path / "bank" / "cards.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CatalogueError, match=r"cards\.yaml cannot be read as UTF-8"):
        load_bank(tmp_path / "bank")


def test_bad_lead_in_pattern(tmp_path: Path) -> None:
    shutil.copytree(BANK, tmp_path / "bank")
    file = tmp_path / "bank" / "variation.yaml"
    text = re.sub("lead_in_before: .*", "lead_in_before: '('", file.read_text(encoding="utf-8"))
    file.write_text(text, encoding="utf-8")
    with pytest.raises(CatalogueError, match="lead_in_before is no pattern"):
        load_bank(tmp_path / "bank")


def test_folder_without_a_bank(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="is no bank"):
        load_bank(tmp_path)
