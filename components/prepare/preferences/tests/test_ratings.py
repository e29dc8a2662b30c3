"""Pairs from judge's scores and customers' marks, with bad rows set aside."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.core.errors import SchemaError
from components.core.schemas import PreferencePair, QuarantinedRow
from components.prepare.preferences.csat import csat_pairs
from components.prepare.preferences.scored import scored_pairs
from components.prepare.preferences.settings import PreferenceSettings

FACT = {"name": "fee", "value": "99 рублей"}
Made = tuple[list[PreferencePair], list[QuarantinedRow]]


def row(answer: str, question: str = "Сколько стоит карта?", **changes: Any) -> dict[str, Any]:
    content: dict[str, Any] = {
        "dialogue_id": f"d-{answer}",
        "prompt": [{"role": "user", "content": question}],
        "answer": answer,
        "intent": "card_fee",
        "product": "volna",
        "licence": "own",
        "split": "train",
    }
    return content | changes


def scored(answer: str, score: float, **changes: Any) -> dict[str, Any]:
    return row(answer, **{"score": score, "judge": "qwen", **changes})


def marked(answer: str, csat: object, **changes: Any) -> dict[str, Any]:
    return row(answer, **{"csat": csat, "consent": True, **changes})


def written(folder: Path, rows: list[Any]) -> Path:
    path = folder / "rows.jsonl"
    lines = [text if isinstance(text, str) else json.dumps(text) for text in rows]
    path.write_text("\n\n".join(lines), encoding="utf-8")
    return path


def from_scores(folder: Path, rows: list[Any], **settings: Any) -> Made:
    return sorted_out(scored_pairs(written(folder, rows), PreferenceSettings(**settings)))


def from_marks(folder: Path, rows: list[Any], **settings: Any) -> Made:
    return sorted_out(csat_pairs(written(folder, rows), PreferenceSettings(**settings)))


def sorted_out(made: Any) -> Made:
    rows = list(made)
    left_out = [each for each in rows if isinstance(each, QuarantinedRow)]
    return [each for each in rows if isinstance(each, PreferencePair)], left_out


def texts(made: Made) -> list[tuple[str, str]]:
    return [(pair.chosen, pair.rejected) for pair in made[0]]


def test_the_highest_score_stands_against_the_lowest(tmp_path: Path) -> None:
    made = from_scores(tmp_path, [scored("B", 3), scored("A", 4.6), scored("C", 1.5)])
    assert texts(made) == [("A", "C")]
    (pair,) = made[0]
    assert (pair.source, pair.reason, pair.split) == ("judge:qwen", "low-score", "train")
    assert pair.dialogue_id == "d-C"


def test_the_margin_is_kept(tmp_path: Path) -> None:
    rows = [scored("A", 4), scored("B", 2.5), scored("C", 2)]
    assert texts(from_scores(tmp_path, rows)) == [("A", "C")]
    assert texts(from_scores(tmp_path, rows, score_margin=2.1)) == []
    made = from_scores(tmp_path, rows, pairs_per_question=2, score_margin=1.5)
    assert texts(made) == [("A", "C"), ("A", "B")]


@pytest.mark.parametrize(
    "other",
    [
        {"judge": "llama"},
        {"split": "test"},
        {"product": "veter"},
        {"prompt": [{"role": "user", "content": "Сколько стоит счёт?"}]},
    ],
)
def test_what_does_not_compare_makes_no_pair(tmp_path: Path, other: dict[str, Any]) -> None:
    assert texts(from_scores(tmp_path, [scored("A", 5), scored("B", 1, **other)])) == []


def test_the_same_words_are_the_same_question(tmp_path: Path) -> None:
    system = {"role": "system", "content": "Вы помощник."}
    asked = [system, {"role": "user", "content": "сколько стоит карта"}]
    made = from_scores(tmp_path, [scored("A", 5), scored("B", 1, prompt=asked)])
    assert texts(made) == [("A", "B")]


def test_a_well_scored_answer_without_the_facts_is_not_chosen(tmp_path: Path) -> None:
    rows = [
        scored("Карта стоит 990 рублей.", 5, facts=[FACT]),
        scored("Карта стоит 99 руб.", 4, facts=[FACT]),
        scored("Не знаю.", 1, facts=[FACT]),
    ]
    assert texts(from_scores(tmp_path, rows)) == [("Карта стоит 99 руб.", "Не знаю.")]
    assert texts(from_scores(tmp_path, [rows[0], rows[2]])) == []


def test_marks_of_the_same_answer_are_averaged(tmp_path: Path) -> None:
    rows = [marked("A", 5), marked("A ", 4), marked("B", 5), marked("B", 1), marked("C", 2)]
    assert texts(from_marks(tmp_path, rows)) == [("A", "C")]
    made = from_marks(tmp_path, rows, least_ratings=2, csat_margin=1.5)
    assert texts(made) == [("A", "B")]
    assert {(pair.source, pair.reason) for pair in made[0]} == {("csat", "low-csat")}


def test_another_wording_of_the_intent_lends_its_answer_when_asked_for(tmp_path: Path) -> None:
    rows = [marked("A", 5), marked("B", 1, question="Почём карта?")]
    assert texts(from_marks(tmp_path, rows)) == []
    made = from_marks(tmp_path, rows, csat_match="intent")
    assert texts(made) == [("A", "B")]
    assert made[0][0].prompt[-1].content == "Почём карта?"


@pytest.mark.parametrize(
    "low", [{"product": ""}, {"product": "veter"}, {"intent": "card_limit"}, {"split": "test"}]
)
def test_an_intent_is_not_stretched(tmp_path: Path, low: dict[str, Any]) -> None:
    rows = [marked("A", 5), marked("B", 1, question="Почём карта?", **low)]
    assert texts(from_marks(tmp_path, rows, csat_match="intent")) == []


def test_a_later_message_depends_on_what_was_said_before(tmp_path: Path) -> None:
    before = [{"role": role, "content": "Да"} for role in ("user", "assistant", "user")]
    rows = [marked("A", 5), marked("B", 1, prompt=before)]
    assert texts(from_marks(tmp_path, rows, csat_match="intent")) == []


def test_bad_rows_are_set_aside_and_good_ones_kept(tmp_path: Path) -> None:
    rows = [
        marked("A", 5),
        "{broken",
        marked("X", 6),
        marked(" ", 1),
        marked("X", 1, prompt=[{"role": "assistant", "content": "Да?"}]),
        marked("B", 1),
    ]
    made = from_marks(tmp_path, rows)
    assert texts(made) == [("A", "B")]
    assert [(bad.line, bad.kind) for bad in made[1]] == [(n, "bad-row") for n in (3, 5, 7, 9)]
    assert "csat" in made[1][1].reason


def test_without_consent_nothing_but_the_id_is_kept(tmp_path: Path) -> None:
    secret = marked("Секрет", 1, consent=False, dialogue_id="d9")
    made = from_marks(tmp_path, [marked("A", 5), secret])
    assert texts(made) == []
    (refused,) = made[1]
    assert (refused.kind, refused.line, refused.row) == ("no-consent", 3, {"dialogue_id": "d9"})
    assert "Секрет" not in refused.model_dump_json()


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"none\.jsonl cannot be read"):
        list(scored_pairs(tmp_path / "none.jsonl", PreferenceSettings()))
