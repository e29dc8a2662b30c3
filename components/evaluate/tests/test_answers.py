"""Asking a real server: every question gets a row, and an interrupted run goes on."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from components.core.errors import BadInputError, EndpointError
from components.core.json_lines import read_jsonl, write_jsonl
from components.core.llm import Asking, Endpoint
from components.core.outcomes import exact_fact_score, outcome
from components.core.schemas import Answer, Dialogue, Fact, Turn
from components.core.tests.canned_server import Canned, CannedServer, serving
from components.evaluate.answers import Contender, answer_file, choose, messages, system_prompt
from components.evaluate.measures import flat, measure
from components.prepare.subset import Subset

SPECIAL = {
    "вопрос 0": Canned("ставка 0%", failures=(429,)),
    "вопрос 1": Canned(always=500),
    "вопрос 2": Canned(""),
    "вопрос 3": Canned("Не могу обсуждать.", finish_reason="blacklist"),
    "вопрос 4": Canned("ставка 4%", delay_seconds=9),
    "вопрос 5": Canned("ставка 5% и ещё", finish_reason="length"),
}


def dialogue(number: int) -> Dialogue:
    turns = (
        Turn(role="user", content=f"вопрос {number}"),
        Turn(role="assistant", content=f"Ставка {number}%."),
    )
    return Dialogue(
        **{name: f"{name}-{number}" for name in ("request_id", "response_id", "user_id")},
        dialogue_id=f"d{number}",
        turns=turns,
        intent=f"deposit_{number % 3}",
        product="sokol",
        phrasing_family="f",
        facts=(Fact(name="rate", value=f"{number}%"),),
        source="test",
        split="test",
        licence="Apache-2.0",
    )


def canned(question: str) -> Canned:
    return SPECIAL.get(question, Canned(f"ставка {question.rsplit(maxsplit=1)[-1]} %"))


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[str], Canned]], CannedServer]]:
    open_ones = []

    def start(answer: Callable[[str], Canned]) -> CannedServer:
        context = serving(CannedServer(answer))
        open_ones.append(context)
        return context.__enter__()

    yield start
    for context in open_ones:
        context.__exit__(None, None, None)


@pytest.fixture
def questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("FINIST_HOME", raising=False)
    path = tmp_path / "test.jsonl"
    write_jsonl(path, [dialogue(number) for number in range(12)])
    return path


def contender(server: CannedServer, **changes: object) -> Contender:
    asking = Asking(concurrency=12, retries=1, deadline_seconds=1.5)
    endpoint = Endpoint(base_url=server.url, model="canned")
    return Contender.model_validate(
        {"name": "tuned", "endpoint": endpoint, "asking": asking} | changes
    )


def test_every_question_gets_a_row_and_each_failure_its_name(
    serve: Callable[..., CannedServer], questions: Path, tmp_path: Path
) -> None:
    out = tmp_path / "answers.jsonl"
    answer_file(questions, out, contender(serve(canned)))
    rows = {row.question: row for row in read_jsonl(out, Answer)}
    assert len(rows) == 12
    assert [outcome(rows[f"вопрос {n}"]) for n in range(7)] == [
        *("answered", "error", "empty", "blocked", "timeout", "cut off", "answered")
    ]
    assert "HTTP 500" in rows["вопрос 1"].finish_reason
    found = measure(list(rows.values()))
    assert found.accuracy is not None
    assert found.accuracy.mean == pytest.approx(8 / 12)
    assert found.failed == 5
    assert found.within_limit == pytest.approx(9 / 12)
    assert flat(found)["outcome_cut_off"] == 1
    assert not list(tmp_path.glob("unfinished-*"))


def test_an_interrupted_run_asks_only_what_is_missing(
    serve: Callable[..., CannedServer], questions: Path, tmp_path: Path
) -> None:
    out = tmp_path / "answers.jsonl"
    server = serve(lambda q: Canned(always=401) if q == "вопрос 9" else canned("вопрос 11"))
    one_by_one = Asking(concurrency=1, retries=0, deadline_seconds=1.5)
    with pytest.raises(EndpointError, match="run the same command again"):
        answer_file(questions, out, contender(server, asking=one_by_one))
    assert not out.exists()
    (partial,) = tmp_path.glob("unfinished-*")
    kept = {json.loads(line)["question"] for line in partial.read_text("utf-8").splitlines()}
    partial.write_text(partial.read_text("utf-8") + '{"dialogue_id": "d', "utf-8")
    server.answer = canned
    before = dict(server.asked)
    rows = answer_file(questions, out, contender(server, asking=one_by_one))
    assert [row.dialogue_id for row in rows] == [row.dialogue_id for row in read_jsonl(out, Answer)]
    assert len(rows) == 12
    assert all(server.asked[question] == before[question] for question in kept)


def test_the_limit_is_balanced_and_the_same_for_everybody() -> None:
    dialogues = [dialogue(number) for number in range(30)]
    chosen = choose(dialogues, 6, Subset())
    assert chosen == choose(dialogues, 6, Subset())
    assert sorted(d.intent for d in chosen) == sorted(["deposit_0", "deposit_1", "deposit_2"] * 2)
    assert len(choose(dialogues, 0, Subset())) == 30
    with pytest.raises(BadInputError, match="no test question"):
        choose([], 5, Subset())


def test_a_prompt_goes_first_and_the_reference_never_goes(
    serve: Callable[..., CannedServer], questions: Path, tmp_path: Path
) -> None:
    server = serve(canned)
    who = contender(server, prompt="bank_assistant.v1")
    answer_file(questions, tmp_path / "a.jsonl", who, 3)
    assert server.systems[0] == system_prompt("bank_assistant.v1")
    assert [turn.role for turn in messages(dialogue(1))] == ["user"]
    with pytest.raises(BadInputError, match=r"it has: bank_assistant\.v1"):
        system_prompt("nobody")


def test_a_failure_scores_zero_whatever_part_had_come() -> None:
    given = Answer(
        dialogue_id="d", contender="c", intent="i", product="p", question="q", reference="r",
        answer="ставка 5%", facts=(Fact(name="rate", value="5%"),), finish_reason="error: cut",
        prompt_tokens=0, completion_tokens=0, latency_seconds=1, first_token_seconds=0.5,
    )  # fmt: skip
    assert exact_fact_score(given) == 0
    assert exact_fact_score(given.model_copy(update={"finish_reason": "stop"})) == 1
    assert exact_fact_score(given.model_copy(update={"facts": ()})) is None
