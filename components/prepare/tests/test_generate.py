"""Generation: counts, splits, facts, determinism; and the whole step through its command line."""

import re
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from components.core.errors import BadInputError, CatalogueError
from components.core.facts import check_facts, find_fact
from components.core.schemas import Dialogue, read_jsonl
from components.prepare.catalogue import Bank
from components.prepare.dataset import prepare_dataset
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


def test_one_file_for_two_outputs_is_refused(tmp_path: Path) -> None:
    same = tmp_path / "rows.jsonl"
    with pytest.raises(BadInputError, match="three different files"):
        prepare_dataset(same, same, tmp_path / "card.html", train_rows=1, test_rows=1, seed=0)


def test_no_rows_are_refused(tmp_path: Path) -> None:
    paths = (tmp_path / "a", tmp_path / "b", tmp_path / "c")
    with pytest.raises(BadInputError, match="at least 1 row"):
        prepare_dataset(*paths, train_rows=0, test_rows=1, seed=0)


def command(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    outputs = {"train": "train.jsonl", "test": "test.jsonl", "data-card": "card.html"}
    paths = [part for name, file in outputs.items() for part in (f"--{name}", str(folder / file))]
    line = [sys.executable, "-m", "components.prepare", *paths, *options]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def test_command_writes_the_same_bytes_twice(tmp_path: Path) -> None:
    size = ("--train-rows", "800", "--test-rows", "150", "--seed", "3")
    for name in ("one", "two"):
        done = command(tmp_path / name, *size)
        assert done.returncode == 0, done.stderr
        assert "800 train and 150 test" in done.stdout
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["card.html", "test.jsonl", "train.jsonl"]
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert len(read_jsonl(tmp_path / "one" / "train.jsonl", Dialogue)) == 800
    card = (tmp_path / "one" / "card.html").read_text(encoding="utf-8")
    assert "generated, Apache-2.0" in card
    assert "fictional" in card
    assert card.count('class="card example"') == 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--bank", "nowhere"), "finist: nowhere is no bank"),
        (("--train-rows", "0"), "Invalid value"),
    ],
)
def test_command_refuses_with_exit_code_2(
    tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    done = command(tmp_path, *options)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_command_says_that_a_bank_is_too_small(tmp_path: Path, small_bank: Path) -> None:
    done = command(tmp_path, "--bank", str(small_bank), "--train-rows", "100000")
    assert done.returncode == 2
    assert "too few" in done.stderr
    assert list(tmp_path.iterdir()) == [small_bank]
