"""Judges cases by a rubric over one endpoint; no reply is asked for twice."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from pydantic import Field

from components.core.geval import Case, Judge, Judgement, Judging, judge_prompts
from components.core.journal import request_key
from components.core.llm import (
    Asking,
    Completion,
    Endpoint,
    Frozen,
    Messages,
    client,
    complete,
    served_model,
)
from components.core.schemas import Answer
from components.evaluate.judging.rubric import CriterionId, criterion_prompt, read_rubric
from components.evaluate.reply_cache import ReplyCache, cache_file, model_identity
from components.prepare.personal_data.masking import Masker, MaskingSettings


class JudgeSettings(Frozen):
    """How answers are judged."""

    rubric: str = "bank_answer.v1"
    """A file of `rubrics/` without its suffix, or the path of a `.yaml` file."""
    answers: int = Field(default=0, ge=0)
    """How many to judge at most, the same ones for every contender; 0 for all."""
    seed: int = 0
    """Decides which ones."""
    method: Literal["auto", "logprobs", "samples"] = "auto"
    """`auto` takes log-probabilities where the endpoint gives them and samples where not."""
    samples: int = Field(default=10, ge=1)
    """Replies at temperature 1 for an endpoint without log-probabilities."""
    max_tokens: int = Field(default=16, ge=1)
    """The form wants one number; a model that reasons aloud needs more."""
    structured_output: bool = False
    """Whether the server binds the reply to JSON with a score from 1 to 5."""
    concurrency: int = Field(default=8, ge=1)
    """Requests in flight."""
    retries: int = Field(default=14, ge=0)
    """Further tries of a request that the judge put off (429, 5xx): 14 outlast a minute of it,
    since the waits of 0.5, 1, 2, 4, 8, 8 ... seconds are cut by a quarter at most."""
    deadline_seconds: float = Field(default=180.0, gt=0)
    """For one request, its retries and waits included."""
    weights: str = ""
    """Tells apart the weights that an endpoint serves under one name; empty where it says so
    itself (vLLM does)."""
    masking: MaskingSettings = MaskingSettings()
    """What is personal data, and which numbers of the bank's own are not."""

    @property
    def judging(self) -> Judging:
        """The part that G-Eval itself takes."""
        return Judging(
            method=self.method,
            samples=self.samples,
            max_tokens=self.max_tokens,
            structured_output=self.structured_output,
            concurrency=self.concurrency,
            retries=self.retries,
            deadline_seconds=self.deadline_seconds,
        )


def masked_case(answer: Answer, masker: Masker) -> Case:
    """Gives what the judge may see of an answer: the judge may be somebody else's server.

    Args:
        answer: The answer, its question and what is known.
        masker: Says what is personal data.

    Returns:
        The case, with placeholders for personal data; the values of required facts stay.
    """
    values = tuple(fact.value for fact in answer.facts)
    keep = [*values, *(spelling for fact in answer.facts for spelling in fact.accepted)]

    def mask(text: str) -> str:
        return masker.mask_text(text, keep)[0]

    return Case(
        question=mask(answer.question),
        answer=mask(answer.answer),
        reference=mask(answer.reference),
        facts=values,
    )


def judge_cases(
    cases: Sequence[Case],
    endpoint: Endpoint,
    settings: JudgeSettings,
    beside: Path,
    swapped: bool = False,
    progress: str = "judging",
) -> list[dict[CriterionId, Judgement]]:
    """Asks the judge once for each criterion of each case.

    Args:
        cases: What is judged, masked already.
        endpoint: The judge.
        settings: The rubric, and how to ask.
        beside: An output of the step, beside which replies are kept where there is no
            `$FINIST_HOME`.
        swapped: Whether the answer stands before what is known.
        progress: Label of the progress bar on stderr; empty for none.

    Returns:
        Judgements by criterion, one mapping a case; a request that failed, and a reply without a
        number, is a judgement without a score.

    Raises:
        EndpointError: The judge is away, or refuses the key or the model; what it said is kept.
        MissingSecretError: The key's variable is empty.
        BadInputError: There is no such rubric (RecipeError, its child), or another run writes the
            same replies.
    """
    rubric = read_rubric(settings.rubric)
    prompts = [
        criterion_prompt(rubric, criterion, case, swapped)
        for case in cases
        for criterion in rubric.criteria
    ]
    found = iter(asyncio.run(_judged(prompts, endpoint, settings, beside, progress)))
    return [{criterion.id: next(found) for criterion in rubric.criteria} for _ in cases]


async def _judged(
    prompts: Sequence[str],
    endpoint: Endpoint,
    settings: JudgeSettings,
    beside: Path,
    progress: str,
) -> list[Judgement]:
    if not prompts:
        return []
    identity = model_identity(endpoint, await served_model(endpoint), settings.weights)
    loop = asyncio.get_running_loop()
    with ReplyCache(cache_file(identity, beside)) as cache, ThreadPoolExecutor(1) as saver:
        async with client(endpoint, settings.retries, settings.deadline_seconds) as api:

            async def ask(messages: Messages, asking: Asking, sample: int) -> Completion:
                key = request_key(identity, messages, asking, str(sample))
                known = cache.get(key)
                if known:
                    return known
                reply = await complete(api, endpoint, messages, asking)
                # In a thread: others go on while the disk is waited for. Shielded: what came is
                # saved, whatever happens to the others.
                await asyncio.shield(loop.run_in_executor(saver, cache.add, key, reply))
                return reply

            judge = Judge(settings.judging, ask)
            return await judge_prompts(judge, prompts, settings.concurrency, progress=progress)
