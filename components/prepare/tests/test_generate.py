"""Generation: counts, splits, facts, determinism."""

import re
import shutil
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from components.core.errors import CatalogueError
from components.core.facts import check_facts, find_fact
from components.core.schemas import Dialogue
from components.prepare.catalogue import Bank
from components.prepare.generate import Corpus, generate
from components.prepare.load import BANK, load_bank

TRAIN_ROWS, TEST_ROWS = 10_000, 700


@pytest.fixture(scope="module")
def bank() -> Bank:
    return load_bank()


@pytest.fixture(scope="module")
def corpus(bank: Bank) -> Corpus:
    return generate(bank, train_rows=TRAIN_ROWS, test_rows=TEST_ROWS, seed=7)


@pytest.fixture(scope="module")
def rows(corpus: Corpus) -> list[Dialogue]:
    return [*corpus.train, *corpus.test]


def test_counts_are_exact(corpus: Corpus) -> None:
    assert (len(corpus.train), len(corpus.test)) == (TRAIN_ROWS, TEST_ROWS)
    assert {d.split for d in corpus.train} == {"train"}
    assert {d.split for d in corpus.test} == {"test"}


def test_everything_is_distinct(rows: list[Dialogue]) -> None:
    assert len({d.question.casefold() for d in rows}) == len(rows)
    for name in ("dialogue_id", "request_id", "response_id"):
        assert len({getattr(d, name) for d in rows}) == len(rows)


def test_families_of_the_test_are_new(corpus: Corpus) -> None:
    train = {d.phrasing_family for d in corpus.train}
    held_out = defaultdict(set)
    for dialogue in corpus.test:
        assert dialogue.phrasing_family not in train
        held_out[dialogue.intent].add(dialogue.phrasing_family)
    assert all(len(families) >= 2 for families in held_out.values())


def test_test_split_is_stratified_over_intents(corpus: Corpus, bank: Bank) -> None:
    counts = Counter(d.intent for d in corpus.test)
    assert set(counts) == set(bank.intents)
    assert max(counts.values()) - min(counts.values()) <= 1


def test_training_is_balanced_over_products_and_intents(corpus: Corpus, bank: Bank) -> None:
    counts = Counter((d.product, d.intent) for d in corpus.train)
    assert len(counts) == sum(len(products) for products in bank.intent_products.values())
    assert max(counts.values()) - min(counts.values()) <= 1


def test_answers_hold_their_facts_and_name_their_product(rows: list[Dialogue], bank: Bank) -> None:
    for dialogue in {(d.product, d.intent): d for d in rows}.values():
        assert dialogue.facts
        assert not check_facts(dialogue.facts, dialogue.answer).missing
        assert f"«{bank.products[dialogue.product].name}»" in dialogue.answer


def test_facts_of_another_product_show_as_wrong(rows: list[Dialogue]) -> None:
    by_intent: dict[str, dict[str, Dialogue]] = defaultdict(dict)
    for dialogue in rows:
        by_intent[dialogue.intent][dialogue.product] = dialogue
    for dialogues in by_intent.values():
        one, other = list(dialogues.values())[:2]
        assert not any(find_fact(fact, other.answer) for fact in one.facts)


def test_text_is_whole(rows: list[Dialogue]) -> None:
    for dialogue in rows:
        for text in (dialogue.question, dialogue.answer):
            assert not re.search(r"[{}]|  |\?\?|[.,]{2}", text), text
            assert text == text.strip()
        assert dialogue.answer[0].isupper()
        assert len(dialogue.answer) <= 90, dialogue.answer
        assert len(dialogue.question) <= 130, dialogue.question


def test_lead_in_opens_questions_only(rows: list[Dialogue]) -> None:
    led = [d.question for d in rows if "Подскажите, " in d.question]
    assert led
    assert not any(re.search(r"одскажите, (?:назовите|хочу|вклад|карта)", q) for q in led)
    assert all("?" in q for q in led)


def test_seed_decides(bank: Bank, corpus: Corpus) -> None:
    again = generate(bank, train_rows=TRAIN_ROWS, test_rows=TEST_ROWS, seed=7)
    other = generate(bank, train_rows=TRAIN_ROWS, test_rows=TEST_ROWS, seed=8)
    assert again == corpus
    assert other.train != corpus.train


@pytest.fixture
def small_bank(tmp_path: Path) -> Path:
    folder = tmp_path / "small"
    folder.mkdir()
    for name in ("accounts.yaml", "variation.yaml"):
        shutil.copy(BANK / name, folder)
    return folder


@pytest.mark.parametrize(("train_rows", "test_rows"), [(10**6, 1), (1, 10**6)])
def test_too_much_asked_says_by_how_much(small_bank: Path, train_rows: int, test_rows: int) -> None:
    with pytest.raises(CatalogueError) as error:
        generate(load_bank(small_bank), train_rows=train_rows, test_rows=test_rows, seed=7)
    given, asked, missing = map(int, re.findall(r"\d+", str(error.value)))
    assert 1000 < given < 10**6
    assert asked == 10**6
    assert missing == asked - given
