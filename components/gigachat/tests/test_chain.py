"""The official openai client -> adapter -> emulator -> a fake OpenAI server, all over HTTP."""

import base64
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import openai
import pytest
from fastapi import FastAPI
from openai.types.chat import ChatCompletionMessageParam

from components.core.errors import BadInputError, MissingSecretError
from components.gigachat import adapter, emulator
from components.gigachat.settings import AdapterSettings, EmulatorSettings, adapter_settings
from components.gigachat.tests.fake_openai import FakeOpenAI, serving
from components.gigachat.wire import EMULATOR_MODEL

KEY = base64.b64encode(b"client:secret").decode()
QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Какая ставка?"}]


@dataclass
class Chain:
    """The running chain, and what a test may turn."""

    upstream: FakeOpenAI
    emulator_url: str
    adapter_url: str
    client: openai.OpenAI
    seconds_ahead: list[float]


def adapter_of(emulator_url: str, key: str = KEY) -> FastAPI:
    return adapter.create_app(
        AdapterSettings(
            credentials=key,
            base_url=f"{emulator_url}/api/v1",
            auth_url=f"{emulator_url}/api/v2/oauth",
            timeout=20,
        )
    )


@pytest.fixture(scope="module")
def running() -> Iterator[Chain]:
    ahead = [0.0]
    fake = FakeOpenAI()
    with ExitStack() as stack:
        upstream_url = stack.enter_context(serving(fake.app()))
        settings = EmulatorSettings(
            upstream_url=f"{upstream_url}/v1", upstream_model="fake", credentials=KEY
        )
        service = emulator.create_app(settings, lambda: time.time() + ahead[0])
        emulator_url = stack.enter_context(serving(service))
        adapter_url = stack.enter_context(serving(adapter_of(emulator_url)))
        client = openai.OpenAI(base_url=f"{adapter_url}/v1", api_key="any", max_retries=0)
        yield Chain(fake, emulator_url, adapter_url, stack.enter_context(client), ahead)


@pytest.fixture
def chain(running: Chain) -> Chain:
    running.upstream.__dict__.update(FakeOpenAI().__dict__)
    return running


def test_whole_answer_with_usage(chain: Chain) -> None:
    answer = chain.client.chat.completions.create(
        model="GigaChat", messages=QUESTION, temperature=0, max_tokens=50
    )
    assert answer.choices[0].message.content == "Ставка 16%."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (7, 3)
    assert answer.model == EMULATOR_MODEL


def test_what_reaches_the_model(chain: Chain) -> None:
    chain.client.chat.completions.create(
        model="GigaChat", messages=QUESTION, temperature=0, max_tokens=50, seed=1
    )
    asked = chain.upstream.asked[-1]
    assert asked["messages"][0] == {"role": "system", "content": emulator.baseline_prompt()}
    assert asked["messages"][1]["content"] == "Какая ставка?"
    assert (asked["temperature"], asked["max_tokens"]) == (0.0, 50)


def test_stream_with_usage_and_finish(chain: Chain) -> None:
    stream = chain.client.chat.completions.create(
        model="GigaChat", messages=QUESTION, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    words = [c.choices[0].delta.content for c in chunks if c.choices]
    assert "".join(word or "" for word in words) == "Ставка 16%."
    assert len([word for word in words if word]) == 3, "token by token, not in one piece"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 10


@pytest.mark.parametrize("stream", [False, True])
def test_blacklist_passes_through(chain: Chain, stream: bool) -> None:
    chain.upstream.finish_reason = "content_filter"
    answer = chain.client.chat.completions.create(
        model="GigaChat", messages=QUESTION, stream=stream
    )
    reasons = [answer] if isinstance(answer, openai.types.chat.ChatCompletion) else list(answer)
    assert str(reasons[-1].choices[0].finish_reason) == "blacklist"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
        (400, openai.BadRequestError),
    ],
)
def test_failures_keep_their_status(
    chain: Chain, status: int, error: type[openai.APIStatusError], stream: bool
) -> None:
    chain.upstream.status = status
    with pytest.raises(error) as raised:
        chain.client.chat.completions.create(model="GigaChat", messages=QUESTION, stream=stream)
    assert raised.value.status_code == status
    assert raised.value.response.headers["retry-after"] == "7"
    assert "try later" in str(raised.value)


def test_cut_stream_ends_with_an_error_event(chain: Chain) -> None:
    chain.upstream.cut = True
    stream = chain.client.chat.completions.create(model="GigaChat", messages=QUESTION, stream=True)
    words: list[str] = []
    with pytest.raises(openai.APIError) as raised:
        words.extend(part.choices[0].delta.content or "" for part in stream)
    assert words == ["Ставка"]
    assert raised.value.code == "stream_cut"


@pytest.mark.parametrize("stream", [False, True])
def test_bad_credentials_are_401(chain: Chain, stream: bool) -> None:
    wrong = base64.b64encode(b"client:wrong").decode()
    with (
        serving(adapter_of(chain.emulator_url, wrong)) as url,
        openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.chat.completions.create(model="GigaChat", messages=QUESTION, stream=stream)


def test_gigachat_away_is_502(chain: Chain) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with (
        serving(adapter_of(nobody)) as url,
        openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client,
        pytest.raises(openai.InternalServerError) as raised,
    ):
        client.chat.completions.create(model="GigaChat", messages=QUESTION, stream=True)
    assert raised.value.status_code == 502


def test_expired_token_is_renewed_by_the_library(chain: Chain) -> None:
    chain.client.models.list()
    chain.seconds_ahead[0] += 1801
    assert [model.id for model in chain.client.models.list()] == [EMULATOR_MODEL]


def test_unknown_model_and_parameter_are_refused(chain: Chain) -> None:
    with pytest.raises(openai.NotFoundError):
        chain.client.chat.completions.create(model="gpt-4o", messages=QUESTION)
    with pytest.raises(openai.BadRequestError, match="logprobs"):
        chain.client.chat.completions.create(model="GigaChat", messages=QUESTION, logprobs=True)


def test_emulator_oauth_rules_and_its_name(chain: Chain) -> None:
    url = f"{chain.emulator_url}/api/v2/oauth"
    form = {"scope": "GIGACHAT_API_PERS"}
    basic = {"Authorization": f"Basic {KEY}"}
    named = basic | {"RqUID": str(uuid.uuid4())}
    assert httpx.post(url, data=form, headers=basic).status_code == 400
    assert httpx.post(url, data={"scope": "OTHER"}, headers=named).status_code == 400
    assert httpx.post(url, data=form, headers=named | {"Authorization": "Basic x"}).is_client_error
    reply = httpx.post(url, data=form, headers=named)
    left = reply.json()["expires_at"] / 1000 - (time.time() + chain.seconds_ahead[0])
    assert 1790 < left <= 1800
    assert reply.headers["X-Finist-Emulator"] == "GigaChat"
    assert httpx.get(f"{chain.emulator_url}/healthz").json()["emulator"] is True
    assert httpx.get(f"{chain.emulator_url}/api/v1/models").status_code == 401


def test_missing_secret_and_bad_settings_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GIGACHAT_CREDENTIALS", raising=False)
    with pytest.raises(MissingSecretError, match="GIGACHAT_CREDENTIALS"):
        adapter.create_app(adapter_settings())
    monkeypatch.setenv("GIGACHAT_CA_BUNDLE_FILE", "/nowhere/ca.pem")
    with pytest.raises(BadInputError, match="GIGACHAT_CA_BUNDLE_FILE"):
        adapter_settings()
