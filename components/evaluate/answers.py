"""Asks a contender the test questions, and keeps every answer, failed ones too."""

import asyncio
import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import jinja2
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError

from components.core.errors import BadInputError
from components.core.json_lines import read_jsonl, write_jsonl
from components.core.llm import Asking, Completion, Endpoint, complete_all, served_model
from components.core.outcomes import outcome
from components.core.schemas import Answer, Dialogue, Turn
from components.prepare.subset import Subset, select

PROMPTS = Path(__file__).parent / "prompts"


class Contender(BaseModel):
    """Who is asked, where, and how."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    endpoint: Endpoint
    prompt: str = ""
    """A file of `prompts/` without its suffix, sent as the system message; empty for none."""
    asking: Asking = Asking()


def answer_file(
    test: Path,
    answers: Path,
    contender: Contender,
    questions: NonNegativeInt = 0,
    subset: Subset | None = None,
) -> list[Answer]:
    """Asks the questions of a file and writes the answers to another.

    Answers are kept one by one in a file named after all that decides them (contender, weights
    served, prompt, tokens, temperature), so that an interrupted run goes on where it stopped;
    errors and timeouts are asked again. That file is removed at the end. It lies in
    `$FINIST_HOME/cache/answers`, which outlives a pipeline run, or else beside `answers`.

    Args:
        test: JSON lines of `Dialogue`.
        answers: JSON lines of `Answer`, written whole or not at all.
        contender: Who is asked.
        questions: How many to ask at most, balanced over products and intents; 0 for all.
        subset: Which products and intents; None for all.

    Returns:
        The answers, one a question.

    Raises:
        SchemaError: A line of `test` is not a dialogue.
        EndpointError: The endpoint is down or does not serve the model.
        BadInputError: There is no question, or no such prompt.
    """
    chosen = choose(read_jsonl(test, Dialogue), questions, subset or Subset())
    served = asyncio.run(served_model(contender.endpoint))
    home = os.environ.get("FINIST_HOME")
    folder = Path(home, "cache", "answers") if home else answers.parent
    partial = folder / f"unfinished-{_key(contender, served)}.jsonl"
    found = answer_questions(chosen, contender, partial)
    write_jsonl(answers, found)
    partial.unlink(missing_ok=True)
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
    dialogues: Sequence[Dialogue], contender: Contender, partial: Path
) -> list[Answer]:
    """Asks what a partial file does not hold yet, adding to that file as answers arrive.

    Args:
        dialogues: The questions.
        contender: Who is asked.
        partial: JSON lines of `Answer` of an earlier, interrupted run; may be absent.

    Returns:
        One answer a dialogue, in their order.

    Raises:
        EndpointError: The endpoint is down; what had come is in `partial`.
    """
    system = system_prompt(contender.prompt)
    known = _known(partial, {dialogue.dialogue_id for dialogue in dialogues})
    open_ones = [dialogue for dialogue in dialogues if dialogue.dialogue_id not in known]
    partial.parent.mkdir(parents=True, exist_ok=True)
    asking = contender.asking.model_copy(update={"progress": f"asking {contender.name}"})
    with partial.open("a", encoding="utf-8") as file:

        def received(index: int, completion: Completion) -> None:
            row = to_answer(open_ones[index], contender.name, completion)
            known[row.dialogue_id] = row
            file.write(row.model_dump_json() + "\n")
            file.flush()

        conversations = [messages(dialogue, system) for dialogue in open_ones]
        asyncio.run(complete_all(contender.endpoint, conversations, asking, received))
    return [known[dialogue.dialogue_id] for dialogue in dialogues]


def _known(partial: Path, wanted: set[str]) -> dict[str, Answer]:
    """Reads what an interrupted run left; its last line may be half a line, and is asked again."""
    lines = partial.read_text(encoding="utf-8").splitlines() if partial.exists() else []
    rows = [row for row in map(_parsed, lines) if row and row.dialogue_id in wanted]
    kept = {row.dialogue_id: row for row in rows if outcome(row) not in ("error", "timeout")}
    if lines:
        write_jsonl(partial, kept.values())
    return kept


def _parsed(line: str) -> Answer | None:
    try:
        return Answer.model_validate_json(line)
    except ValidationError:
        return None


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
    if not name:
        return ""
    loader = jinja2.FileSystemLoader(PROMPTS)
    prompts = jinja2.Environment(  # plain text for a model, never HTML
        loader=loader, undefined=jinja2.StrictUndefined, autoescape=False
    )
    try:
        return prompts.get_template(f"{name}.jinja").render().strip()
    except jinja2.TemplateNotFound as error:
        known = ", ".join(_stems(loader.list_templates()))
        raise BadInputError(
            f"There is no prompt {name!r} in {PROMPTS}; it has: {known}."
        ) from error


def _stems(names: Iterable[str]) -> list[str]:
    return [name.removesuffix(".jinja") for name in names]


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
    )


def _key(contender: Contender, served: str) -> str:
    """Names all that decides an answer; another model behind the same URL gives another key."""
    asking = contender.asking
    parts = (
        *(contender.name, contender.endpoint.base_url, contender.endpoint.model, served),
        *(system_prompt(contender.prompt), str(asking.max_tokens), str(asking.temperature)),
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
