"""A quality filter by a model behind the OpenAI API: each dialogue gets a score from 1 to 5."""

import asyncio
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jinja2
from pydantic import BaseModel, ConfigDict, Field

from components.core.errors import RecipeError
from components.core.llm import Asking, Completion, Endpoint, complete_all, served_model
from components.core.schemas import Dialogue, QuarantinedRow, Turn
from components.prepare.cleaning.cleaner import Rejected, quarantined
from components.prepare.cleaning.verdict_journal import Verdict, append, appending, read_journal

PROMPTS = Path(__file__).parent / "prompts"
SCORES = range(1, 6)
SPEAKERS = {"user": "Клиент", "assistant": "Банк"}

_SCORE = re.compile(
    r"(?:score|оценка)[\"'*]*\s*[:=—-]\s*[\"'*]*([1-5])(?!\d|[.,]\d|/(?!5\b))", re.IGNORECASE
)
_BARE = re.compile(r"\s*[\"'*]*([1-5])[\"'*.]*\s*")
_OBJECT = re.compile(r"\{[^{}]*\}")


class LlmQualitySettings(BaseModel):
    """Who scores the dialogues, and which are kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: Endpoint
    prompt: str = "quality.v1"
    """A file of `prompts/` without its suffix; its version is part of what the journal knows."""
    threshold: int = Field(default=3, ge=1, le=5)
    """Scores from this one on are kept."""
    undecided: Literal["keep", "drop"] = "keep"
    """What to do with a dialogue whose reply holds no score, or that got no reply."""
    asking: Asking = Asking(max_tokens=80, progress="judging quality")


@dataclass(frozen=True)
class Filtered:
    """What the filter left, what it took out, and what that cost."""

    kept: tuple[Dialogue, ...]
    quarantined: tuple[QuarantinedRow, ...]
    outcomes: Counter[str]
    """Dialogues by `score-1` to `score-5`, `unreadable` (no score in the reply), `unanswered`."""
    requests: int
    """Sent by this run; verdicts from the journal need none."""
    prompt_tokens: int
    """Of this run's requests."""
    completion_tokens: int


def filter_by_llm(
    dialogues: Sequence[Dialogue],
    settings: LlmQualitySettings,
    journal: Path,
    mask: Callable[[str], str],
) -> Filtered:
    """Has a model score dialogues, and leaves out those below the threshold.

    Every reply goes into the journal, on the disk, before the next is looked at: a killed run goes
    on where it stopped, and a second run with the same dialogues sends nothing. Equal dialogues
    are sent once. Failed requests are not kept, and are sent again by the next run. Two processes
    must not share a journal.

    Args:
        dialogues: Cleaned; all are in memory, so hand over a shard at a time.
        settings: Who scores, and which scores are kept.
        journal: The file of replies; may be absent.
        mask: Replaces personal data in a message before it leaves.

    Returns:
        What is kept and what is not, both in the order of `dialogues`.

    Raises:
        EndpointError: The endpoint is down or does not serve the model; replies are kept.
        MissingSecretError: The key's variable is empty.
        RecipeError: There is no such prompt.
        SchemaError: The journal has a broken line in its midst.
    """
    if not dialogues:
        return Filtered((), (), Counter(), 0, 0, 0)
    system = system_prompt(settings.prompt)
    served = asyncio.run(served_model(settings.endpoint))
    conversations = [_messages(dialogue, system, mask) for dialogue in dialogues]
    keys = [_key(messages, settings, served) for messages in conversations]
    known = read_journal(journal)
    missing = {key: m for key, m in zip(keys, conversations, strict=True) if key not in known}
    answered = _ask(missing, settings, journal)
    return _sorted_out(dialogues, keys, settings, known | answered, answered, len(missing))


def system_prompt(name: str) -> str:
    """Reads a prompt of `prompts/`.

    Args:
        name: The file's name without `.jinja`.

    Returns:
        Its text.

    Raises:
        RecipeError: There is no such prompt.
    """
    loader = jinja2.FileSystemLoader(PROMPTS)
    prompts = jinja2.Environment(  # plain text for a model, never HTML
        loader=loader, undefined=jinja2.StrictUndefined, autoescape=False
    )
    try:
        return prompts.get_template(f"{name}.jinja").render().strip()
    except jinja2.TemplateNotFound as error:
        known = ", ".join(each.removesuffix(".jinja") for each in loader.list_templates())
        raise RecipeError(f"There is no prompt {name!r} in {PROMPTS}; it has: {known}.") from error


def _messages(dialogue: Dialogue, system: str, mask: Callable[[str], str]) -> tuple[Turn, ...]:
    said = [
        f"{SPEAKERS[turn.role]}: {mask(turn.content)}"
        for turn in dialogue.turns
        if turn.role in SPEAKERS
    ]
    framed = "\n".join(("<диалог>", *said, "</диалог>"))
    return Turn(role="system", content=system), Turn(role="user", content=framed)


def _key(messages: Sequence[Turn], settings: LlmQualitySettings, served: str) -> str:
    asking = settings.asking
    parts: list[object] = [settings.endpoint.model, served, asking.max_tokens, asking.temperature]
    if asking.reply_schema:
        parts.append(asking.reply_schema)
    content = json.dumps([*parts, *(turn.content for turn in messages)], ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()


def _ask(
    missing: dict[str, tuple[Turn, ...]], settings: LlmQualitySettings, journal: Path
) -> dict[str, Verdict]:
    """Asks, and keeps each reply on the disk as it arrives; failures are left out."""
    keys = list(missing)
    answered: dict[str, Verdict] = {}
    with appending(journal) as file:

        def received(index: int, completion: Completion) -> None:
            if completion.finish_reason in ("error", "timeout"):
                return
            verdict = Verdict(
                key=keys[index],
                reply=completion.text,
                prompt_tokens=completion.prompt_tokens,
                completion_tokens=completion.completion_tokens,
            )
            append(file, verdict)
            answered[verdict.key] = verdict

        conversations = list(missing.values())
        asyncio.run(complete_all(settings.endpoint, conversations, settings.asking, received))
    return answered


def _sorted_out(
    dialogues: Sequence[Dialogue],
    keys: Sequence[str],
    settings: LlmQualitySettings,
    verdicts: dict[str, Verdict],
    answered: dict[str, Verdict],
    requests: int,
) -> Filtered:
    outcomes = [_outcome(verdicts.get(key)) for key in keys]
    reasons = [_rejected(outcome, settings) for outcome in outcomes]
    judged = list(zip(dialogues, reasons, strict=True))
    return Filtered(
        kept=tuple(dialogue for dialogue, reason in judged if reason is None),
        quarantined=tuple(quarantined(dialogue, reason) for dialogue, reason in judged if reason),
        outcomes=Counter(outcomes),
        requests=requests,
        prompt_tokens=sum(verdict.prompt_tokens for verdict in answered.values()),
        completion_tokens=sum(verdict.completion_tokens for verdict in answered.values()),
    )


def _outcome(verdict: Verdict | None) -> str:
    if verdict is None:
        return "unanswered"
    score = score_in(verdict.reply)
    return "unreadable" if score is None else f"score-{score}"


def _rejected(outcome: str, settings: LlmQualitySettings) -> Rejected | None:
    model = settings.endpoint.model
    if not outcome.startswith("score-"):
        reason = f"The model {model} gave no score ({outcome})."
        return Rejected(f"llm-{outcome}", reason) if settings.undecided == "drop" else None
    score = int(outcome.removeprefix("score-"))
    if score >= settings.threshold:
        return None
    reason = f"The model {model} scored it {score} of 5; {settings.threshold} is needed."
    return Rejected(f"llm-{outcome}", reason)


def score_in(reply: str) -> int | None:
    """Finds the score in a reply.

    Args:
        reply: JSON with `score`, alone, in a code fence or among words; `оценка: 4`; or a digit.

    Returns:
        1 to 5, or None for a reply that gives none, or several different ones.
    """
    for found in _OBJECT.findall(reply):
        if (score := _json_score(found)) is not None:
            return score if score in SCORES else None
    if bare := _BARE.fullmatch(reply):
        return int(bare.group(1))
    scores = set(_SCORE.findall(reply))
    return int(scores.pop()) if len(scores) == 1 else None


def _json_score(text: str) -> int | None:
    try:
        content = json.loads(text)
    except ValueError:
        return None
    score = content.get("score") if isinstance(content, dict) else None
    if isinstance(score, str) and re.fullmatch(r"\d", score):
        return int(score)
    if isinstance(score, float) and score.is_integer():
        return int(score)
    return score if isinstance(score, int) and not isinstance(score, bool) else None
