"""Pairs of a data set: balanced, split kept, never the test's text in training."""

from collections import Counter

import pytest
from pydantic import ValidationError

from components.core.errors import LeakageError, RecipeError
from components.core.facts import check_facts
from components.core.schemas import Dialogue, PreferencePair, Turn
from components.prepare.catalogue import Bank
from components.prepare.generate import Corpus
from components.prepare.preferences.pairs import make_pairs, prompt_of
from components.prepare.preferences.settings import REASONS, PreferenceSettings
from components.prepare.subset import Subset


@pytest.fixture(scope="module")
def pairs(corpus: Corpus, bank: Bank) -> list[PreferencePair]:
    return list(make_pairs((*corpus.train, *corpus.test), PreferenceSettings(), bank))


def test_every_pair_is_right_against_wrong(pairs: list[PreferencePair]) -> None:
    assert len(pairs) == 1820 + 146
    assert len({pair.pair_id for pair in pairs}) == len(pairs)
    for pair in pairs:
        assert pair.facts and not check_facts(pair.facts, pair.chosen).missing
        assert check_facts(pair.facts, pair.rejected).missing


def test_each_intent_and_product_sees_each_reason(pairs: list[PreferencePair]) -> None:
    counts = Counter((p.intent, p.product, p.reason) for p in pairs if p.split == "train")
    without_number = {"app_section", "security_section"}
    assert {counts[key] for key in counts if key[0] not in without_number} == {1}
    sections = 8  # answers that hold no number: four products of each of the two intents
    assert len(counts) == len(REASONS) * 364 - sections


def test_reasons_are_even_over_the_test_too(pairs: list[PreferencePair]) -> None:
    counts = Counter(pair.reason for pair in pairs if pair.split == "test")
    assert set(counts) == set(REASONS)
    assert max(counts.values()) - min(counts.values()) <= 8


def test_split_and_prompt_are_the_dialogues(pairs: list[PreferencePair], corpus: Corpus) -> None:
    known = {dialogue.dialogue_id: dialogue for dialogue in (*corpus.train, *corpus.test)}
    for pair in pairs:
        dialogue = known[pair.dialogue_id]
        assert pair.split == dialogue.split
        assert pair.prompt == dialogue.turns[:-1]
        assert pair.chosen == dialogue.answer
    asked = {p.prompt[-1].content for p in pairs if p.split == "test"}
    assert asked.isdisjoint(p.prompt[-1].content for p in pairs if p.split == "train")


def test_same_seed_same_pairs(corpus: Corpus, bank: Bank) -> None:
    def made(seed: int) -> list[PreferencePair]:
        settings = PreferenceSettings(seed=seed, subset=Subset(rows=50))
        return list(make_pairs(corpus.train, settings, bank))

    assert made(1) == made(1)
    assert made(1) != made(2)


def test_several_corruptions_of_one_answer_differ_in_reason(corpus: Corpus, bank: Bank) -> None:
    settings = PreferenceSettings(pairs_per_dialogue=3, subset=Subset(intents=("deposit_rate",)))
    made = list(make_pairs(corpus.train, settings, bank))
    assert set(Counter(pair.dialogue_id for pair in made).values()) == {3}
    assert len({(pair.dialogue_id, pair.reason) for pair in made}) == len(made)


def test_only_the_reasons_asked_for(corpus: Corpus, bank: Bank) -> None:
    settings = PreferenceSettings(reasons=("wrong-number",), bank_name="ours")
    made = list(make_pairs(corpus.train, settings, bank))
    assert {(pair.reason, pair.source) for pair in made} == {("wrong-number", "corruption:ours")}


def test_a_training_dialogue_with_a_test_question_is_refused(corpus: Corpus, bank: Bank) -> None:
    shown = corpus.test[0].model_copy(update={"split": "train", "dialogue_id": "shown"})
    with pytest.raises(LeakageError, match=r"train pair from dialogue shown asks the test's"):
        list(make_pairs((shown, *corpus.test), PreferenceSettings(), bank))


def test_a_dialogue_without_facts_or_with_a_wrong_answer_gives_no_pair(
    corpus: Corpus, bank: Bank
) -> None:
    good, bare, wrong = corpus.train[:3]
    turns = (wrong.turns[0], Turn(role="assistant", content="Не знаю."))
    rows = [good, bare.model_copy(update={"facts": ()}), wrong.model_copy(update={"turns": turns})]
    made = list(make_pairs(rows, PreferenceSettings(), bank))
    assert [pair.dialogue_id for pair in made] == [good.dialogue_id]
    assert list(make_pairs([], PreferenceSettings(), bank)) == []


def test_a_long_dialogue_keeps_what_was_said_before(corpus: Corpus) -> None:
    dialogue = corpus.train[0]
    system = Turn(role="system", content="Вы помощник банка.")
    before = (system, Turn(role="user", content="Привет"), Turn(role="assistant", content="Да?"))
    thanks = Turn(role="user", content="Спасибо")
    long = dialogue.model_copy(update={"turns": (*before, *dialogue.turns, thanks)})
    assert prompt_of(long) == (*before, dialogue.turns[0])
    greeted: Dialogue = dialogue.model_copy(update={"turns": (before[2], thanks)})
    assert prompt_of(greeted) == ()


def test_settings_and_unknown_products_are_refused(corpus: Corpus, bank: Bank) -> None:
    for wrong in ({"reasons": ()}, {"reasons": ("other-answer",) * 2}, {"score_margin": 0}):
        with pytest.raises(ValidationError):
            PreferenceSettings.model_validate(wrong)
    settings = PreferenceSettings(subset=Subset(products=("dragon",)))
    with pytest.raises(RecipeError, match="'dragon'"):
        list(make_pairs(corpus.train, settings, bank))


@pytest.mark.parametrize(
    "change",
    [
        {"rejected": "Да. "},
        {"rejected": "  "},
        {"chosen": ""},
        {"prompt": ()},
        {"prompt": ({"role": "assistant", "content": "Да?"},)},
        {"weight": 1},
    ],
)
def test_a_row_that_teaches_nothing_is_refused(change: dict[str, object]) -> None:
    row: dict[str, object] = {
        "pair_id": "p1",
        "dialogue_id": "d1",
        "prompt": ({"role": "user", "content": "Можно?"},),
        "chosen": "Да.",
        "rejected": "Нет.",
        "intent": "i",
        "source": "csat",
        "reason": "low-csat",
        "licence": "own",
    }
    assert PreferencePair.model_validate(row).split == "unassigned"
    with pytest.raises(ValidationError):
        PreferencePair.model_validate(row | change)
