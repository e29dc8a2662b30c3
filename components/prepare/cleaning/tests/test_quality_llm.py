"""The filter by a model, against a real server that counts what it is asked."""

import json
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.core.errors import EndpointError, RecipeError, SchemaError
from components.core.llm import Asking, Endpoint
from components.core.schemas import Dialogue
from components.core.tests.canned_server import Canned, CannedServer, serving
from components.prepare.cleaning.quality_llm import (
    Filtered,
    LlmQualitySettings,
    filter_by_llm,
    score_in,
)
from components.prepare.cleaning.tests.dialogues import dialogue

REPLIES = {
    "хорошо": Canned('{"score": 5, "reason": "по делу"}'),
    "средне": Canned('Вот оценка:\n```json\n{"score": 3, "reason": "частично"}\n```'),
    "плохо": Canned('{"score": 1, "reason": "реклама"}'),
    "мусор": Canned("Хороший диалог!"),
    "сбой": Canned(always=500),
    "ждать": Canned('{"score": 4}', failures=(429,)),
}
ROWS = {name: dialogue(f"Вопрос: {name}?", "Ответ банка.") for name in REPLIES}


@pytest.fixture
def server() -> Iterator[CannedServer]:
    def answer(asked: str) -> Canned:
        return next((reply for name, reply in REPLIES.items() if name in asked), REPLIES["хорошо"])

    with serving(CannedServer(answer)) as running:
        yield running


def filtered(server: CannedServer, journal: Path, *rows: Dialogue, **changes: object) -> Filtered:
    settings = LlmQualitySettings.model_validate(
        {
            "endpoint": Endpoint(base_url=server.url, model="canned"),
            "asking": Asking(max_tokens=80, retries=1, deadline_seconds=20),
        }
        | changes
    )
    return filter_by_llm(rows, settings, journal, lambda text: text.replace("Иван", "[ИМЯ]"))


def test_scores_decide_and_everything_is_counted(server: CannedServer, tmp_path: Path) -> None:
    got = filtered(server, tmp_path / "journal.jsonl", *ROWS.values())
    assert got.outcomes == {
        "score-5": 1, "score-4": 1, "score-3": 1, "score-1": 1, "unreadable": 1, "unanswered": 1
    }  # fmt: skip
    names = {name: ROWS[name] for name in REPLIES if name != "плохо"}
    assert got.kept == tuple(names.values())
    assert [(row.kind, row.row["turns"][0][1]) for row in got.quarantined] == [
        ("llm-score-1", "Вопрос: плохо?")
    ]
    assert (got.requests, got.prompt_tokens) == (6, 35)


def test_the_undecided_can_be_dropped(server: CannedServer, tmp_path: Path) -> None:
    rows = (ROWS["хорошо"], ROWS["мусор"], ROWS["сбой"])
    got = filtered(server, tmp_path / "j.jsonl", *rows, undecided="drop", threshold=5)
    assert got.kept == (ROWS["хорошо"],)
    assert [row.kind for row in got.quarantined] == ["llm-unreadable", "llm-unanswered"]


def test_a_second_run_asks_only_what_failed(server: CannedServer, tmp_path: Path) -> None:
    journal = tmp_path / "folder" / "journal.jsonl"
    filtered(server, journal, *ROWS.values())
    first = server.asked.total()
    again = filtered(server, journal, *ROWS.values())
    assert again.requests == 1
    assert again.outcomes["unanswered"] == 1
    assert server.asked.total() == first + 2  # one request that fails, tried twice
    assert filtered(server, journal, ROWS["хорошо"], ROWS["плохо"]).requests == 0


def test_equal_dialogues_are_asked_once(server: CannedServer, tmp_path: Path) -> None:
    twin = ROWS["хорошо"].model_copy(update={"dialogue_id": "d2"})
    got = filtered(server, tmp_path / "j.jsonl", ROWS["хорошо"], twin)
    assert (got.requests, len(got.kept)) == (1, 2)


def test_personal_data_is_masked_before_it_leaves(server: CannedServer, tmp_path: Path) -> None:
    filtered(server, tmp_path / "j.jsonl", dialogue("Я Иван, что с картой?", "Иван, всё готово."))
    (asked,) = server.asked
    assert "Иван" not in asked
    assert asked.count("[ИМЯ]") == 2
    assert "от 1 до 5" in server.systems[0]


def test_a_torn_line_is_asked_again(
    server: CannedServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = tmp_path / "j.jsonl"
    filtered(server, journal, ROWS["хорошо"])
    filtered(server, journal, ROWS["плохо"])
    journal.write_bytes(journal.read_bytes()[:-20])
    with caplog.at_level(logging.WARNING):
        got = filtered(server, journal, ROWS["хорошо"], ROWS["плохо"])
    assert got.requests == 1
    assert "torn" in caplog.text
    assert [json.loads(line)["reply"][:10] for line in journal.read_text("utf-8").splitlines()]
    assert filtered(server, journal, ROWS["хорошо"], ROWS["плохо"]).requests == 0


def test_a_broken_line_in_the_midst_is_named(server: CannedServer, tmp_path: Path) -> None:
    journal = tmp_path / "j.jsonl"
    journal.write_text("nonsense\n{}\n", "utf-8")
    with pytest.raises(SchemaError, match=r"j\.jsonl:1 is no verdict"):
        filtered(server, journal, ROWS["хорошо"])


def test_wrong_models_and_prompts_are_named(server: CannedServer, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no prompt 'other'.*quality\.v1"):
        filtered(server, tmp_path / "j.jsonl", ROWS["хорошо"], prompt="other")
    wrong = Endpoint(base_url=server.url, model="other")
    with pytest.raises(EndpointError, match="it serves: canned"):
        filtered(server, tmp_path / "j.jsonl", ROWS["хорошо"], endpoint=wrong)


def test_nothing_to_score_asks_nobody(server: CannedServer, tmp_path: Path) -> None:
    assert filtered(server, tmp_path / "j.jsonl") == Filtered((), (), Counter(), 0, 0, 0)


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ('{"score": 4, "reason": "ok"}', 4),
        ('```json\n{"score": "2"}\n```', 2),
        ('{"reason": "нет оценки"} {"score": 3.0}', 3),
        ("Оценка: 5", 5),
        ("**Score**: 4", 4),
        ("3.", 3),
        ('{"score": 7}', None),
        ('{"score": 3.5}', None),
        ('{"score": true}', None),
        ("Оценка: 4/5", 4),
        ("Оценка: 4/10", None),
        ("Оценка: 4, нет, оценка: 2", None),
        ('{"score": Infinity}', None),
        ("На 100% хорошо", None),
        ("{{{", None),
        ("", None),
    ],
)
def test_scores_are_read_where_there_is_one(reply: str, score: int | None) -> None:
    assert score_in(reply) == score
