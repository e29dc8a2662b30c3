from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.errors import SchemaError
from components.core.json_lines import read_jsonl
from components.core.schemas import Dialogue
from components.prepare.deduplication.near_duplicates import (
    Deduplicated,
    RemovedRow,
    remove_near_duplicates,
)
from components.prepare.deduplication.settings import ExecutorSettings, NearDuplicateSettings
from components.prepare.deduplication.shards import write_shards
from components.prepare.deduplication.shingles import shingles
from components.prepare.deduplication.signatures import full_text
from components.prepare.deduplication.tests.dialogues import LONG_ANSWER, make
from components.prepare.generate import generate
from components.prepare.load import BANK, load_bank

ONE = ExecutorSettings(workers=1)


def deduplicate(
    rows: Iterable[Dialogue],
    folder: Path,
    settings: NearDuplicateSettings | None = None,
    executor: ExecutorSettings = ONE,
    per_shard: int = 3,
) -> Deduplicated:
    shards = write_shards(rows, folder / "in", per_shard)
    return remove_near_duplicates(
        shards, folder / "out", settings or NearDuplicateSettings(), executor
    )


def ids(result: Deduplicated) -> list[str]:
    return [row.dialogue_id for path in result.paths for row in read_jsonl(path, Dialogue)]


def removed(result: Deduplicated) -> dict[str, str]:
    rows = read_jsonl(result.removed_path, RemovedRow)
    return {row.dialogue_id: row.kept_id for row in rows}


def test_a_planted_near_duplicate_goes_and_the_first_stays(tmp_path: Path) -> None:
    rows = [
        make("first", "Какая ставка?", LONG_ANSWER),
        make("other", "Где отделение?", "Ближайшее отделение на Садовой улице, дом пять."),
        make("third", "Как открыть счёт?", "Счёт открывается в приложении за три минуты."),
        make("haste", "какая ставка", LONG_ANSWER.upper() + "!"),
        make("edited", "Какая ставка?", LONG_ANSWER + " обычно"),
    ]
    result = deduplicate(rows, tmp_path)
    assert ids(result) == ["first", "other", "third"]
    assert removed(result) == {"haste": "first", "edited": "first"}
    assert (result.kept, result.removed, dict(result.removed_by_source)) == (3, 2, {"own:bank": 2})


def test_another_number_or_product_is_another_dialogue(tmp_path: Path) -> None:
    answer = "По вкладу «{}» ставка {}% годовых при открытии на год."
    rows = [
        make("a", "Какая ставка по вкладу?", answer.format("Сокол", "16,5")),
        make("b", "Какая ставка по вкладу?", answer.format("Сокол", "18,1")),
        make("c", "Какая ставка по вкладу?", answer.format("Рысь", "16,5")),
    ]
    assert ids(deduplicate(rows, tmp_path)) == ["a", "b", "c"]


def test_rows_that_vary_on_purpose_stay_and_others_near_them_go(tmp_path: Path) -> None:
    bank = "synthetic:built-in-bank"
    rows = [
        make("own", "Какая ставка?", LONG_ANSWER),
        make("bank-1", "Какая ставка?", LONG_ANSWER + " всегда", source=bank),
        make("bank-2", "Какая ставка?", LONG_ANSWER + " обычно", source=bank),
    ]
    result = deduplicate(rows, tmp_path)
    assert ids(result) == ["bank-1", "bank-2"]
    assert removed(result) == {"own": "bank-1"}


def test_the_test_keeps_its_rows(tmp_path: Path) -> None:
    rows = [
        make("shown", "Ставка?", LONG_ANSWER),
        make("held", "Ставка?", LONG_ANSWER, split="test"),
    ]
    assert removed(deduplicate(rows, tmp_path)) == {"shown": "held"}


def test_texts_shorter_than_an_ngram_are_compared_too(tmp_path: Path) -> None:
    rows = [
        make("a", "Да", "Нет"),
        make("b", "да!", "нет."),
        make("c", "Нет", "Да"),
        make("d", "?", "!"),
    ]
    assert ids(deduplicate(rows, tmp_path)) == ["a", "c", "d"]


def test_the_built_in_bank_is_kept_whole(tmp_path: Path) -> None:
    rows = generate(load_bank(BANK), train_rows=600, test_rows=50, seed=0).train
    result = deduplicate(rows, tmp_path, per_shard=300)
    assert (result.kept, result.removed) == (600, 0)


def test_no_rows_give_no_shards(tmp_path: Path) -> None:
    result = deduplicate([], tmp_path)
    assert (result.paths, result.kept, removed(result)) == ((), 0, {})


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(make("a", "Да?").model_dump_json() + "\n{oops\n", encoding="utf-8")
    with pytest.raises(SchemaError, match=r"rows\.jsonl:2: .*mend or remove this line"):
        remove_near_duplicates([path], tmp_path / "out", NearDuplicateSettings(), ONE)


@settings(max_examples=8, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.lists(st.integers(0, 30), max_size=3)),
        min_size=1,
        max_size=30,
    )
)
def test_every_removed_row_is_near_its_kept_row(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[int, list[int]]]
) -> None:
    """Rows are edits of four long texts: whoever goes is near enough to one that stays."""
    rows = []
    for number, (text, places) in enumerate(edits):
        words = [f"слово{text}-{place}" for place in range(30)]
        for place in places:
            words[place % 30] = f"иначе{place}"
        rows.append(make(str(number), "Вопрос", " ".join(words)))
    result = deduplicate(rows, tmp_path_factory.mktemp("near"), per_shard=7)
    stay, by_id = set(ids(result)), {row.dialogue_id: row for row in rows}
    assert stay | removed(result).keys() == by_id.keys()
    for gone, kept in removed(result).items():
        assert kept in stay
        assert jaccard(by_id[gone], by_id[kept]) >= 0.8
    exact = {full_text(row) for row in rows}
    assert len(stay) <= len(exact)


def jaccard(one: Dialogue, other: Dialogue) -> float:
    a, b = (set(shingles(full_text(row), 5).tolist()) for row in (one, other))
    return len(a & b) / len(a | b)
