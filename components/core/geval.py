"""G-Eval: a language model fills in a form with a score from 1 to 5, and its doubt counts too.

After Liu et al., G-Eval: NLG Evaluation using GPT-4 with Better Human Alignment (EMNLP 2023,
arXiv:2303.16634). The score is the expectation of section 2.3, `sum of p(s) * s` over the scores
s = 1..5, which tells apart answers that a single digit would tie. The probabilities come from the
log-probabilities of the tokens 1..5 at the place where the score stands, made to sum to 1. An
endpoint that gives none is asked several times at temperature 1 instead, as the paper does with
GPT-4. The evaluation steps are pinned in the prompt's file, so that scores of two runs compare.
"""

import math
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import Field, JsonValue
from tqdm import tqdm

from components.core.llm import (
    Asking,
    Completion,
    Endpoint,
    Frozen,
    Messages,
    Token,
    client,
    complete,
    for_each,
)
from components.core.prompts import render_prompt
from components.core.schemas import Turn

TEMPLATES = Path(__file__).parent / "templates"
SCORES = (1, 2, 3, 4, 5)
SCORE_SCHEMA: dict[str, JsonValue] = {
    "type": "object",
    "properties": {"score": {"type": "integer", "enum": list(SCORES)}},
    "required": ["score"],
    "additionalProperties": False,
}
"""What a bound reply looks like: `{"score": 4}`."""
REFUSED = (400, 422)
"""HTTP statuses of an endpoint that does not know `logprobs`."""

# The score after its label in a form or in JSON, or else a reply that begins with it. Digits of
# a longer number, a decimal, a percentage, a range (`1-5`, `от 1 до 5`) or an ordinal (`2-й`) are
# no score.
_NUMBER = r"(?P<score>[1-5])(?![.,]?\d|\s*%|\s*[-–—]\s*\d|\s*до\b|-?[а-яa-z])"
_LABELLED = re.compile(
    rf"(?:качеств|оценк|балл|score|rating)[^\d]{{0,40}}?{_NUMBER}", re.IGNORECASE
)
_LEADING = re.compile(rf"^\W*{_NUMBER}", re.IGNORECASE)

Ask: TypeAlias = Callable[[Messages, Asking, int], Awaitable[Completion]]
"""Asks the judge once: the conversation, how, and which sample of it this is, from 0."""


class Case(Frozen):
    """What is judged."""

    question: str
    answer: str
    reference: str = ""
    """What is known to be true: facts or a reference answer; empty when nothing is."""
    facts: tuple[str, ...] = ()
    """Values that the answer must name; a prompt may leave them out."""


class Judging(Frozen):
    """How to judge."""

    prompt: str = "geval_answer_quality.v1"
    """A file of `core/templates/` without its suffix: criteria, pinned steps, form."""
    method: Literal["auto", "logprobs", "samples"] = "auto"
    """`auto` takes log-probabilities where the endpoint gives them and samples where not."""
    samples: int = Field(default=10, ge=1)
    """Replies at temperature 1 for an endpoint without log-probabilities; the paper takes 20."""
    max_tokens: int = Field(default=16, ge=1)
    """The form wants one number; a model that reasons aloud needs more."""
    retries: int = Field(default=4, ge=0)
    deadline_seconds: float = Field(default=120.0, gt=0)
    concurrency: int = Field(default=8, ge=1)
    """Cases in work at once, for `judge_all`."""
    structured_output: bool = False
    """Whether the server binds the reply to JSON with a score from 1 to 5: for a model that does
    not keep to the form. The score's own token still says how sure it is."""

    def asking(self, sampled: bool) -> Asking:
        """Gives the request's settings for either method."""
        return Asking(
            max_tokens=self.max_tokens,
            temperature=1.0 if sampled else 0.0,
            top_logprobs=0 if sampled else 20,
            retries=self.retries,
            deadline_seconds=self.deadline_seconds,
            reply_schema=SCORE_SCHEMA if self.structured_output else None,
        )


class Judgement(Frozen):
    """A score, or why there is none."""

    score: float | None
    """In [1, 5]; None when no reply could be read."""
    method: Literal["logprobs", "samples"]
    distribution: tuple[float, ...] = ()
    """Weights of 1..5, which sum to 1; empty without a score."""
    failure: Literal["", "unparseable", "error", "timeout"] = ""
    """Why there is no score: the reply holds none, or no reply came."""
    error: str = ""
    """The endpoint's own words for `error` and `timeout`, or the reply that cannot be read."""
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Judge:
    """Judges cases over one endpoint, and remembers whether it gives log-probabilities."""

    def __init__(self, judging: Judging, ask: Ask) -> None:
        """Takes the settings and the way to ask, which may keep a journal or count money."""
        self._judging = judging
        self._ask = ask
        self._sampled = judging.method == "samples"
        self._proven = judging.method == "logprobs"

    async def judge(self, case: Case) -> Judgement:
        """Judges one case.

        Args:
            case: Question, answer and what is known.

        Returns:
            The judgement; a failed request is one without a score.

        Raises:
            BadInputError: There is no such prompt.
            EndpointError: The endpoint is away or refuses the key or the model.
        """
        return await self.judge_prompt(render_prompt(TEMPLATES, self._judging.prompt, case=case))

    async def judge_prompt(self, prompt: str) -> Judgement:
        """Judges by a prompt that was rendered already, such as one criterion of a rubric.

        Args:
            prompt: Asks for one number from 1 to 5.

        Returns:
            The judgement; a failed request is one without a score.

        Raises:
            EndpointError: The endpoint is away or refuses the key or the model.
        """
        messages = (Turn(role="user", content=prompt),)
        if not self._sampled:
            reply = await self._ask(messages, self._judging.asking(sampled=False), 0)
            self._proven = self._proven or bool(reply.tokens)
            if self._proven or not _gives_none(reply):
                return _judgement([reply], "logprobs")
        asking = self._judging.asking(sampled=True)
        replies = [await self._ask(messages, asking, n) for n in range(self._judging.samples)]
        judgement = _judgement(replies, "samples")
        # A refusal that samples share was not about log-probabilities: the next case tries again.
        self._sampled = self._sampled or judgement.score is not None
        return judgement


def _gives_none(reply: Completion) -> bool:
    """Whether the endpoint refused log-probabilities or left them out."""
    if reply.finish_reason in ("error", "timeout"):
        return reply.status in REFUSED
    return bool(reply.text.strip()) and not reply.tokens


async def judge_all(
    endpoint: Endpoint,
    cases: Sequence[Case],
    judging: Judging,
    received: Callable[[int, Judgement], None] | None = None,
    progress: str = "",
) -> list[Judgement]:
    """Judges many cases, several at once.

    Args:
        endpoint: The judge.
        cases: What is judged.
        judging: How.
        received: Called with the index of a case and its judgement as soon as it is there.
        progress: Label of the progress bar on stderr; empty for none.

    Returns:
        One judgement a case, in their order.

    Raises:
        EndpointError: The endpoint is away or refuses the key or the model.
        MissingSecretError: The key's variable is empty.
        BadInputError: There is no such prompt.
    """
    prompts = [render_prompt(TEMPLATES, judging.prompt, case=case) for case in cases]
    return await ask_prompts(endpoint, prompts, judging, received, progress)


async def ask_prompts(
    endpoint: Endpoint,
    prompts: Sequence[str],
    judging: Judging,
    received: Callable[[int, Judgement], None] | None = None,
    progress: str = "",
) -> list[Judgement]:
    """Judges by prompts that were rendered already, over one endpoint, keeping nothing.

    Args:
        endpoint: The judge.
        prompts: Each asks for one number from 1 to 5.
        judging: How; its own prompt is not read.
        received: Called with the index of a prompt and its judgement as soon as it is there.
        progress: Label of the progress bar on stderr; empty for none.

    Returns:
        One judgement a prompt, in their order.

    Raises:
        EndpointError: The endpoint is away or refuses the key or the model.
        MissingSecretError: The key's variable is empty.
    """
    async with client(endpoint, judging.retries, judging.deadline_seconds) as api:

        async def ask(messages: Messages, asking: Asking, sample: int) -> Completion:
            return await complete(api, endpoint, messages, asking)

        judge = Judge(judging, ask)
        return await judge_prompts(judge, prompts, judging.concurrency, received, progress)


async def judge_prompts(
    judge: Judge,
    prompts: Sequence[str],
    concurrency: int,
    received: Callable[[int, Judgement], None] | None = None,
    progress: str = "",
) -> list[Judgement]:
    """Judges by many prompts, several at once, in their order.

    Args:
        judge: Knows how to ask.
        prompts: Each asks for one number from 1 to 5.
        concurrency: Prompts in work at once.
        received: Called with the index of a prompt and its judgement as soon as it is there.
        progress: Label of the progress bar on stderr; empty for none.

    Returns:
        One judgement a prompt, in their order.

    Raises:
        EndpointError: The endpoint is away or refuses the key or the model.
    """
    found: dict[int, Judgement] = {}
    bar = tqdm(total=len(prompts), desc=progress, disable=not progress, mininterval=1)

    async def work(item: tuple[int, str]) -> None:
        index, prompt = item
        found[index] = await judge.judge_prompt(prompt)
        if received:
            received(index, found[index])
        bar.update()

    with bar:
        await for_each(enumerate(prompts), work, concurrency)
    return [found[index] for index in range(len(prompts))]


def _judgement(replies: Sequence[Completion], method: Literal["logprobs", "samples"]) -> Judgement:
    """Averages what could be read of the replies."""
    read = [weights for reply in replies if (weights := _weights(reply))]
    used = {
        "prompt_tokens": sum(reply.prompt_tokens for reply in replies),
        "completion_tokens": sum(reply.completion_tokens for reply in replies),
    }
    if not read:
        failure, error = _failure(replies[-1])
        return Judgement(score=None, method=method, failure=failure, error=error, **used)
    distribution = tuple(sum(column) / len(read) for column in zip(*read, strict=True))
    score = sum(s * p for s, p in zip(SCORES, distribution, strict=True))
    return Judgement(
        score=min(max(score, 1.0), 5.0), method=method, distribution=distribution, **used
    )


def _failure(reply: Completion) -> tuple[Literal["unparseable", "error", "timeout"], str]:
    if reply.finish_reason == "timeout":
        return "timeout", reply.error
    if reply.finish_reason == "error":
        return "error", reply.error
    ended = "" if reply.finish_reason in ("stop", "length") else f" ({reply.finish_reason})"
    return "unparseable", f"no number from 1 to 5 in the reply {reply.text[:80]!r}{ended}"


def _weights(reply: Completion) -> tuple[float, ...]:
    """The probabilities of 1..5 at the place of the score; empty when there is no score."""
    if reply.finish_reason in ("error", "timeout"):
        return ()
    text = "".join(token.text for token in reply.tokens) or reply.text
    place = score_place(text)
    if place is None:
        return ()
    token = _token_at(reply.tokens, place)
    if token is not None and (weights := expectation_weights(token)):
        return weights
    return tuple(float(score == int(text[place])) for score in SCORES)


def score_place(reply: str) -> int | None:
    """Finds the digit that is the score in a judge's reply.

    Args:
        reply: A bare number (`4`, `**4**`, `4/5`), a filled form (`Качество: 4`) or JSON.

    Returns:
        The digit's index, or None when the reply holds no score from 1 to 5.
    """
    found = _LABELLED.search(reply) or _LEADING.match(reply)
    return found.start("score") if found else None


def expectation_weights(token: Token) -> tuple[float, ...]:
    """Gives the probabilities of the scores 1..5 at one place of the reply.

    Spellings of one digit with white space around it (`4`, ` 4`) are added up, other tokens are
    left out, and the rest is made to sum to 1.

    Args:
        token: The token that holds the score, with the likeliest tokens at its place.

    Returns:
        Five weights that sum to 1; empty when no score is among the likeliest tokens.
    """
    mass = dict.fromkeys(map(str, SCORES), 0.0)
    for text, logprob in token.top:
        if text.strip() in mass:
            mass[text.strip()] += math.exp(logprob)
    total = sum(mass.values())
    return tuple(value / total for value in mass.values()) if total > 0 else ()


def _token_at(tokens: Sequence[Token], place: int) -> Token | None:
    end = 0
    for token in tokens:
        end += len(token.text)
        if place < end:
            return token
    return None
