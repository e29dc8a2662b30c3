import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from components.core.errors import LeakageError, SplitError
from components.core.json_lines import read_jsonl, write_jsonl
from components.core.schemas import Dialogue
from components.prepare.deduplication.leakage import Leakage, check_leakage, refuse_leakage
from components.prepare.deduplication.settings import (
    ExecutorSettings,
    LeakageSettings,
    SplitSettings,
)
from components.prepare.deduplication.shards import write_shards
from components.prepare.deduplication.split import SplitDataset, split_dialogues
from components.prepare.deduplication.tests.dialogues import make, question
from components.prepare.generate import generate
from components.prepare.load import BANK, load_bank

ONE = ExecutorSettings(workers=1)
NEAR = "подскажите пожалуйста как мне закрыть счёт в приложении банка если карта потеряна"


def split(
    rows: Iterable[Dialogue], folder: Path, *, train: int = 1, test: int = 10
) -> SplitDataset:
    shards = write_shards(rows, folder / "in", 900)
    settings = SplitSettings(train_rows=train, test_rows=test)
    return split_dialogues(shards, folder / "out", settings, LeakageSettings(), ONE)


def sides(dataset: SplitDataset) -> dict[str, str]:
    """Id -> split, as the two files and the rows themselves say."""
    found: dict[str, str] = {}
    for name, path in (("train", dataset.train), ("test", dataset.test)):
        for row in read_jsonl(path, Dialogue):
            assert row.split == name
            found[row.dialogue_id] = name
    return found


def distinct(count: int) -> list[Dialogue]:
    return [make(f"d{number}", question(number)) for number in range(count)]


def leakage(train: list[Dialogue], test: list[Dialogue], folder: Path) -> Leakage:
    write_jsonl(folder / "train.jsonl", train)
    write_jsonl(folder / "test.jsonl", test)
    return check_leakage(folder / "train.jsonl", folder / "test.jsonl", LeakageSettings())


def test_the_test_is_stratified_by_intent(tmp_path: Path) -> None:
    rows = [
        make(f"d{number}", question(number), intent="rare" if number % 10 == 0 else "common")
        for number in range(200)
    ]
    dataset = split(rows, tmp_path, test=20)
    test = Counter(row.intent for row in read_jsonl(dataset.test, Dialogue))
    assert test == {"common": 18, "rare": 2}
    assert (dataset.train_rows, dataset.test_rows, dataset.groups) == (180, 20, 200)


@pytest.mark.parametrize("tie", ["user", "family"])
def test_rows_of_a_group_stay_together(tmp_path: Path, tie: str) -> None:
    rows = [
        make(
            f"d{n}",
            question(n),
            user=f"u{n // 4}" if tie == "user" else "",
            family=f"f{n // 4}" if tie == "family" else "",
        )
        for n in range(100)
    ]
    dataset = split(rows, tmp_path, test=20)
    side = sides(dataset)
    assert all(len({side[f"d{4 * group + n}"] for n in range(4)}) == 1 for group in range(25))
    assert (dataset.test_rows, dataset.largest_group) == (20, 4)


def test_near_questions_stay_together(tmp_path: Path) -> None:
    """Each test question has a twin; whichever is taken, the twin comes with it."""
    rows = distinct(40) + [make(f"twin{n}", f"{question(n)} спасибо") for n in range(40)]
    dataset = split(rows, tmp_path, test=20)
    side = sides(dataset)
    assert all(side[f"d{n}"] == side[f"twin{n}"] for n in range(40))
    assert dataset.test_rows >= 20
    found = check_leakage(dataset.train, dataset.test, LeakageSettings())
    assert (found.share, found.train_rows, found.test_rows) == (
        0.0,
        dataset.train_rows,
        dataset.test_rows,
    )


def test_given_splits_are_kept_and_draw_their_group(tmp_path: Path) -> None:
    given = [
        make("t", question(900), split="test", user="u1"),
        make("tr", question(901), split="train", user="u2"),
        make("with-t", question(902), user="u1"),
        make("with-tr", question(903), user="u2"),
    ]
    side = sides(split([*given, *distinct(60)], tmp_path))
    assert side["t"] == side["with-t"] == "test"
    assert side["tr"] == side["with-tr"] == "train"
    assert Counter(side.values())["test"] == 10


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    rows = distinct(60)
    one, two = (split(rows, tmp_path / name) for name in ("one", "two"))
    assert one.test.read_bytes() == two.test.read_bytes()
    assert one.train.read_bytes() == two.train.read_bytes()


def test_too_few_rows_say_what_is_missing_by_how_much(tmp_path: Path) -> None:
    with pytest.raises(SplitError, match=r"90 training dialogues of the 100 asked for, 10 too few"):
        split(distinct(100), tmp_path, train=100)
    with pytest.raises(SplitError, match=r"30 test dialogues of the 700 asked for, 670 too few"):
        split(distinct(30), tmp_path / "second", test=700)
    with pytest.raises(SplitError, match=r"0 training .* and 0 test dialogues"):
        split([], tmp_path / "third")


def test_the_built_in_bank_passes_both_checks(tmp_path: Path) -> None:
    corpus = generate(load_bank(BANK), train_rows=1500, test_rows=300, seed=0)
    dataset = split([*corpus.train, *corpus.test], tmp_path, train=1500, test=300)
    assert (dataset.train_rows, dataset.test_rows) == (1500, 300)
    found = check_leakage(dataset.train, dataset.test, LeakageSettings())
    assert found.pairs == ()
    refuse_leakage(found)


@pytest.mark.parametrize(
    "shown",
    [
        NEAR,
        NEAR.upper() + "?!",
        f"Добрый день! {NEAR}. Заранее спасибо за ответ, жду",
        NEAR + " вчера",
    ],
    ids=["the same", "typed otherwise", "inside a longer question", "one word more"],
)
def test_a_planted_leak_is_refused_by_name(tmp_path: Path, shown: str) -> None:
    test = [make("asked", NEAR), *distinct(9)]
    train = [make(f"x{n}", question(n + 100)) for n in range(50)] + [make("shown", shown)]
    found = leakage(train, test, tmp_path)
    assert found.share == pytest.approx(0.1)
    with pytest.raises(LeakageError, match=re.escape(f"test asked «{NEAR}» is near train shown")):
        refuse_leakage(found)


def test_the_same_words_about_another_product_are_no_leak(tmp_path: Path) -> None:
    test = [make("asked", NEAR, product="rys")]
    assert leakage([make("shown", NEAR, product="volna")], test, tmp_path).pairs == ()
    assert len(leakage([make("shown", NEAR, product="rys")], test, tmp_path).pairs) == 1
    assert len(leakage([make("shown", NEAR)], test, tmp_path).pairs) == 1


def test_short_questions_leak_only_when_they_are_the_same(tmp_path: Path) -> None:
    test = [make("asked", "Какая сейчас ставка?")]
    longer = make("longer", "Скажите, какая сейчас ставка по вкладу на год?")
    assert leakage([longer], test, tmp_path).pairs == ()
    assert len(leakage([make("same", "какая сейчас ставка")], test, tmp_path).pairs) == 1


def test_empty_files_leak_nothing(tmp_path: Path) -> None:
    assert leakage([], distinct(3), tmp_path).share == 0
    assert leakage(distinct(3), [], tmp_path).share == 0
