"""Judging a file against a real server: scores, failures, what is not sent, and what is kept."""

import re
from pathlib import Path

import pytest

from components.core.errors import BadInputError, EndpointError
from components.core.json_lines import read_jsonl, write_jsonl
from components.core.llm import Endpoint
from components.core.schemas import Answer, JudgedScores
from components.core.tests.canned_server import Canned, CannedServer, serving
from components.evaluate.judging.cached_judge import JudgeSettings
from components.evaluate.judging.judge_answers import judge_file
from components.evaluate.judging.tests.judged_rows import by_criterion, row, sure

CRITERIA = ["correctness", "completeness", "tone", "safety"]


@pytest.fixture(autouse=True)
def _no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FINIST_HOME", raising=False)


def judged(
    rows: list[Answer], server: CannedServer, folder: Path, **settings: object
) -> list[JudgedScores | None]:
    source, target = folder / "answers.jsonl", folder / "judged.jsonl"
    write_jsonl(source, rows)
    endpoint = Endpoint(base_url=server.url, model="canned")
    found = judge_file(source, target, endpoint, JudgeSettings.model_validate(settings))
    assert read_jsonl(target, Answer) == found
    assert [each.model_copy(update={"judged": None}) for each in found] == rows
    return [each.judged for each in found]


@pytest.mark.parametrize("rubric", ["bank_answer.v1", "bank_answer_short.v1"])
def test_each_criterion_is_an_expectation_and_the_whole_their_weighted_mean(
    rubric: str, tmp_path: Path
) -> None:
    doubt = Canned("5", top={"5": 0.4, "4": 0.4, "что": 0.2})
    answer = by_criterion(correctness=doubt, completeness=sure(4), tone=sure(3), safety=sure(5))
    with serving(CannedServer(answer)) as server:
        (found,) = judged([row(1)], server, tmp_path, rubric=rubric)
    assert found is not None
    assert found.scores == pytest.approx(
        {"correctness": 4.5, "completeness": 4.0, "tone": 3.0, "safety": 5.0}
    )
    assert found.overall == pytest.approx(0.5 * 4.5 + 0.25 * 4 + 0.1 * 3 + 0.15 * 5)
    assert (found.judge, found.rubric, found.failures) == ("canned", rubric, {})
    assert (found.prompt_tokens, found.completion_tokens) == (4 * 7, 4 * 1)
    assert server.asked.total() == 4


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (Canned("Ответ хороший, вежливый"), "unparseable: no number from 1 to 5"),
        (Canned("", finish_reason="blacklist"), r"unparseable: .*\(blacklist\)"),
        (Canned("Не могу это обсуждать."), "unparseable: .*Не могу"),
        (Canned(always=500), "error: it answered HTTP 500"),
        (Canned(always=429), "error: it answered HTTP 429"),
        (Canned("5", delay_seconds=5), "timeout: no full answer within 1 s"),
    ],
    ids=["prose", "blacklist", "refusal", "500", "429", "timeout"],
)
def test_a_judge_that_fails_on_a_criterion_leaves_a_failure_there(
    reply: Canned, failure: str, tmp_path: Path
) -> None:
    with serving(CannedServer(by_criterion(tone=reply))) as server:
        first, second = judged(
            [row(1), row(2)], server, tmp_path, retries=2, deadline_seconds=1, method="logprobs"
        )
    for found in (first, second):
        assert found is not None
        assert sorted(found.scores) == ["completeness", "correctness", "safety"]
        assert found.overall is None
        ((criterion, told),) = found.failures.items()
        assert criterion == "tone"
        assert re.match(failure, told)


def test_a_judge_that_is_busy_for_a_while_is_asked_again(tmp_path: Path) -> None:
    busy = Canned("4", failures=(429, 500, 429), top={"4": 1.0})
    with serving(CannedServer(by_criterion(safety=busy))) as server:
        (found,) = judged([row(1)], server, tmp_path)
    assert found is not None
    assert (found.scores["safety"], found.failures) == (4.0, {})
    assert server.asked.total() == 3 + 4


def test_an_endpoint_that_dies_is_asked_for_the_rest_only_when_it_is_back(tmp_path: Path) -> None:
    rows = [row(number) for number in range(1, 4)]

    def dying(prompt: str) -> Canned:
        if server.asked.total() < 5:
            return sure(4)
        server.die()
        return Canned("4", delay_seconds=5)

    told = pytest.raises(EndpointError, match="run the same command again")
    with serving(CannedServer(dying)) as server, told:
        judged(rows, server, tmp_path, concurrency=1, retries=0)
    answered = [prompt for prompt, _ in list(server.asked.items())[:5]]
    assert not (tmp_path / "judged.jsonl").exists()
    with serving(CannedServer(lambda _: sure(4))) as back:
        found = judged(rows, back, tmp_path, concurrency=1, retries=0)
    assert [each.overall for each in found if each] == pytest.approx([4.0] * 3)
    assert back.asked.total() == 12 - 5
    assert not set(answered) & set(back.asked)


def test_an_endpoint_that_is_away_is_one_sentence_and_no_file(tmp_path: Path) -> None:
    with serving(CannedServer(lambda _: sure(4))) as server:
        pass
    with pytest.raises(EndpointError, match="cannot be used"):
        judged([row(1)], server, tmp_path)
    assert not (tmp_path / "judged.jsonl").exists()


def test_a_rerun_asks_nothing_wherever_its_output_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINIST_HOME", str(tmp_path / "home"))
    rows = [row(1), row(2)]
    (tmp_path / "again").mkdir()
    with serving(CannedServer(lambda _: sure(3))) as server:
        first = judged(rows, server, tmp_path)
        assert server.asked.total() == 8
        assert judged(rows, server, tmp_path / "again") == first
        assert server.asked.total() == 8
        judged(rows, server, tmp_path, weights="other weights of that name")
        assert server.asked.total() == 16


def test_an_endpoint_without_logprobs_is_sampled(tmp_path: Path) -> None:
    replies = Canned("4", refuses_logprobs=True)
    settings = {"samples": 3, "concurrency": 1}
    with serving(CannedServer(lambda _: replies)) as server:
        (found,) = judged([row(1)], server, tmp_path, **settings)
    assert found is not None
    assert set(found.scores.values()) == {4.0}
    assert server.asked.total() == 1 + 4 * 3, "log-probabilities are asked for once"


@pytest.mark.parametrize(
    "lost",
    [
        row(1, ""),
        row(1, " \n"),
        row(1, "Не могу обсуждать.", "blacklist"),
        row(1, "Не могу.", "content_filter"),
        row(1, "", "error: HTTP 500"),
        row(1, "Ставка", "timeout: no full answer within 120 s"),
    ],
    ids=["empty", "blank", "blacklist", "content_filter", "error", "timeout"],
)
def test_an_answer_that_no_customer_can_read_is_the_worst_and_is_not_sent(
    lost: Answer, tmp_path: Path
) -> None:
    with serving(CannedServer(lambda _: sure(5))) as server:
        worst, cut = judged([lost, row(2, "Ставка 2,5", "length")], server, tmp_path)
    assert worst is not None
    assert (worst.scores, worst.overall) == (dict.fromkeys(CRITERIA, 1.0), 1.0)
    assert (worst.prompt_tokens, worst.failures) == (0, {})
    assert cut is not None
    assert cut.overall == pytest.approx(5.0)
    assert server.asked.total() == 4, "only the answer that was cut off is sent"


def test_without_a_readable_answer_no_judge_is_needed(tmp_path: Path) -> None:
    with serving(CannedServer(lambda _: sure(5))) as server:
        pass
    (found,) = judged([row(1, "")], server, tmp_path)
    assert found is not None
    assert found.overall == 1.0


def test_no_personal_data_leaves_but_the_facts_do(tmp_path: Path) -> None:
    telling = row(1, "Ставка 1,5%. Ваша почта ivan.petrov@example.com, телефон +7 916 123-45-67.")
    with serving(CannedServer(lambda _: sure(4))) as server:
        judged([telling], server, tmp_path)
    assert server.asked.total() == 4
    for prompt in server.asked:
        assert "1,5%" in prompt
        assert "petrov" not in prompt
        assert "123-45-67" not in prompt


def test_contenders_are_judged_on_the_same_questions(tmp_path: Path) -> None:
    ours = [row(number) for number in range(20)]
    theirs = [each.model_copy(update={"contender": "gigachat"}) for each in reversed(ours)]
    (tmp_path / "theirs").mkdir()
    with serving(CannedServer(lambda _: sure(4))) as server:
        left = judged(ours, server, tmp_path, answers=5)
        right = judged(theirs, server, tmp_path / "theirs", answers=5)
        other = judged(ours, server, tmp_path, answers=5, seed=1)
    assert [bool(each) for each in left] == [bool(each) for each in reversed(right)]
    assert [sum(map(bool, each)) for each in (left, right, other)] == [5, 5, 5]
    assert [bool(each) for each in left] != [bool(each) for each in other]


def test_scores_of_an_earlier_judge_are_replaced(tmp_path: Path) -> None:
    with serving(CannedServer(lambda _: sure(2))) as server:
        (old,) = judged([row(1)], server, tmp_path)
    rows = read_jsonl(tmp_path / "judged.jsonl", Answer)
    write_jsonl(tmp_path / "answers.jsonl", rows)
    with serving(CannedServer(lambda _: sure(5), model="second")) as server:
        endpoint = Endpoint(base_url=server.url, model="second")
        (new,) = judge_file(
            tmp_path / "answers.jsonl", tmp_path / "judged.jsonl", endpoint, JudgeSettings()
        )
    assert old is not None
    assert new.judged is not None
    assert [old.overall, new.judged.overall] == pytest.approx([2.0, 5.0])
    assert (old.judge, new.judged.judge) == ("canned", "second")


def test_a_file_without_answers_is_refused(tmp_path: Path) -> None:
    endpoint = Endpoint(base_url="http://127.0.0.1:9/v1", model="canned")
    (tmp_path / "answers.jsonl").write_text("", "utf-8")
    with pytest.raises(BadInputError, match="no answer to judge"):
        judge_file(tmp_path / "answers.jsonl", tmp_path / "judged.jsonl", endpoint, JudgeSettings())
