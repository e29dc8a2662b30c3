from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from pydantic import ValidationError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from components.core.errors import FinistError, MissingModelError, RecipeError, TrainingError
from components.core.json_lines import read_jsonl, write_jsonl
from components.core.schemas import Answer, Dialogue, LossPoint
from components.prepare.subset import Subset
from components.train.answer_loss import AnswerLossTrainer, collate
from components.train.distill import DistillSummary, Teacher, distill
from components.train.distill_trainer import (
    DistillTrainer,
    collate_with_prompts,
    distill_arguments,
    is_on_policy,
)
from components.train.frozen_layers import pad
from components.train.merge import save_model
from components.train.settings import (
    DistillSettings,
    HardwareSettings,
    LoraSettings,
    OptimizerSettings,
)
from components.train.student import influences, write_student
from components.train.tiny_model import write_tiny_model
from components.train.tokenized_dialogues import IGNORED, tokenize
from components.train.training_run import TrainingPaths
from components.train.training_step import run_distill

GOLDEN = Path(__file__).parent / "golden_distill_curve.jsonl"
"""The curve of `SETTINGS` with two layers of `teacher`, float32: written by the first run when
absent."""
SHARED: dict[str, Any] = {
    "lora": LoraSettings(rank=8, alpha=16),
    "optimizer": OptimizerSettings(updates=20, batch_size=4, warmup_updates=2, learning_rate=2e-2),
    "heldout_rows": 16,
    "evaluate_every": 10,
    "hardware": HardwareSettings(dtype="float32"),
    "max_length": 256,
}
SETTINGS = DistillSettings(
    level="token",
    student_layers=2,
    answers="reference",
    on_policy=0.5,
    max_answer_tokens=12,
    **SHARED,
)
SEQUENCE = DistillSettings(**SHARED)
SUBSET = Subset(rows=64, seed=1)


def paths(folder: Path, dialogues: Path, base: Path | None = None) -> TrainingPaths:
    return TrainingPaths(
        base=base or folder / "base",
        train=dialogues / "train.jsonl",
        test=dialogues / "test.jsonl",
        adapter=folder / "adapter",
        losses=folder / "losses.jsonl",
        home=folder,
        tensorboard=folder / "tensorboard",
    )


@pytest.fixture(scope="module")
def teacher(tiny_model: Path, dialogues: Path, tmp_path_factory: pytest.TempPathFactory) -> Teacher:
    """The tiny model after sixty updates of all its weights."""
    folder = tmp_path_factory.mktemp("teacher")
    tokenizer, model = AutoTokenizer.from_pretrained(tiny_model), load(tiny_model)
    rows = tokenize(read_jsonl(dialogues / "train.jsonl", Dialogue), tokenizer, 256).rows
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for update in range(60):
        batch = collate([rows[(16 * update + i) % len(rows)] for i in range(16)])
        model(input_ids=batch["input_ids"], labels=batch["labels"]).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    save_model(model, tiny_model, folder / "teacher")
    return Teacher(folder / "teacher")


@pytest.fixture(scope="module")
def questions(dialogues: Path) -> list[Dialogue]:
    return read_jsonl(dialogues / "train.jsonl", Dialogue)[:12]


def curve(folder: Path) -> list[LossPoint]:
    return read_jsonl(folder / "losses.jsonl", LossPoint)


def assert_golden(found: list[LossPoint]) -> None:
    if not GOLDEN.exists():
        write_jsonl(GOLDEN, found)
    golden = read_jsonl(GOLDEN, LossPoint)
    assert [(p.series, p.step) for p in found] == [(p.series, p.step) for p in golden]
    assert [p.loss for p in found] == pytest.approx([p.loss for p in golden], rel=5e-3)


def test_golden_loss_curve(teacher: Teacher, dialogues: Path, tmp_path: Path) -> None:
    summary = distill(SETTINGS, paths(tmp_path, dialogues), teacher, SUBSET)
    first = next(point for point in curve(tmp_path) if point.series == "train")
    assert summary.train_loss < 0.8 * first.loss
    assert summary.heldout_loss < summary.base_heldout_loss
    assert 5 <= summary.on_policy_updates <= 15
    assert_golden(curve(tmp_path))


def test_an_interrupted_run_goes_on_to_the_same_curve(
    teacher: Teacher, dialogues: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = paths(tmp_path, dialogues)
    original = DistillTrainer.training_step

    def cut(self: DistillTrainer, *args: Any) -> Any:
        if self.state.global_step >= 14:
            raise KeyboardInterrupt
        return original(self, *args)

    monkeypatch.setattr(DistillTrainer, "training_step", cut)
    with pytest.raises(KeyboardInterrupt):
        distill(SETTINGS, where, teacher, SUBSET)
    assert list(where.home.glob("checkpoints/*/checkpoint-10"))
    monkeypatch.undo()
    distill(SETTINGS, where, teacher, SUBSET)
    assert_golden(curve(tmp_path))


def test_sequence_level_learns_the_answers_of_a_served_teacher(
    tiny_model: Path, dialogues: Path, tmp_path: Path
) -> None:
    rows = read_jsonl(dialogues / "train.jsonl", Dialogue)
    served = [answer(row, "Спросите в отделении банка.") for row in rows]
    served[0] = answer(rows[0], "Спросите в", finish_reason="length")
    write_jsonl(tmp_path / "answers.jsonl", served)
    where = paths(tmp_path, dialogues, tiny_model)
    summary = distill(SEQUENCE, where, Teacher(tiny_model, tmp_path / "answers.jsonl"))
    assert summary.unfinished_answers == 1
    assert summary.train_rows == len(rows) - 1
    assert summary.train_loss < 7 < summary.heldout_loss  # held out are the reference answers


def answer(dialogue: Dialogue, text: str, finish_reason: str = "stop") -> Answer:
    return Answer(
        dialogue_id=dialogue.dialogue_id,
        contender="served",
        intent=dialogue.intent,
        product=dialogue.product,
        question=dialogue.question,
        reference=dialogue.answer,
        answer=text,
        facts=dialogue.facts,
        finish_reason=finish_reason,
        prompt_tokens=1,
        completion_tokens=1,
        latency_seconds=0.1,
        first_token_seconds=None,
    )


def load(folder: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


@pytest.fixture(scope="module")
def trainer(
    teacher: Teacher,
    questions: list[Dialogue],
    tiny_model: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[DistillTrainer]:
    """With the untrained tiny model as the student, without an adapter."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    rows = tokenize(questions, tokenizer, 256).rows
    made = DistillTrainer(
        model=load(tiny_model),
        teacher_model=load(teacher.model),
        args=distill_arguments(SETTINGS, tmp_path_factory.mktemp("run")),
        train_dataset=Dataset.from_list(rows),
        eval_dataset=Dataset.from_list(rows),
        data_collator=collate_with_prompts,
        processing_class=tokenizer,
    )
    made.on_policy = 1.0
    yield made


@pytest.fixture
def batch(trainer: DistillTrainer) -> dict[str, torch.Tensor]:
    return collate_with_prompts(list(trainer.train_dataset))


def test_the_loss_is_the_one_of_trl(
    trainer: DistillTrainer, batch: dict[str, torch.Tensor]
) -> None:
    """The heads run on the answer's positions only; the figure is that of the whole heads."""
    from trl.experimental.gkd import GKDTrainer

    trainer.model.train()
    real = pad([[1] * len(row["input_ids"]) for row in trainer.train_dataset], 0)
    for count in (None, torch.tensor(100)):
        theirs = GKDTrainer.compute_loss(
            trainer, trainer.model, batch | {"attention_mask": real}, num_items_in_batch=count
        )
        ours = trainer.compute_loss(trainer.model, batch, num_items_in_batch=count)
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=0)


def test_the_loss_of_own_answers_is_the_one_of_trl(
    trainer: DistillTrainer, batch: dict[str, torch.Tensor]
) -> None:
    """TRL's rows are padded on both sides; moved to the right they give the same figure."""
    from trl.experimental.gkd import GKDTrainer

    model, config = trainer.model.eval(), trainer.generation_config
    torch.manual_seed(0)
    ids, mask, labels = GKDTrainer.generate_on_policy_outputs(model, batch, config)
    torch.manual_seed(0)
    own, own_mask, own_labels = trainer.generate_on_policy_outputs(model, batch, config)
    assert own[own_mask == 1].tolist() == ids[mask == 1].tolist()
    assert own_labels[own_labels != IGNORED].tolist() == labels[labels != IGNORED].tolist()
    model.train()
    theirs = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    stock = GKDTrainer.compute_loss(trainer, model, theirs)
    ours = trainer.compute_loss(model, {"input_ids": own, "labels": own_labels})
    torch.testing.assert_close(ours, stock, rtol=1e-4, atol=0)


def test_held_out_dialogues_are_measured_as_in_sft(
    trainer: DistillTrainer, batch: dict[str, torch.Tensor]
) -> None:
    trainer.model.eval()
    with torch.no_grad():
        measured = trainer.compute_loss(trainer.model, batch)
        assert measured == AnswerLossTrainer.compute_loss(trainer, trainer.model, batch)
        trainer.model.train()
        assert measured != trainer.compute_loss(trainer.model, batch)


def test_the_share_of_own_answers_is_the_recipes() -> None:
    for share in (0.0, 0.25, 1.0):
        own = sum(is_on_policy(7, update, share) for update in range(2000))
        assert own == pytest.approx(2000 * share, abs=80)


def test_a_student_has_the_layers_that_do_most(
    teacher: Teacher, questions: list[Dialogue], tmp_path: Path
) -> None:
    idle = load(teacher.model)
    for name in ("self_attn.o_proj", "mlp.down_proj"):  # this layer adds nothing
        torch.nn.init.zeros_(idle.model.layers[1].get_submodule(name).weight)
    idle.save_pretrained(tmp_path / "idle")
    tokenizer = AutoTokenizer.from_pretrained(teacher.model)
    tokenizer.save_pretrained(tmp_path / "idle")
    rows = tokenize(questions, tokenizer, 256).input_ids()
    assert influences(idle, rows)[1] == pytest.approx(0, abs=1e-6)
    write_template(teacher.model, tmp_path / "idle")
    assert write_student(tmp_path / "idle", 3, rows, tmp_path / "student") == (0, 2, 3)
    ids = torch.tensor([rows[0]])
    with torch.inference_mode():
        found = load(tmp_path / "student")(input_ids=ids).logits
        torch.testing.assert_close(found, idle(input_ids=ids).logits, atol=0.02, rtol=0.02)


def write_template(source: Path, target: Path) -> None:
    (target / "chat_template.jinja").write_bytes((source / "chat_template.jinja").read_bytes())


def test_the_step_leaves_a_student_that_serves(
    teacher: Teacher, dialogues: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINIST_HOME", str(tmp_path / "home"))
    names = {"teacher": str(teacher.model), "student": str(tmp_path / "student"), "base": ""}
    names |= {part: str(dialogues / f"{part}.jsonl") for part in ("train", "test")}
    names |= {name: str(tmp_path / name) for name in ("adapter", "losses", "tensorboard")}
    recipe = SETTINGS.model_dump(mode="json")
    figures = run_distill(recipe, names, str(tmp_path / "curve"), SUBSET.model_dump())
    known = set(DistillSummary.__dataclass_fields__)
    assert set(figures) == known | {"relative_logit_difference"}
    assert "<svg" in (tmp_path / "curve").read_text()
    student = load(tmp_path / "student")
    assert student.config.num_hidden_layers == len(student.model.layers) == 2
    template = AutoTokenizer.from_pretrained(tmp_path / "student").chat_template
    assert template == AutoTokenizer.from_pretrained(teacher.model).chat_template


def other_vocabulary(folder: Path) -> Path:
    return write_tiny_model(folder / "other", ["совсем другие слова и слоги"] * 3)


def test_another_vocabulary_is_refused_at_the_token_level(
    teacher: Teacher, dialogues: Path, tmp_path: Path
) -> None:
    student = other_vocabulary(tmp_path)
    settings = SETTINGS.model_copy(update={"student_layers": None})
    with pytest.raises(TrainingError, match="another vocabulary"):
        distill(settings, paths(tmp_path, dialogues, student), teacher, SUBSET)


def test_another_vocabulary_learns_answers(
    dialogues: Path, tmp_path: Path, teacher: Teacher
) -> None:
    student = other_vocabulary(tmp_path)
    rows = read_jsonl(dialogues / "train.jsonl", Dialogue)
    write_jsonl(tmp_path / "answers.jsonl", [answer(row, "Так.") for row in rows])
    settings = SEQUENCE.model_copy(update={"max_length": 512})
    served = Teacher(teacher.model, tmp_path / "answers.jsonl")
    summary = distill(settings, paths(tmp_path, dialogues, student), served, SUBSET)
    assert summary.train_loss < 5


@pytest.mark.parametrize(
    ("change", "model", "error", "words"),
    [
        ({"student_layers": 9}, "", TrainingError, "has 4 layers"),
        ({}, "nowhere", MissingModelError, "no teacher in"),
        (
            {"answers": "teacher", "hardware": HardwareSettings(processes=2)},
            "",
            RecipeError,
            "--teacher-answers",
        ),
        ({"answers": "teacher", "max_answer_tokens": 1}, "", TrainingError, "finished none"),
    ],
)
def test_what_cannot_be_distilled_is_said(
    change: dict[str, Any],
    model: str,
    error: type[FinistError],
    words: str,
    teacher: Teacher,
    dialogues: Path,
    tmp_path: Path,
) -> None:
    who, where = Teacher(teacher.model / model), paths(tmp_path, dialogues, tmp_path / "student")
    with pytest.raises(error, match=words):
        distill(SETTINGS.model_copy(update=change), where, who, SUBSET)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"lora": {"last_layers": 2}}, "all its layers"),
        ({"level": "sequence", "on_policy": 0.5}, "level: token"),
        ({"student_layers": 1}, "student_layers"),
        ({"student_layers": 2, "hardware": {"processes": 2}}, "student_layers"),
    ],
)
def test_recipes_that_contradict_themselves(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        DistillSettings.model_validate(fields)
