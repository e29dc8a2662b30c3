from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from components.core.json_lines import read_jsonl
from components.core.schemas import Answer, Dialogue
from components.train import teacher_answers
from components.train.teacher_answers import with_answers, write_answers


@pytest.fixture(scope="module")
def questions(dialogues: Path) -> list[Dialogue]:
    return read_jsonl(dialogues / "train.jsonl", Dialogue)[:12]


def answer(dialogue: Dialogue, text: str) -> Answer:
    return Answer(
        dialogue_id=dialogue.dialogue_id,
        contender="served",
        intent=dialogue.intent,
        product=dialogue.product,
        question=dialogue.question,
        reference=dialogue.answer,
        answer=text,
        facts=dialogue.facts,
        finish_reason="stop",
        prompt_tokens=1,
        completion_tokens=1,
        latency_seconds=0.1,
        first_token_seconds=None,
    )


@pytest.fixture
def teacher(tiny_model: Path) -> tuple[Any, Any]:
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    return model, AutoTokenizer.from_pretrained(tiny_model)


def test_answers_take_the_place_of_the_last_turn(questions: list[Dialogue]) -> None:
    there = [answer(questions[3], "Так."), answer(questions[1], " ")]
    found = with_answers(questions, there)
    assert [row.dialogue_id for row in found] == [questions[3].dialogue_id]
    assert found[0].answer == "Так."
    assert found[0].turns[:-1] == questions[3].turns[:-1]


def test_a_teacher_that_was_killed_goes_on_answering(
    teacher: tuple[Any, Any],
    questions: list[Dialogue],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(teacher_answers, "BATCH", 4)
    model, tokenizer = teacher
    whole = write_answers(model, tokenizer, questions, 8, tmp_path / "whole.jsonl")
    generate, calls = model.generate, iter(range(9))

    def killed(**options: Any) -> Any:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return generate(**options)

    path = tmp_path / "answers.jsonl"
    model.generate = killed
    with pytest.raises(KeyboardInterrupt):
        write_answers(model, tokenizer, questions, 8, path)
    with path.open("a", encoding="utf-8") as file:
        file.write('{"dialogue_id": "half a li')
    found = write_answers(model, tokenizer, questions, 8, path)
    assert next(calls) == 4  # three batches and the one that was killed
    assert texts(found) == texts(whole) == texts(read_jsonl(path, Answer))


def texts(rows: list[Answer]) -> dict[str, tuple[str, str]]:
    return {row.dialogue_id: (row.answer, row.finish_reason) for row in rows}


def test_greedy_answers_are_those_of_one_question_alone(
    teacher: tuple[Any, Any], questions: list[Dialogue], tmp_path: Path
) -> None:
    """Padding of a batch plays no part."""
    model, tokenizer = teacher
    found = write_answers(model, tokenizer, questions, 8, tmp_path / "answers.jsonl")
    turns = [{"role": "user", "content": questions[0].question}]
    ids = tokenizer.apply_chat_template(
        turns, add_generation_prompt=True, return_dict=False, return_tensors="pt"
    )
    alone = model.generate(ids, do_sample=False, max_new_tokens=8)[0, ids.shape[1] :]
    text = tokenizer.decode(alone, skip_special_tokens=True).strip()
    assert texts(found)[questions[0].dialogue_id][0] == text
