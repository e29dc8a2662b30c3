"""The client against a real server: streaming, retries, failures, limits."""

import socket
import time
from collections.abc import Iterator

import pytest
from fastapi import Response

from components.core.errors import EndpointError, MissingSecretError
from components.core.llm import Asking, Completion, Endpoint, complete_all, served_model
from components.core.schemas import Turn
from components.core.tests.canned_server import Canned, CannedServer, serving

ANSWERS = {
    "ставка": Canned("Ставка по вкладу 16,5% годовых."),
    "429": Canned("После ожидания.", failures=(429, 503)),
    "сначала 500": Canned("После починки.", failures=(500, 502, 500)),
    "500": Canned(always=500),
    "400": Canned(always=400),
    "404": Canned(always=404),
    "401": Canned(always=401),
    "медленно": Canned("Поздно.", delay_seconds=5),
    "пусто": Canned(""),
    "запрет": Canned("Не могу.", finish_reason="blacklist"),
    "половина": Canned("Сердце \ud83d и \ud83d\ude00"),
    "обрыв": Canned("Начало ответа", cut=True),
    "сразу обрыв": Canned("", cut=True),
    "без конца": Canned("Начало ответа", finish_reason=""),
    "подождите": Canned("После ожидания.", failures=(429,), retry_after="0.9"),
    "не скоро": Canned("Никогда.", failures=(429,), retry_after="3600"),
    "не JSON": Canned("Начало", raw='data: {"choices": [{"delta"\n\n'),
    "не объект": Canned("Начало", raw='data: "привет"\n\n'),
    "не текст": Canned("Начало", raw='data: {"choices": [{"delta": {"content": 5}}]}\n\n'),
    "пустой кусок": Canned("Всё на месте.", raw='data: {"choices": null, "usage": null}\n\n'),
    "событие ошибки": Canned("Начало", raw='data: {"error": {"message": "модель упала"}}\n\n'),
    "очень много": Canned("слово " * 20_000),
}


@pytest.fixture
def server() -> Iterator[CannedServer]:
    canned = CannedServer(lambda question: ANSWERS.get(question, Canned("да", delay_seconds=0.05)))
    with serving(canned) as running:
        yield running


def asking(**changes: object) -> Asking:
    return Asking.model_validate({"deadline_seconds": 2, "retries": 3} | changes)


async def ask(server: CannedServer, *questions: str, **changes: object) -> list[Completion]:
    endpoint = Endpoint(base_url=server.url, model="canned")
    conversations = [(Turn(role="user", content=question),) for question in questions]
    return await complete_all(endpoint, conversations, asking(**changes))


async def test_it_streams_the_text_with_usage_and_times(server: CannedServer) -> None:
    (got,) = await ask(server, "ставка")
    assert got.text.strip() == "Ставка по вкладу 16,5% годовых."
    assert (got.finish_reason, got.prompt_tokens, got.completion_tokens) == ("stop", 7, 5)
    assert got.first_token_seconds is not None
    assert 0 < got.first_token_seconds <= got.latency_seconds
    assert (got.retries, got.error) == (0, "")


async def test_a_reply_schema_goes_with_the_request_and_nothing_goes_without_one(
    server: CannedServer,
) -> None:
    schema = {"type": "object", "properties": {"answer": {"type": "string"}}}
    await ask(server, "ставка", reply_schema=schema)
    await ask(server, "ставка")
    bound, free = server.formats
    assert bound["type"] == "json_schema"
    assert bound["json_schema"] == {"name": "reply", "strict": True, "schema": schema}
    assert free is None


async def test_half_a_character_becomes_the_replacement_character(server: CannedServer) -> None:
    (got,) = await ask(server, "половина")
    assert got.text.strip() == "Сердце \ufffd и 😀"


async def test_a_put_off_request_is_tried_again(server: CannedServer) -> None:
    limited, mended = await ask(server, "429", "сначала 500")
    assert (limited.text.strip(), limited.retries) == ("После ожидания.", 2)
    assert (mended.text.strip(), mended.retries) == ("После починки.", 3)
    assert (server.asked["429"], server.asked["сначала 500"]) == (3, 4)


async def test_failures_are_results_with_their_cause(server: CannedServer) -> None:
    names = ["500", "400", "медленно", "пусто", "запрет", "обрыв", "ставка"]
    got = dict(zip(names, await ask(server, *names, retries=1), strict=True))
    reasons = {name: completion.finish_reason for name, completion in got.items()}
    assert reasons == {
        "500": "error", "400": "error", "медленно": "timeout", "пусто": "stop",
        "запрет": "blacklist", "обрыв": "error", "ставка": "stop",
    }  # fmt: skip
    assert "HTTP 500" in got["500"].error
    assert (got["500"].retries, got["400"].retries) == (1, 0)
    assert "2 s" in got["медленно"].error
    assert (got["пусто"].text, got["пусто"].first_token_seconds) == ("", None)
    assert got["обрыв"].text.startswith("Начало")


async def test_the_wait_that_the_server_asks_for_is_kept(server: CannedServer) -> None:
    (got,) = await ask(server, "подождите", retries=1)
    first, second = server.arrivals["подождите"]
    assert second - first >= 0.9, "the client's own first wait is at most half a second"
    assert (got.text.strip(), got.retries) == ("После ожидания.", 1)
    assert got.latency_seconds >= 0.9
    (never,) = await ask(server, "не скоро")
    assert (never.finish_reason, never.status, server.asked["не скоро"]) == ("error", 429, 1)


@pytest.mark.parametrize(
    ("question", "cause"),
    [
        ("сразу обрыв", "peer closed connection"),
        ("без конца", "without a finish_reason"),
        ("не JSON", "JSONDecodeError"),
        ("не объект", "valid dictionary"),
        ("не текст", "no text"),
        ("событие ошибки", "модель упала"),
    ],
)
async def test_a_broken_stream_is_an_error_with_its_cause(
    server: CannedServer, question: str, cause: str
) -> None:
    broken, fine = await ask(server, question, "ставка")
    assert broken.finish_reason == "error"
    assert cause in broken.error
    assert fine.finish_reason == "stop"


async def test_what_a_stream_may_hold_without_harm(server: CannedServer) -> None:
    empty, huge = await ask(server, "пустой кусок", "очень много", deadline_seconds=60)
    assert (empty.text.strip(), empty.finish_reason) == ("Всё на месте.", "stop")
    assert (len(huge.text.split()), huge.completion_tokens) == (20_000, 20_000)


@pytest.mark.parametrize("question", ["404", "401"])
async def test_a_refused_key_or_model_stops_all(server: CannedServer, question: str) -> None:
    with pytest.raises(EndpointError, match=f"HTTP {question}"):
        await ask(server, question, "ставка")


async def test_no_more_requests_in_flight_than_allowed(server: CannedServer) -> None:
    arrived: list[int] = []
    endpoint = Endpoint(base_url=server.url, model="canned")
    conversations = [(Turn(role="user", content=f"вопрос {n}"),) for n in range(20)]
    got = await complete_all(
        endpoint, conversations, asking(concurrency=3), lambda index, _: arrived.append(index)
    )
    assert server.most_in_flight == 3
    assert sorted(arrived) == list(range(20))
    assert all(completion.text for completion in got)


async def test_what_came_before_the_end_is_saved_and_a_full_disk_stops_all(
    server: CannedServer,
) -> None:
    endpoint = Endpoint(base_url=server.url, model="canned")
    saved: list[int] = []

    def slowly(index: int, _: Completion) -> None:
        time.sleep(0.1)
        saved.append(index)

    questions = ["ставка", "пусто", "запрет", "нет", "401"]
    conversations = [(Turn(role="user", content=question),) for question in questions]
    with pytest.raises(EndpointError):
        await complete_all(endpoint, conversations, asking(concurrency=4), slowly)
    assert {0, 1, 2} <= set(saved), "they were waiting to be saved when the endpoint refused"

    def full(index: int, _: Completion) -> None:
        raise OSError(28, "No space left on device")

    before = server.asked.total()
    more = [(Turn(role="user", content=f"вопрос {n}"),) for n in range(20)]
    with pytest.raises(OSError, match="No space"):
        await complete_all(endpoint, more, asking(concurrency=2), full)
    assert server.asked.total() < before + 20


async def test_a_dead_endpoint_is_one_sentence_with_its_address() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = Endpoint(base_url=f"http://127.0.0.1:{unused.getsockname()[1]}/v1", model="m")
        with pytest.raises(EndpointError, match=r"127\.0\.0\.1.*Check that its server"):
            await complete_all(dead, [(Turn(role="user", content="?"),)], asking(retries=0))
        with pytest.raises(EndpointError, match="cannot be used"):
            await served_model(dead)


async def test_the_served_model_is_checked_by_name(server: CannedServer) -> None:
    assert await served_model(Endpoint(base_url=server.url, model="canned")) == "/models/canned"
    with pytest.raises(EndpointError, match="it serves: canned"):
        await served_model(Endpoint(base_url=server.url, model="other"))


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_a_list_of_models_is_optional(server: CannedServer, status: int) -> None:
    server.models_reply = Response(status_code=status)
    assert await served_model(Endpoint(base_url=server.url, model="any")) == "any"


@pytest.mark.parametrize("content", ["<html>hello</html>", '{"data": 5}', "[]", '{"data": null}'])
async def test_nonsense_in_place_of_the_list_is_one_sentence(
    server: CannedServer, content: str
) -> None:
    server.models_reply = Response(content, media_type="application/json")
    with pytest.raises(EndpointError, match=r"127\.0\.0\.1"):
        await served_model(Endpoint(base_url=server.url, model="canned"))


async def test_an_empty_key_variable_is_refused(
    server: CannedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FINIST_TEST_KEY", raising=False)
    keyed = Endpoint(base_url=server.url, model="canned", api_key_env="FINIST_TEST_KEY")
    with pytest.raises(MissingSecretError, match="FINIST_TEST_KEY"):
        await complete_all(keyed, [], asking())
