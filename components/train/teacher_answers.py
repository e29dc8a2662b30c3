"""The teacher's answers to the training questions, which become what the student learns."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError
from tqdm import tqdm
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from components.core.errors import TrainingError
from components.core.json_lines import write_jsonl
from components.core.outcomes import outcome
from components.core.schemas import Answer, Dialogue, Turn
from components.train.prompts import left_padded, prompt_turns

BATCH = 32
"""Questions at a time."""


def with_answers(dialogues: Sequence[Dialogue], answers: Sequence[Answer]) -> list[Dialogue]:
    """Puts other answers in the place of the last ones.

    Args:
        dialogues: Dialogues with their reference answers.
        answers: Answers to them, in any order, of which only proper ones count: one that the
            limit cut off, or that never came, teaches nothing.

    Returns:
        The dialogues that have an answer, in their order.

    Raises:
        TrainingError: None of them has.
    """
    known = {row.dialogue_id: row.answer for row in answers if outcome(row) == "answered"}
    answered = [d for d in dialogues if d.dialogue_id in known]
    if not answered:
        raise TrainingError(
            f"The teacher finished none of {len(dialogues)} answers; raise max_answer_tokens, or "
            "give answers to these training questions with --teacher-answers."
        )
    return [_with(dialogue, known[dialogue.dialogue_id]) for dialogue in answered]


def _with(dialogue: Dialogue, answer: str) -> Dialogue:
    turns = (*prompt_turns(dialogue), Turn(role="assistant", content=answer))
    return dialogue.model_copy(update={"turns": turns})


def write_answers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    dialogues: Sequence[Dialogue],
    max_tokens: int,
    path: Path,
) -> list[Answer]:
    """Lets a teacher answer greedily what a file of answers does not hold yet.

    Args:
        model: The teacher.
        tokenizer: The teacher's.
        dialogues: The questions.
        max_tokens: Limit of an answer.
        path: JSON lines of `Answer`; each batch is added as it comes, so that a run which is
            killed goes on from there.

    Returns:
        The answers, in no order.
    """
    known = _read_partial(path)
    there = {row.dialogue_id for row in known}
    # Longest first: what does not fit shows at once, and a batch holds prompts of like length.
    questions = sorted(
        (d for d in dialogues if d.dialogue_id not in there),
        key=lambda d: -sum(len(turn.content) for turn in d.turns),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        for row in _answers(model, tokenizer, questions, max_tokens):
            known.append(row)
            file.write(row.model_dump_json() + "\n")
            file.flush()
    return known


def _read_partial(path: Path) -> list[Answer]:
    """Reads what a killed run left; half a line at the end is dropped from the file too."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    rows = [row for row in map(_parsed, lines) if row]
    if len(rows) < len(lines):
        write_jsonl(path, rows)
    return rows


def _parsed(line: str) -> Answer | None:
    try:
        return Answer.model_validate_json(line)
    except ValidationError:
        return None


def _answers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    questions: Sequence[Dialogue],
    max_tokens: int,
) -> Iterator[Answer]:
    ends = _end_tokens(model)
    greedy = GenerationConfig(
        do_sample=False,
        max_new_tokens=max_tokens,
        eos_token_id=ends,
        pad_token_id=tokenizer.pad_token_id,
    )
    for start in tqdm(range(0, len(questions), BATCH), desc="teacher's answers", unit="batch"):
        part = questions[start : start + BATCH]
        prompts = [_prompt_ids(dialogue, tokenizer) for dialogue in part]
        batch = {name: rows.to(model.device) for name, rows in left_padded(prompts).items()}
        began = time.perf_counter()
        found = model.generate(**batch, generation_config=greedy)
        seconds = time.perf_counter() - began
        written = found[:, batch["input_ids"].shape[1] :].tolist()
        for dialogue, prompt, ids in zip(part, prompts, written, strict=True):
            end = next((place for place, token in enumerate(ids) if token in ends), None)
            text = tokenizer.decode(ids[:end], skip_special_tokens=True)
            counts = (len(prompt), len(ids) if end is None else end + 1)
            yield _answer(dialogue, text.strip(), counts, end is not None, seconds)


def _answer(
    dialogue: Dialogue, text: str, tokens: tuple[int, int], ended: bool, seconds: float
) -> Answer:
    """Makes the row of an answer from its prompt's and its own tokens, and its batch's time."""
    return Answer(
        dialogue_id=dialogue.dialogue_id,
        contender="teacher",
        intent=dialogue.intent,
        product=dialogue.product,
        question=dialogue.question,
        reference=dialogue.answer,
        answer=text,
        facts=dialogue.facts,
        finish_reason="stop" if ended else "length",
        prompt_tokens=tokens[0],
        completion_tokens=tokens[1],
        latency_seconds=seconds,
        first_token_seconds=None,
    )


def _end_tokens(model: PreTrainedModel) -> list[int]:
    ends = model.generation_config.eos_token_id
    return ends if isinstance(ends, list) else [ends]


def _prompt_ids(dialogue: Dialogue, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    turns = [turn.model_dump() for turn in prompt_turns(dialogue)]
    ids: list[int] = tokenizer.apply_chat_template(
        turns, add_generation_prompt=True, return_dict=False
    )
    return ids
