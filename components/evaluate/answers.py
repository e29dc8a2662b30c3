"""Asks a contender the test questions, and keeps every answer, failed ones too."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, NonNegativeInt

from components.core.errors import BadInputError
from components.core.journal import request_key
from components.core.json_lines import read_jsonl, write_jsonl
from components.core.llm import (
    Asking,
    Completion,
    Endpoint,
    Frozen,
    Messages,
    complete_all,
    served_model,
)
from components.core.prices import with_usage
from components.core.prompts import render_prompt
from components.core.schemas import Answer, Dialogue, Turn
from components.evaluate.reply_cache import (
    FAILED,
    ReplyCache,
    cache_file,
    model_identity,
)
from components.prepare.subset import Subset, select

PROMPTS = Path(__file__).parent / "prompts"


class Contender(Frozen):
    """Who is asked, where, and how."""

    name: str = Field(min_length=1)
    endpoint: Endpoint
    prompt: str = ""
    """A file of `prompts/` without its suffix, sent as the system message; empty for none."""
    asking: Asking = Asking()
    weights: str = ""
    """Address of the weights that are served, where we know it: tells the replies apart of two
    models that an endpoint serves under one name, one after the other."""


@dataclass(frozen=True)
class Answered:
    """The answers to a test set, and where they came from."""

    answers: tuple[Answer, ...]
    """One a question, in their order."""
    from_cache: int
    """How many of them were not asked for now."""
    estimated: int
    """How many have tokens of our own estimate, since the endpoint did not count them."""


def answer_file(
    test: Path,
    answers: Path,
    contender: Contender,
    questions: NonNegativeInt = 0,
    subset: Subset | None = None,
) -> Answered:
    """Asks the questions of a file and writes the answers to another.

    Each reply is kept as it arrives, by all that decides it (weights, messages, limits), so an
    interrupted run goes on where it stopped, and a second one asks nothing, whatever the number
    or the order of its questions. Errors and timeouts are asked again.

    Args:
        test: JSON lines of `Dialogue`.
        answers: JSON lines of `Answer`, written whole or not at all.
        contender: Who is asked.
        questions: How many to ask at most, balanced over products and intents; 0 for all.
        subset: Which products and intents; None for all.

    Returns:
        The answers, and how many came from the cache.

    Raises:
        SchemaError: A line of `test` is not a dialogue.
        EndpointError: The endpoint is down or does not serve the model.
        BadInputError: There is no question, no such prompt, or another run asks the same model.
    """
    chosen = choose(read_jsonl(test, Dialogue), questions, subset or Subset())
    served = asyncio.run(served_model(contender.endpoint))
    identity = model_identity(contender.endpoint, served, contender.weights)
    with ReplyCache(cache_file(identity, answers)) as cache:
        found = answer_questions(chosen, contender, identity, cache)
    write_jsonl(answers, found.answers)
    return found


def choose(dialogues: Sequence[Dialogue], questions: int, subset: Subset) -> list[Dialogue]:
    """Chooses the questions to ask, the same ones for every contender.

    Args:
        dialogues: The test set.
        questions: How many at most, balanced over products and intents; 0 for all.
        subset: Which products and intents; its own limits hold too.

    Returns:
        The chosen dialogues, the same for the same arguments.

    Raises:
        BadInputError: The test set is empty; RecipeError, its child, when the subset is.
    """
    if not dialogues:
        raise BadInputError("There is no test question to ask; check the file that prepare wrote.")
    limit = min(questions or len(dialogues), subset.rows or len(dialogues))
    return select(dialogues, subset.model_copy(update={"rows": limit}))


def answer_questions(
    dialogues: Sequence[Dialogue], contender: Contender, identity: str, cache: ReplyCache
) -> Answered:
    """Asks what the cache does not hold yet, and adds the replies to it as they arrive.

    Args:
        dialogues: The questions; equal ones are asked once.
        contender: Who is asked.
        identity: Of the model that is served (`model_identity`).
        cache: Open.

    Returns:
        The answers, and how many came from the cache.

    Raises:
        EndpointError: The endpoint is down; what had come is in the cache.
        BadInputError: There is no such prompt.
    """
    system = system_prompt(contender.prompt)
    said = [messages(dialogue, system) for dialogue in dialogues]
    keys = [request_key(identity, each, contender.asking) for each in said]
    known = {key: reply for key in keys if (reply := cache.get(key))}
    missing = {k: s for k, s in zip(keys, said, strict=True) if k not in known}
    every = known | _ask(missing, contender, cache)
    replies = [_counted(every[k], s) for k, s in zip(keys, said, strict=True)]
    return Answered(
        answers=tuple(
            to_answer(dialogue, contender.name, reply)
            for dialogue, (reply, _) in zip(dialogues, replies, strict=True)
        ),
        from_cache=sum(key in known for key in keys),
        estimated=sum(estimated for _, estimated in replies),
    )


def _ask(
    missing: Mapping[str, Messages], contender: Contender, cache: ReplyCache
) -> dict[str, Completion]:
    if not missing:
        return {}
    keys = list(missing)
    asking = contender.asking.model_copy(update={"progress": f"asking {contender.name}"})

    def received(index: int, completion: Completion) -> None:
        cache.add(keys[index], completion)

    conversations = list(missing.values())
    replies = asyncio.run(complete_all(contender.endpoint, conversations, asking, received))
    return dict(zip(keys, replies, strict=True))


def _counted(reply: Completion, said: Messages) -> tuple[Completion, bool]:
    """Estimates a reply's tokens where one came and the endpoint did not count them."""
    came = reply.text or reply.finish_reason not in FAILED
    return with_usage(reply, said) if came else (reply, False)


def messages(dialogue: Dialogue, system: str = "") -> tuple[Turn, ...]:
    """Gives the conversation up to the answer that is asked for.

    Args:
        dialogue: Ends with the reference answer, which is left out.
        system: Goes first, in place of the dialogue's own, when not empty.

    Returns:
        The messages to send.
    """
    last = max(i for i, turn in enumerate(dialogue.turns) if turn.role == "assistant")
    turns = dialogue.turns[:last]
    if not system:
        return turns
    return (Turn(role="system", content=system), *(t for t in turns if t.role != "system"))


def system_prompt(name: str) -> str:
    """Renders a prompt of `prompts/`.

    Args:
        name: The file's name without `.jinja`, for example `bank_assistant.v1`; empty for none.

    Returns:
        The prompt's text, or an empty one.

    Raises:
        BadInputError: There is no such prompt.
    """
    return render_prompt(PROMPTS, name) if name else ""


def to_answer(dialogue: Dialogue, contender: str, completion: Completion) -> Answer:
    """Joins a question and what came back; the cause of a failure goes into `finish_reason`."""
    cause = f": {completion.error}" if completion.error else ""
    return Answer(
        dialogue_id=dialogue.dialogue_id,
        contender=contender,
        intent=dialogue.intent,
        product=dialogue.product,
        question=dialogue.question,
        reference=dialogue.answer,
        answer=completion.text.strip(),
        facts=dialogue.facts,
        finish_reason=completion.finish_reason + cause,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        latency_seconds=completion.latency_seconds,
        first_token_seconds=completion.first_token_seconds,
        retries=completion.retries,
    )
