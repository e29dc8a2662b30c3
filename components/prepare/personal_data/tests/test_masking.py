"""Masking: what goes, what stays, and what holds for any text."""

import pickle
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from components.core.schemas import Dialogue, Fact, Turn
from components.prepare.generate import generate
from components.prepare.load import load_bank
from components.prepare.personal_data.kinds import KINDS, PLACEHOLDERS
from components.prepare.personal_data.masking import Masker, MaskingSettings

MASKER = Masker()


def dialogue(question: str, answer: str, *facts: Fact) -> Dialogue:
    return Dialogue(
        dialogue_id="d",
        request_id="q",
        response_id="r",
        user_id="u",
        turns=(Turn(role="user", content=question), Turn(role="assistant", content=answer)),
        intent="deposit_rate",
        facts=facts,
        source="own:test",
        licence="test",
    )


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Меня зовут Анна Петрова, помогите.", "Меня зовут [ИМЯ], помогите."),
        ("меня зовут анна, помогите", "меня зовут [ИМЯ], помогите"),
        ("Передайте Вере Ивановне привет", "Передайте [ИМЯ] привет"),
        ("Договор подписал Иванов И.И.", "Договор подписал [ИМЯ]"),
        ("Держатель IVAN PETROV не я", "Держатель [ИМЯ] не я"),
        ("звоните +7 (916) 123-45-67 днём", "звоните [ТЕЛЕФОН] днём"),
        ("89161234567 89031112233", "[ТЕЛЕФОН] [ТЕЛЕФОН]"),
        ("пишите ivan@mail,ru или ivan собака bk.ru", "пишите [ПОЧТА] или [ПОЧТА]"),
        ("паспорт4508123456", "паспорт[ПАСПОРТ]"),
        ("серия 45 08 номер 123456", "серия [ПАСПОРТ]"),
        ("СНИЛС 112-233-445 95", "СНИЛС [СНИЛС]"),
        ("инн 500100732259, а фирмы 7707083893", "инн [ИНН], а фирмы [ИНН]"),
        ("карта 4111 1111 1111 1111 потеряна", "карта [КАРТА] потеряна"),
        ("счёт 40817810099910004312", "счёт [СЧЁТ]"),
        ("живу г. Тула, ул. Мира, д. 5, кв. 12", "живу [АДРЕС]"),
        ("Ул. Ленина д5 кв8", "[АДРЕС]"),
    ],
)
def test_masks(text: str, masked: str) -> None:
    assert MASKER.mask_text(text)[0] == masked


@pytest.mark.parametrize(
    "text",
    [
        "Вклад «Вера» или карта «Мир»: ставка 16,5% и 100 000 ₽",
        "Внёс 100 000, 200 000, 300 000 и 12 345 678 901 рублей 12.05.2026",
        "Заказ № 12345678, договор 123456/26-123, чек ЗК-9161234567",
        "карта 4111 1111 1111 1112 не проходит",
        "СНИЛС 112-233-445 96 не принимают",
        "инн 500100732258 с ошибкой",
        "Горячая линия 8 800 200-00-00 работает?",
        "Банкомат на улице Ленина в Твери, станция Пушкина",
        "Квартира 60 кв. м, дом 120 м, кредит на 5 лет",
        "Платил картой Тинькофф в Магните во Владимире",
        "т.е. Банк не прав и т.д. Далее",
        "Какая ставка? Хочу узнать. Если закрою, что будет?",
    ],
)
def test_keeps(text: str) -> None:
    assert MASKER.mask_text(text) == (text, Counter())


def test_account_near_a_bik_needs_its_key() -> None:
    """The Bank of Russia's rule: keys differ by one digit, so the other BIK does not fit."""
    text = "Счёт 40817810099910004312, БИК {}"
    kept = [
        bik for bik in range(10) if "[СЧЁТ]" in MASKER.mask_text(text.format(f"04452500{bik}"))[0]
    ]
    assert len(kept) == 1


def test_counts_by_kind() -> None:
    text = "Анна Петрова, 89161234567 или 89161234568, a@b.ru"
    assert MASKER.mask_text(text)[1] == Counter(phone=2, name=1, email=1)


def test_only_the_chosen_kinds() -> None:
    masker = Masker(MaskingSettings(kinds=("phone",)))
    assert masker.mask_text("Анна Петрова, 89161234567")[0] == "Анна Петрова, [ТЕЛЕФОН]"


def test_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(ValidationError, match="kinds"):
        MaskingSettings.model_validate({"kinds": ["shoe size"]})


def test_what_is_public_stays() -> None:
    public = ("+7 495 500-55-50", "finist.example", "Маша", "г. Москва, ул. Тверская, д. 1")
    masker = Masker(MaskingSettings(public=public))
    text = "Маша ответит: 8(495)5005550, help@finist.example, г. Москва, ул. Тверская, д. 1"
    assert masker.mask_text(text)[0] == text
    assert masker.mask_text(text + ", Даша")[0] == text + ", [ИМЯ]"


def test_a_dialogue_is_masked_in_every_turn_and_its_facts_stay() -> None:
    fact = Fact(name="phone", value="8 495 500-55-50", accepted=("84955005550",))
    masked, counts = MASKER.mask_dialogue(
        dialogue("Я Анна Петрова, куда звонить?", "Анна, звоните 8 495 500-55-50.", fact)
    )
    assert masked.question == "Я [ИМЯ], куда звонить?"
    assert masked.answer == "[ИМЯ], звоните 8 495 500-55-50."
    assert masked.facts == (fact,)
    assert counts == Counter(name=2)


def test_the_built_in_bank_has_no_personal_data() -> None:
    corpus = generate(load_bank(), train_rows=4_000, test_rows=300, seed=3)
    found = [d.question for d in (*corpus.train, *corpus.test) if MASKER.mask_dialogue(d)[1]]
    assert found == []


def test_a_masker_travels_to_other_processes() -> None:
    text = "звоните 89161234567"
    used = Masker()
    used.mask_text(text)
    for masker in (Masker(), used):
        copy = pickle.loads(pickle.dumps(masker))
        assert copy.mask_text(text) == masker.mask_text(text)


PIECES = st.sampled_from(
    [
        "Анна", "Иванов", "И.", "паспорт", "4508", "123456", "снилс", "инн", "7707083893", "карта",
        "89161234567", "+7", "(916)", "123-45-67", "ул.", "Мира", "д.", "5", "кв.", "г.", "Тула",
        "a@b.ru", "собака", "mail.ru", "зовут", "40817810099910004312", "БИК", "044525000", ",",
        "4111 1111 1111 1111", "112-233-445 95", "№", "телефон", "«Вера»", "\n",
        *PLACEHOLDERS.values(),
    ]
)  # fmt: skip


@settings(max_examples=250, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=14).map(" ".join)))
def test_masking_twice_changes_nothing(text: str) -> None:
    once, counts = MASKER.mask_text(text)
    assert MASKER.mask_text(once) == (once, Counter())
    assert set(counts) <= set(KINDS)
    assert (once == text) == (not counts)


@pytest.mark.parametrize("piece", ["8 ", "1-", "а-", "a@", "И. ", "ул. ", "д 5 кв ", "«", "1"])
def test_long_hostile_texts_are_read_to_the_end(piece: str) -> None:
    text = piece * 2_000 + " звоните +79161234567"
    assert MASKER.mask_text(text)[0].endswith(" звоните [ТЕЛЕФОН]")
