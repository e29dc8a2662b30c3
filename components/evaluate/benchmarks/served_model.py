"""lm-evaluation-harness's clients of a served model, with one progress bar and errors in words."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import aiohttp
from lm_eval.models.openai_completions import LocalChatCompletion, LocalCompletionsAPI  # type: ignore[import-untyped]
from requests import HTTPError, RequestException  # type: ignore[import-untyped]
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential
from tqdm import tqdm

from components.core.errors import BadInputError, EndpointError
from components.core.llm import Endpoint, down
from components.evaluate.benchmarks.job import Job
from components.evaluate.benchmarks.settings import Benchmark

AWAY = (aiohttp.ClientError, RequestException, TimeoutError)
REFUSED = (400, 401, 403, 404, 405, 422, 501)
"""HTTP statuses that will be the same a moment later."""


def served_language_model(job: Job, benchmark: Benchmark, output_type: str, progress: str) -> Any:
    """Makes the client for one task.

    What a model writes is asked over `/chat/completions`, as customers ask, so the server applies
    its own chat template. Options are weighed over `/completions` with `echo` and `logprobs`, which
    chat has not: there the template comes from the tokenizer's folder, the same file.

    Args:
        job: Endpoint, tokenizer, concurrency, retries.
        benchmark: Says whether there is a chat template.
        output_type: The task's, in the harness's words.
        progress: Label of the progress bar.

    Returns:
        A language model of the harness.

    Raises:
        BadInputError: The tokenizer has no chat template.
    """
    arguments: dict[str, Any] = {
        "model": job.endpoint.model,
        "num_concurrent": job.concurrency,
        "max_retries": job.retries + 1,
        "timeout": job.timeout_seconds,
        "max_length": job.max_length,
        "header": _header(job.endpoint),
    }
    base = job.endpoint.base_url.rstrip("/")
    if output_type == "generate_until" and benchmark.chat_template:
        return Chat(job.endpoint, progress, base_url=f"{base}/chat/completions", **arguments)
    model = Completions(
        job.endpoint,
        progress,
        base_url=f"{base}/completions",
        tokenizer=str(job.tokenizer),
        tokenizer_backend="huggingface",
        add_bos_token=not benchmark.chat_template,  # a chat template brings its own
        **arguments,
    )
    if benchmark.chat_template and not model.tokenizer.chat_template:
        raise BadInputError(
            f"The tokenizer in {job.tokenizer} has no chat template, so questions cannot be put as "
            "customers put them; add `chat_template.jinja`, or set `chat_template: false`."
        )
    return model


def _header(endpoint: Endpoint) -> dict[str, str]:
    key = os.environ.get(endpoint.api_key_env, "") if endpoint.api_key_env else ""
    return {"Authorization": f"Bearer {key}"} if key else {"Accept": "application/json"}


class Completions(LocalCompletionsAPI):  # type: ignore[misc]
    """`/completions`: weighs given texts, and writes without a chat template."""

    def __init__(self, endpoint: Endpoint, progress: str, **arguments: Any) -> None:
        """Takes what the harness's class takes, the endpoint for errors, and the bar's label."""
        super().__init__(**arguments)
        self._endpoint = endpoint
        self._progress = progress
        self._bar: Any = None

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> Any:
        """Weighs texts, after one request has shown that the endpoint can."""
        with self._worded():
            self._probe()
            with self._progress_of(requests):
                return super().loglikelihood(requests, disable_tqdm=True)

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> Any:
        """Lets the model write."""
        with self._worded(), self._progress_of(requests):
            return super().generate_until(requests, disable_tqdm=True)

    def parse_logprobs(
        self, outputs: Any, tokens: Any = None, ctxlens: Any = None, **options: Any
    ) -> list[tuple[float, bool]]:
        """Reads an answer, which must have the prompt's log-probabilities."""
        answers = outputs if isinstance(outputs, list) else [outputs]
        for choice in (choice for answer in answers for choice in answer.get("choices", [{}])):
            given = (choice.get("logprobs") or {}).get("token_logprobs") or ()
            if len(given) < min(map(len, tokens)):
                raise self._cannot_weigh("answered without the prompt's log-probabilities")
        weighed: list[tuple[float, bool]] = super().parse_logprobs(answers, tokens, ctxlens)
        self._count(len(weighed))
        return weighed

    def parse_generations(self, outputs: Any, **options: Any) -> list[str]:
        """Reads what the model wrote."""
        written: list[str] = super().parse_generations(outputs, **options)
        self._count(len(written))
        return written

    def _probe(self) -> None:
        """Weighs one text, so that an endpoint that cannot is not asked a hundred times."""
        tokens = self.tok_encode("1 + 1 = 2")
        ask = Retrying(
            stop=stop_after_attempt(self.max_retries),
            wait=wait_exponential(multiplier=0.5, min=1, max=10),
            retry=retry_if_exception(_may_pass),
            reraise=True,
        )
        try:
            answer = ask(self.model_call, [tokens], generate=False)
        except HTTPError as error:
            if error.response.status_code in REFUSED:
                raise self._cannot_weigh(f"refused (HTTP {error.response.status_code})") from error
            raise
        self.parse_logprobs(answer, [tokens], [1])

    def _cannot_weigh(self, what: str) -> EndpointError:
        return EndpointError(
            f"The endpoint {self._endpoint.base_url} (model {self._endpoint.model!r}) {what} when "
            "asked to weigh a text, which multiple choice needs (`/completions` with `echo` and "
            "`logprobs`, as vLLM has it); run only benchmarks whose answers are written, such as "
            "bank_facts."
        )

    def _count(self, answers: int) -> None:
        if self._bar is not None:
            self._bar.update(answers)

    @contextmanager
    def _progress_of(self, requests: Sequence[Any]) -> Iterator[None]:
        with tqdm(total=len(requests), desc=self._progress, mininterval=1, disable=False) as bar:
            self._bar = bar
            yield
        self._bar = None

    @contextmanager
    def _worded(self) -> Iterator[None]:
        """An endpoint that is away becomes a sentence."""
        try:
            yield
        except AWAY as error:
            raise down(self._endpoint, error) from error


def _may_pass(error: BaseException) -> bool:
    """Whether the same request may fare better a moment later."""
    if isinstance(error, HTTPError):
        return error.response.status_code not in REFUSED
    return isinstance(error, RequestException)


class Chat(Completions, LocalChatCompletion):  # type: ignore[misc]
    """`/chat/completions`: writes as it writes for customers."""
