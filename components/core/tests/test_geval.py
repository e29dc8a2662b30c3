"""G-Eval against a real server: expectation over log-probabilities, samples, unreadable replies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import BadInputError
from components.core.geval import Case, Judgement, Judging, judge_all, score_place
from components.core.llm import Endpoint
from components.core.tests.canned_server import Canned, CannedServer, serving

CASE = Case(question="Какая ставка?", answer="Ставка 16,5%.", reference="ставка: 16,5%")


async def judged(canned: Canned, **judging: object) -> tuple[Judgement, CannedServer]:
    with serving(CannedServer(lambda _: canned)) as server:
        endpoint = Endpoint(base_url=server.url, model="canned")
        (found,) = await judge_all(endpoint, [CASE], Judging.model_validate(judging))
    return found, server


async def test_the_score_is_the_expectation_over_the_scores_tokens() -> None:
    top = {"4": 0.5, "5": 0.2, " 5": 0.1, "3": 0.1, "хорошо": 0.05, "9": 0.05}
    found, server = await judged(Canned("4", top=top))
    assert found.score == pytest.approx((0.5 * 4 + 0.3 * 5 + 0.1 * 3) / 0.9)
    assert found.distribution == pytest.approx((0, 0, 1 / 9, 5 / 9, 1 / 3))
    assert (found.method, found.failure, server.asked.total()) == ("logprobs", "", 1)
    assert (found.prompt_tokens, found.completion_tokens) == (7, 1)


async def test_the_prompt_holds_the_case_and_the_pinned_steps() -> None:
    _, server = await judged(Canned("4", top={"4": 1.0}))
    (prompt,) = server.asked
    for part in (CASE.question, CASE.answer, CASE.reference, "Шаги оценки", "от 1 до 5"):
        assert part in prompt


async def test_a_bound_reply_is_a_score_by_its_token_too() -> None:
    top = {"4": 0.75, "2": 0.25}
    found, server = await judged(Canned('{"score": 4 }', top=top), structured_output=True)
    (asked,) = server.formats
    assert asked["json_schema"]["schema"]["properties"]["score"]["enum"] == [1, 2, 3, 4, 5]
    assert found.score == pytest.approx(0.75 * 4 + 0.25 * 2)


@pytest.mark.parametrize("refuses", [True, False], ids=["answers 400", "leaves them out"])
async def test_without_logprobs_the_score_is_the_mean_of_samples(refuses: bool) -> None:
    replies = iter(["5", *["4", "2", "3", "мусор"] * 2])

    def answer(_: str) -> Canned:
        return Canned(next(replies), refuses_logprobs=refuses)

    with serving(CannedServer(answer)) as server:
        endpoint = Endpoint(base_url=server.url, model="canned")
        judging = Judging(samples=4, concurrency=1)
        found = await judge_all(endpoint, [CASE, CASE], judging)
    assert [each.score for each in found] == [3.0, 3.0]
    assert {each.method for each in found} == {"samples"}
    assert found[0].distribution == pytest.approx((0, 1 / 3, 1 / 3, 1 / 3, 0))
    assert server.asked.total() == 1 + 4 + 4, "the endpoint is asked for log-probabilities once"


async def test_one_refusal_does_not_turn_a_run_to_samples() -> None:
    odd = CASE.model_copy(update={"question": "Вопрос, который фильтр не пропускает"})

    def answer(prompt: str) -> Canned:
        return Canned(always=400) if odd.question in prompt else Canned("4", top={"4": 1.0})

    for cases in ([odd, CASE, CASE], [CASE, odd, CASE]):
        with serving(CannedServer(answer)) as server:
            endpoint = Endpoint(base_url=server.url, model="canned")
            found = await judge_all(endpoint, cases, Judging(samples=2, concurrency=1))
        assert {c.question: j.failure for c, j in zip(cases, found, strict=True)} == {
            odd.question: "error", CASE.question: "",
        }  # fmt: skip
        assert [j.method for c, j in zip(cases, found, strict=True) if c == CASE] == [
            "logprobs"
        ] * 2


async def test_a_reply_without_a_score_is_a_judgement_without_one() -> None:
    found, _ = await judged(Canned("Ответ хороший", top={"Ответ": 1.0}))
    assert (found.score, found.failure) == (None, "unparseable")
    assert "Ответ хороший" in found.error
    failed, _ = await judged(Canned(always=500), retries=0)
    assert (failed.score, failed.failure) == (None, "error")
    late, _ = await judged(Canned("5", delay_seconds=5), deadline_seconds=0.2)
    assert (late.score, late.failure) == (None, "timeout")


async def test_an_unknown_prompt_is_named() -> None:
    with pytest.raises(BadInputError, match=r"'absent'.*geval_answer_quality\.v1"):
        await judged(Canned("4"), prompt="absent")


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("4", "4"), ("**5**", "5"), (" 3/5", "3"), ("- Качество: 2", "2"), ('{"score": 4}', "4"),
        ("Оценка: 4 из 5", "4"), ("4.", "4"), ("10", None), ("4.5", None), ("1-5", None),
        ("от 1 до 5 поставлю", None), ("", None), ("45", None), ("Оценка — 1", "1"),
        ("Качество оценки:\n1", "1"), ("Оценка от 1 до 5: 4", None), ("2-й шаг", None),
        ("Оценка за 2-й шаг: 4", None), ("Качество ответа: 3/5", "3"), ("4,5", None),
        ("Оценка (полнота): 3", "3"), ("Оценка ответа: ставка 5% неверна", None),
    ],
)  # fmt: skip
def test_where_the_score_stands(reply: str, score: str | None) -> None:
    place = score_place(reply)
    assert (None if place is None else reply[place]) == score


@given(st.text(max_size=60), st.sampled_from(["", "4", "Качество: 5", "3/5", "10"]))
def test_whatever_the_reply_a_place_holds_a_score(reply: str, end: str) -> None:
    place = score_place(reply + end)
    assert place is None or (reply + end)[place] in "12345"
