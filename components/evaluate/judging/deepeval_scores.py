"""Scores cases with deepeval's GEval, in deepeval's own environment: it imports nothing of ours.

`python deepeval_scores.py work.json scores.json`, started by `compare_deepeval.py`. Telemetry is
off, and nothing but the endpoint is asked.
"""

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import openai
from deepeval.metrics import GEval  # type: ignore[import-not-found]
from deepeval.metrics.g_eval import GEvalTemplate, Rubric  # type: ignore[import-not-found]
from deepeval.models import DeepEvalBaseLLM  # type: ignore[import-not-found]
from deepeval.test_case import LLMTestCase, SingleTurnParams  # type: ignore[import-not-found]
from tqdm import tqdm

# deepeval maps its scale to 0..1 by the rubric's ends: without this one it would be 0 to 10.
SCALE = [Rubric(score_range=(score, score), expected_outcome=str(score)) for score in range(1, 6)]
SCORE = re.compile(r"(?<![\d.,])[1-5](?![\d.,])")


class OurPrompt(GEvalTemplate):  # type: ignore[misc]
    """Has deepeval ask with the prompt that our judge is asked with."""

    @staticmethod
    def generate_evaluation_results(_additional_context: str) -> str:
        """Gives the prompt as it came in the work file."""
        return _additional_context


class ServedJudge(DeepEvalBaseLLM):  # type: ignore[misc]
    """A model behind an OpenAI-compatible endpoint, with the log-probabilities GEval weighs."""

    def __init__(self, work: dict[str, Any]) -> None:
        """Takes the endpoint and how to ask from the work file."""
        self._work = work
        super().__init__(work["model"])

    def load_model(self) -> openai.AsyncOpenAI:
        """Makes the client."""
        key = os.environ.get(self._work["api_key_env"], "none")
        return openai.AsyncOpenAI(
            base_url=self._work["base_url"], api_key=key, max_retries=self._work["retries"]
        )

    def get_model_name(self) -> str:
        """Gives the name under which the model is served."""
        return str(self._work["model"])

    def generate(self, prompt: str) -> str:
        """Is never called: the metric runs asynchronously."""
        raise NotImplementedError

    async def a_generate(self, prompt: str) -> str:
        """Asks without log-probabilities: deepeval's way when they are missing."""
        response, _ = await self.a_generate_raw_response(prompt, 0)
        return response.choices[0].message.content or ""

    async def a_generate_raw_response(
        self, prompt: str, top_logprobs: int
    ) -> tuple[openai.types.chat.ChatCompletion, float]:
        """Asks once at temperature 0.

        deepeval reads JSON with a score and a reason. Our form is answered by a bare number, which
        is put into such JSON; its tokens and their log-probabilities stay as they came.
        """
        response = await self.model.chat.completions.create(
            model=self._work["model"],
            messages=[{"role": "user", "content": prompt}],
            temperature=0,
            max_tokens=self._work["max_tokens"],
            logprobs=bool(top_logprobs),
            top_logprobs=top_logprobs or openai.omit,
        )
        message = response.choices[0].message
        found = SCORE.search(message.content or "")
        if found and not self._work["own_template"]:
            message.content = json.dumps({"score": int(found.group()), "reason": ""})
        return response, 0.0


def metric(item: dict[str, Any], model: ServedJudge, own_template: bool) -> Any:
    """Makes deepeval's metric for one criterion; it keeps state, so each case has its own."""
    params = [
        SingleTurnParams.INPUT,
        SingleTurnParams.ACTUAL_OUTPUT,
        SingleTurnParams.EXPECTED_OUTPUT,
    ]
    template = {} if own_template else {"evaluation_template": OurPrompt}
    return GEval(
        name=item["criterion"],
        evaluation_params=params,
        criteria=item["definition"] or item["criterion"],
        evaluation_steps=item["steps"] or [item["criterion"]],
        rubric=SCALE,
        model=model,
        **template,
    )


async def score(item: dict[str, Any], model: ServedJudge, own_template: bool) -> dict[str, Any]:
    """Scores one case by one criterion: a number from 1 to 5, or why there is none."""
    case = LLMTestCase(
        input=item["question"], actual_output=item["answer"], expected_output=item["reference"]
    )
    measured = metric(item, model, own_template)
    prompt = None if own_template else item["prompt"]
    try:
        share = await measured.a_measure(case, _show_indicator=False, _additional_context=prompt)
    except (openai.OpenAIError, ValueError, KeyError, TypeError) as error:
        return {"score": None, "failure": f"{type(error).__name__}: {error}"[:200]}
    return {"score": 1 + 4 * share, "failure": ""}


async def scores(work: dict[str, Any]) -> list[dict[str, Any]]:
    """Scores all items of a work file, several at once, in their order."""
    model, gate = ServedJudge(work), asyncio.Semaphore(work["concurrency"])
    bar = tqdm(total=len(work["items"]), desc="deepeval", mininterval=1)

    async def one(item: dict[str, Any]) -> dict[str, Any]:
        async with gate:
            found = await score(item, model, work["own_template"])
        bar.update()
        return found

    with bar:
        return await asyncio.gather(*map(one, work["items"]))


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    found = asyncio.run(scores(json.loads(source.read_text(encoding="utf-8"))))
    target.write_text(json.dumps(found), encoding="utf-8")
