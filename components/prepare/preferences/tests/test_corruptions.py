"""Corrupted answers: always wrong for the fact checker, each in the way it is named by."""

from itertools import pairwise

import pytest

from components.core.facts import check_facts, find_fact
from components.core.schemas import Dialogue, Fact, Turn
from components.prepare.catalogue import Bank
from components.prepare.generate import Corpus
from components.prepare.preferences.corruptions import corrupt, is_right
from components.prepare.preferences.settings import REASONS, Reason
from components.prepare.preferences.wording import RETRACTIONS


@pytest.fixture(scope="module")
def dialogues(corpus: Corpus) -> dict[tuple[str, str], Dialogue]:
    """One for each intent and product of the built-in bank."""
    return {(dialogue.intent, dialogue.product): dialogue for dialogue in corpus.train}


def own(answer: str, *facts: Fact) -> Dialogue:
    """A dialogue that the catalogue knows nothing of."""
    return Dialogue(
        dialogue_id="d1",
        request_id="q1",
        response_id="r1",
        user_id="u1",
        turns=(Turn(role="user", content="Как?"), Turn(role="assistant", content=answer)),
        intent="own_intent",
        facts=facts,
        source="own:copywriters",
        licence="own",
    )


@pytest.mark.parametrize("reason", REASONS)
def test_every_answer_of_the_bank_becomes_wrong(
    bank: Bank, dialogues: dict[tuple[str, str], Dialogue], reason: Reason
) -> None:
    impossible = set()
    for dialogue in dialogues.values():
        assert is_right(dialogue)
        wrong = corrupt(dialogue, reason, bank, seed=1)
        if wrong is None:
            impossible.add(dialogue.intent)
        else:
            assert check_facts(dialogue.facts, wrong).missing
            assert wrong == corrupt(dialogue, reason, bank, seed=1)
    assert len(dialogues) == 364
    # a section of the app has no number; nothing else stands in the way of any reason
    assert impossible == (
        {"app_section", "security_section"} if reason == "wrong-number" else set()
    )


def test_another_product_lends_its_value_or_its_whole_answer(
    bank: Bank, dialogues: dict[tuple[str, str], Dialogue]
) -> None:
    dialogue = dialogues["deposit_rate", "sokol"]
    others = [p for p in bank.intent_products["deposit_rate"] if p.id != "sokol"]
    values = {f"По вкладу «Сокол» ставка {p.facts['rate'].value} годовых." for p in others}
    answers = {f"По вкладу «{p.name}» ставка {p.facts['rate'].value} годовых." for p in others}
    seeds = range(100)
    assert {corrupt(dialogue, "other-product", bank, seed) for seed in seeds} == values
    assert {corrupt(dialogue, "other-answer", bank, seed) for seed in seeds} == answers


def test_a_contradiction_says_two_wrong_things(
    bank: Bank, dialogues: dict[tuple[str, str], Dialogue]
) -> None:
    for seed in range(20):
        wrong = corrupt(dialogues["deposit_term", "sokol"], "contradiction", bank, seed)
        assert wrong is not None
        halves = next(wrong.split(f" {r} ") for r in RETRACTIONS if f" {r} " in wrong)
        assert [half.startswith("Срок вклада «Сокол» — ") for half in halves] == [True, True]
        assert all(one != other for one, other in pairwise(halves))


def test_one_of_two_facts_is_enough(bank: Bank, dialogues: dict[tuple[str, str], Dialogue]) -> None:
    dialogue = dialogues["deposit_terms", "sokol"]
    wrong = [corrupt(dialogue, "wrong-number", bank, seed) or "" for seed in range(30)]
    assert {len(check_facts(dialogue.facts, answer).missing) for answer in wrong} == {1}
    missing = {check_facts(dialogue.facts, answer).missing[0].name for answer in wrong}
    assert missing == {"term", "rate"}


def test_a_fact_is_dropped_with_its_sentence(bank: Bank) -> None:
    dialogue = own(
        "Карта стоит 99 рублей в месяц. Её привезём за 2 дня. Спасибо!",
        Fact(name="fee", value="99 рублей"),
    )
    assert corrupt(dialogue, "missing-fact", bank, 1) == "Её привезём за 2 дня. Спасибо!"


def test_a_draft_that_the_fact_checker_accepts_is_not_used(bank: Bank) -> None:
    """Some evasions name the contract; here that would be the right answer."""
    where = Fact(name="where", value="договоре")
    dialogue = own("Смотрите в договоре.", where)
    wrong = [corrupt(dialogue, "missing-fact", bank, seed) for seed in range(100)]
    assert [answer for answer in wrong if answer is None or find_fact(where, answer)] == []


def test_a_value_is_changed_wherever_it_stands(bank: Bank) -> None:
    fee = Fact(name="fee", value="99 рублей", accepted=("99 руб",))
    dialogue = own("Карта стоит 99 руб. в месяц, то есть 99 рублей за 30 дней.", fee)
    wrong = corrupt(dialogue, "wrong-number", bank, 1)
    assert wrong is not None
    assert find_fact(fee, wrong) is None
    assert wrong.endswith(" за 30 дней.")


def test_what_the_catalogue_does_not_know_gets_no_foreign_values(bank: Bank) -> None:
    dialogue = own("Вход по отпечатку пальца.", Fact(name="how", value="отпечатку пальца"))
    made = {reason: corrupt(dialogue, reason, bank, 1) for reason in REASONS}
    assert [reason for reason, answer in made.items() if answer] == ["missing-fact"]


def test_an_answer_that_lacks_a_fact_is_no_reference() -> None:
    fee = Fact(name="fee", value="99 рублей")
    assert is_right(own("99 рублей", fee))
    assert not is_right(own("98 рублей", fee))
    assert not is_right(own("99 рублей"))
