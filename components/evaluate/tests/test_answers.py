"""Asking a real server: every question gets a row, and no reply is asked for twice."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import Response

from components.core.errors import BadInputError, EndpointError
from components.core.json_lines import read_jsonl, write_jsonl
from components.core.llm import Asking, Endpoint
from components.core.outcomes import exact_fact_score, outcome
from components.core.prices import Prices, cost_per_thousand
from components.core.schemas import Answer, Dialogue, Fact, Turn
from components.core.tests.canned_server import Canned, CannedServer, serving
from components.evaluate.answers import (
    Answered,
    Contender,
    answer_file,
    choose,
    messages,
    system_prompt,
)
from components.evaluate.measures import flat, measure
from components.prepare.subset import Subset

IN_FLIGHT = 3
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


def plain(question: str) -> Canned:
    return Canned(f"ставка {question.rsplit(maxsplit=1)[-1]} %")


def canned(question: str) -> Canned:
    return SPECIAL.get(question, plain(question))


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


def run(test: Path, answers: Path, who: Contender, questions: int = 0) -> Answered:
    found = answer_file(test, answers, who, questions)
    assert read_jsonl(answers, Answer) == list(found.answers)
    return found


def started(server: CannedServer, test: Path, folder: Path) -> subprocess.Popen[str]:
    command = [
        *(sys.executable, "-m", "components.evaluate", "answer", "--contender", "tuned"),
        *("--endpoint", server.url, "--model", "canned", "--test", str(test)),
        *("--answers", str(folder / "answers.jsonl"), "--concurrency", str(IN_FLIGHT)),
    ]
    root = Path(__file__).resolve().parents[3]
    return subprocess.Popen(
        command, cwd=root, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def by_number(found: Answered) -> list[Answer]:
    return sorted(found.answers, key=lambda row: int(row.dialogue_id[1:]))


def test_every_question_gets_a_row_and_each_failure_its_name(
    serve: Callable[..., CannedServer], questions: Path, tmp_path: Path
) -> None:
    out = tmp_path / "answers.jsonl"
    run(questions, out, contender(serve(canned)))
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
    assert [rows[f"вопрос {n}"].retries for n in range(3)] == [1, 1, 0]


def test_an_endpoint_that_dies_midway_is_one_sentence_and_what_came_is_kept(
    serve: Callable[..., CannedServer], questions: Path, tmp_path: Path
) -> None:
    out = tmp_path / "answers.jsonl"

    def mortal(question: str) -> Canned:
        if len(first.asked) >= 7:
            first.die()
            return Canned("не успел", delay_seconds=30)
        return plain(question)

    first = serve(mortal)
    few = Asking(concurrency=2, retries=0, deadline_seconds=20)
    with pytest.raises(EndpointError, match="run the same command again") as caught:
        answer_file(questions, out, contender(first, asking=few))
    assert "\n" not in str(caught.value)
    assert not out.exists()
    second = serve(plain)
    found = answer_file(questions, out, contender(second, asking=few))
    assert found.from_cache in (6, 7), "the seventh may still have been in flight"
    assert second.asked.total() == 12 - found.from_cache
    assert [outcome(row) for row in found.answers] == ["answered"] * 12
    assert read_jsonl(out, Answer) == list(found.answers)


@pytest.mark.slow
def test_a_killed_run_goes_on_and_asks_again_only_what_was_in_flight(
    serve: Callable[..., CannedServer], questions: Path, tmp_path: Path
) -> None:
    write_jsonl(questions, [dialogue(number) for number in range(30)])
    server = serve(lambda question: Canned(plain(question).text, delay_seconds=0.05))
    first = started(server, questions, tmp_path)
    try:
        wait_until(lambda: server.asked.total() >= 12)
    finally:
        first.kill()
        first.communicate()
    before = server.asked.total()
    (cache,) = tmp_path.glob("replies-*.jsonl")
    kept = cache.read_bytes().count(b"\n")
    output, errors = started(server, questions, tmp_path).communicate(timeout=120)
    print(f"{before} asked before kill -9, {kept} kept, {server.asked.total() - before} after")
    assert 0 < kept <= before < 30
    assert before - kept <= 2 * IN_FLIGHT, "in flight, or waiting for the disk"
    assert server.asked.total() - before == 30 - kept
    assert f"{kept} came from the cache" in output, errors
    assert len(read_jsonl(tmp_path / "answers.jsonl", Answer)) == 30


def test_a_second_run_asks_nothing_whatever_the_number_and_the_order(
    serve: Callable[..., CannedServer], questions: Path, tmp_path: Path
) -> None:
    server = serve(plain)
    first = run(questions, tmp_path / "first.jsonl", contender(server))
    write_jsonl(questions, [dialogue(number) for number in reversed(range(12))])
    again = run(questions, tmp_path / "second.jsonl", contender(server, name="again"))
    few = run(questions, tmp_path / "third.jsonl", contender(server), 5)
    elsewhere = run(questions, tmp_path / "fourth.jsonl", contender(serve(plain)))
    assert [each.from_cache for each in (first, again, few, elsewhere)] == [0, 12, 5, 12]
    assert server.asked.total() == 12
    renamed = [row.model_copy(update={"contender": "again"}) for row in by_number(first)]
    assert by_number(again) == renamed, "times and retries are those of the request"
    write_jsonl(questions, [dialogue(number) for number in range(15)])
    assert run(questions, tmp_path / "more.jsonl", contender(server)).from_cache == 12
    assert server.asked.total() == 15


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": "bank_assistant.v1"},
        {"weights": "s3://finist/models/other/"},
        {"asking": Asking(max_tokens=7)},
        {"asking": Asking(temperature=0.5)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_decides_a_reply_makes_it_another(
    changes: dict[str, object],
    serve: Callable[..., CannedServer],
    questions: Path,
    tmp_path: Path,
) -> None:
    server = serve(plain)
    run(questions, tmp_path / "first.jsonl", contender(server))
    second = run(questions, tmp_path / "second.jsonl", contender(server, **changes))
    assert (second.from_cache, server.asked.total()) == (0, 24)


def test_failures_are_asked_again_and_other_bad_ends_are_not(
    serve: Callable[..., CannedServer], questions: Path, tmp_path: Path
) -> None:
    server = serve(canned)
    run(questions, tmp_path / "first.jsonl", contender(server))
    server.answer = plain
    before = dict(server.asked)
    second = run(questions, tmp_path / "second.jsonl", contender(server))
    assert second.from_cache == 10
    assert {q for q in before if server.asked[q] > before[q]} == {"вопрос 1", "вопрос 4"}
    assert [outcome(row) for row in by_number(second)[:6]] == [
        *("answered", "answered", "empty", "blocked", "answered", "cut off")
    ]


def test_equal_questions_are_asked_once(
    serve: Callable[..., CannedServer], questions: Path, tmp_path: Path
) -> None:
    same = [dialogue(3).model_copy(update={"dialogue_id": f"same-{n}"}) for n in range(4)]
    write_jsonl(questions, same)
    server = serve(plain)
    found = run(questions, tmp_path / "a.jsonl", contender(server))
    assert (len(found.answers), server.asked.total(), found.from_cache) == (4, 1, 0)
    assert {row.answer for row in found.answers} == {"ставка 3 %"}


def test_the_cache_outlives_a_run_in_finist_home(
    serve: Callable[..., CannedServer],
    questions: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FINIST_HOME", str(tmp_path / "home"))
    server = serve(plain)
    run(questions, tmp_path / "one" / "answers.jsonl", contender(server))
    second = run(questions, tmp_path / "two" / "answers.jsonl", contender(server))
    assert second.from_cache == 12
    assert len(list((tmp_path / "home" / "cache" / "replies").iterdir())) == 1
    assert [path.name for path in (tmp_path / "two").iterdir()] == ["answers.jsonl"]


def test_tokens_that_nobody_counted_are_estimated_and_flagged(
    serve: Callable[..., CannedServer], questions: Path, tmp_path: Path
) -> None:
    def answer(question: str) -> Canned:
        if question == "вопрос 1":
            return Canned(always=400)
        return Canned("ставка 5%", counts_tokens=question != "вопрос 0")

    found = run(questions, tmp_path / "a.jsonl", contender(serve(answer)))
    assert found.estimated == 1
    tokens = [(row.prompt_tokens, row.completion_tokens) for row in by_number(found)]
    assert tokens == [(4, 5), (0, 0), *[(7, 2)] * 10]
    cost = cost_per_thousand(found.answers, Prices(prompt=100, completion=400))
    assert cost == pytest.approx((74 * 100 + 25 * 400) / 1_000_000 / 12 * 1000)
    again = run(questions, tmp_path / "b.jsonl", contender(serve(answer)))
    assert (again.from_cache, again.estimated) == (11, 1)


def test_an_endpoint_that_names_no_models_is_asked_all_the_same(
    serve: Callable[..., CannedServer], questions: Path, tmp_path: Path
) -> None:
    server = serve(plain)
    server.models_reply = Response(status_code=404)
    assert len(run(questions, tmp_path / "a.jsonl", contender(server)).answers) == 12


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
    run(questions, tmp_path / "a.jsonl", who, 3)
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
