"""Evidently's watch: finds planted drift, stays quiet without, counts what went wrong."""

import random
from pathlib import Path

import pytest
from kfp import dsl

from components.core.errors import BadInputError
from components.core.json_lines import write_jsonl
from components.core.schemas import Answer, Dialogue, Fact, Turn
from components.monitor.component import watch
from components.monitor.tables import current_table
from components.monitor.watch import quality, watch_files

INTENTS = ("deposit_rate", "card_delivery", "transfer_fee")
WORDS = ("какая", "ставка", "по", "вкладу", "если", "положить", "на", "год", "и", "снять")


def question(rng: random.Random, longest: int = 12) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(3, longest))) + "?"


def dialogue(number: int, rng: random.Random) -> Dialogue:
    turns = (
        Turn(role="user", content=question(rng)),
        Turn(role="assistant", content=f"Ставка {number % 20}% годовых."),
    )
    return Dialogue(
        **{name: f"{name}-{number}" for name in ("request_id", "response_id", "user_id")},
        dialogue_id=f"d{number}",
        turns=turns,
        intent=rng.choice(INTENTS),
        product="sokol",
        phrasing_family="f",
        facts=(Fact(name="rate", value=f"{number % 20}%"),),
        source="test",
        split="train",
        licence="Apache-2.0",
    )


def answer(number: int, rng: random.Random, **changes: object) -> Answer:
    row = Answer(
        dialogue_id=f"a{number}",
        contender="tuned",
        intent=rng.choice(INTENTS),
        product="sokol",
        question=question(rng),
        reference="",
        answer=f"Ставка {number % 20}% годовых.",
        facts=(Fact(name="rate", value=f"{number % 20}%"),),
        finish_reason="stop",
        prompt_tokens=1,
        completion_tokens=1,
        latency_seconds=rng.random(),
        first_token_seconds=None,
    )
    return row.model_copy(update=changes)


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    rng = random.Random(1)
    path = tmp_path / "train.jsonl"
    write_jsonl(path, [dialogue(number, rng) for number in range(400)])
    return path


def traffic(path: Path, seed: int, changes: dict[str, object], longest: int = 12) -> Path:
    rng = random.Random(seed)
    rows = [
        answer(number, rng, question=question(rng, longest), **changes) for number in range(120)
    ]
    write_jsonl(path, rows)
    return path


def test_quiet_traffic_is_quiet_and_the_page_needs_no_network(
    reference: Path, tmp_path: Path
) -> None:
    report = tmp_path / "out" / "watch.html"
    found = watch_files(reference, traffic(tmp_path / "now.jsonl", 2, {}), report)
    assert found["drifted_columns"] == 0
    assert found["exact_facts"] == 1
    assert (found["failed"], found["empty"], found["refusals"]) == (0, 0, 0)
    text = report.read_text("utf-8")
    assert '<script src="http' not in text
    assert "url(http" not in text
    assert len(text) < 8_000_000
    assert not list(report.parent.glob("*.partial"))


def test_planted_drift_is_found_where_it_is(reference: Path, tmp_path: Path) -> None:
    changed = traffic(tmp_path / "now.jsonl", 3, {"intent": "crypto"}, longest=40)
    found = watch_files(reference, changed, tmp_path / "w.html")
    assert found["drifted.intent"] == 1
    assert found["drifted.question_length"] == 1
    assert found["drifted.question_words"] == 1
    assert found["drifted.answer_length"] == 0


def test_all_answers_failed_is_reported_not_a_crash(reference: Path, tmp_path: Path) -> None:
    broken: dict[str, object] = {"answer": "", "finish_reason": "error: it answered HTTP 500"}
    current = traffic(tmp_path / "now.jsonl", 4, broken)
    metrics = dsl.Metrics(uri=str(tmp_path / "m"))
    watch.python_func(
        reference=dsl.Dataset(uri=str(reference)),
        current=dsl.Dataset(uri=str(current)),
        report=dsl.HTML(uri=str(tmp_path / "w.html")),
        metrics=metrics,
    )
    assert metrics.metadata["failed"] == 1
    assert metrics.metadata["exact_facts"] == 0
    assert "latency_p95_seconds" not in metrics.metadata
    assert (tmp_path / "w.html").exists()


def test_quality_is_counted_by_hand_in_russian() -> None:
    rng = random.Random(5)
    rows = [
        answer(1, rng, question="Какая ставка по вкладу «Сокол»?"),
        answer(2, rng, answer="К сожалению, не могу ответить на этот вопрос."),
        answer(3, rng, answer=""),
        answer(4, rng, finish_reason="timeout: no full answer", latency_seconds=240.0),
    ]
    table = current_table(rows)
    assert table["question words"].iloc[0] == 5
    found = quality(table)
    assert (found["refusals"], found["empty"], found["failed"]) == (0.25, 0.25, 0.25)
    assert found["exact_facts"] == 0.25


def test_an_empty_day_is_one_sentence(reference: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    write_jsonl(empty, [])
    with pytest.raises(BadInputError, match=r"empty\.jsonl holds no rows"):
        watch_files(reference, empty, tmp_path / "w.html")
