"""Evaluation steps that the judge writes itself, pinned in a new version of a rubric.

The automatic chain of thought of Liu et al., G-Eval (EMNLP 2023), section 2.2. The paper has the
steps written once and puts them into every prompt; here they are a file with a version, so that
scores of different runs compare and a person can read what the judge goes by.
"""

import asyncio
import datetime
import re
from pathlib import Path

import yaml

from components.core.errors import BadInputError, EndpointError
from components.core.geval import TEMPLATES
from components.core.llm import Asking, Completion, Endpoint, complete_all, served_model
from components.core.prompts import render_prompt
from components.core.schemas import Turn
from components.core.whole_files import write_text
from components.evaluate.judging.rubric import Criterion, Rubric, read_rubric

PROMPT = "geval_write_steps.v1"
FEWEST, MOST = 3, 6
"""Steps of one criterion: what the prompt asks for."""
_STEP = re.compile(r"^\s*(?:\d+\s*[.)]|[-*•])\s+(\S.*?)\s*$", re.MULTILINE)
_VERSIONED = re.compile(r".+\.v\d+\.yaml")


def write_steps(endpoint: Endpoint, rubric_name: str, out: Path) -> Rubric:
    """Has the judge write the evaluation steps of each criterion, and pins them in a new file.

    Args:
        endpoint: The judge.
        rubric_name: The rubric whose task, criteria, weights and template stay.
        out: The new rubric, for example `rubrics/bank_answer.v2.yaml`.

    Returns:
        The new rubric.

    Raises:
        BadInputError: `out` is there already or has no version in its name, the rubric's criteria
            have no definitions, or a reply is no list of steps.
        EndpointError: The judge is away, or a request failed after all retries.
        MissingSecretError: The key's variable is empty.
    """
    rubric = read_rubric(rubric_name)
    _check(rubric, out)
    replies = asyncio.run(_replies(endpoint, rubric))
    criteria = [
        criterion.model_copy(update={"steps": _steps(endpoint, criterion, reply)})
        for criterion, reply in zip(rubric.criteria, replies, strict=True)
    ]
    today = datetime.datetime.now(datetime.UTC).date()
    content = rubric.model_dump(mode="json", exclude={"name"}) | {
        "steps_written_by": f"{endpoint.model}, {today}",
        "criteria": [criterion.model_dump(mode="json") for criterion in criteria],
    }
    write_text(out, yaml.safe_dump(content, allow_unicode=True, sort_keys=False, width=110))
    return read_rubric(str(out))


def _check(rubric: Rubric, out: Path) -> None:
    if not _VERSIONED.fullmatch(out.name):
        raise BadInputError(
            f"{out} needs a version in its name, for example bank_answer.v2.yaml, since scores "
            "of two versions do not compare."
        )
    if out.exists():
        raise BadInputError(
            f"{out} is there already, and scores may have been written with it; choose the next "
            "version."
        )
    if not all(criterion.definition for criterion in rubric.criteria):
        raise BadInputError(
            f"The rubric {rubric.name} does not define its criteria, so no steps can be written "
            "for them; start from bank_answer.v1."
        )


async def _replies(endpoint: Endpoint, rubric: Rubric) -> list[Completion]:
    await served_model(endpoint)
    prompts = [
        render_prompt(TEMPLATES, PROMPT, rubric=rubric, criterion=criterion)
        for criterion in rubric.criteria
    ]
    asking = Asking(max_tokens=1000, concurrency=len(prompts), progress="writing steps")
    conversations = [(Turn(role="user", content=prompt),) for prompt in prompts]
    return await complete_all(endpoint, conversations, asking)


def _steps(endpoint: Endpoint, criterion: Criterion, reply: Completion) -> tuple[str, ...]:
    if reply.finish_reason in ("error", "timeout"):
        raise EndpointError(
            f"The judge {endpoint.model} at {endpoint.base_url} gave no steps for the criterion "
            f"{criterion.id}: {reply.error}. Nothing was written; run again."
        )
    steps = tuple(_STEP.findall(reply.text))
    if not FEWEST <= len(steps) <= MOST or reply.finish_reason == "length":
        raise BadInputError(
            f"The judge {endpoint.model} wrote no list of {FEWEST} to {MOST} steps for the "
            f"criterion {criterion.id}, but {reply.text[:80]!r}; ask a larger model, or write the "
            "steps into the rubric by hand."
        )
    return steps
