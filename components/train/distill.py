"""Distillation: an adapter with which a small student answers like its teacher."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from datasets import Dataset
from transformers import AutoConfig, PreTrainedModel, set_seed
from trl import SFTConfig

from components.core.errors import MissingModelError, RecipeError, TrainingError
from components.core.json_lines import read_jsonl
from components.core.schemas import Answer, Dialogue
from components.prepare.subset import Subset, select
from components.train.adapted_model import adapt, fingerprint, load_base, load_tokenizer
from components.train.answer_loss import AnswerLossTrainer, collate
from components.train.checkpoints import checkpoint_place
from components.train.distill_trainer import (
    DistillTrainer,
    collate_with_prompts,
    distill_arguments,
    is_on_policy,
)
from components.train.frozen_linear import pack_frozen_linears
from components.train.settings import DistillSettings
from components.train.student import write_student
from components.train.teacher_answers import with_answers, write_answers
from components.train.tokenized_dialogues import TokenizedDialogues, tokenize
from components.train.training_run import (
    TrainingPaths,
    TrainingSummary,
    run_key,
    summary,
    train,
)

COMPARED_ROWS = 32
"""Training dialogues on which the teacher's layers are compared."""


@dataclass(frozen=True)
class Teacher:
    """Who is learned from."""

    model: Path
    """Its folder, in the Hugging Face layout."""
    answers: Path | None = None
    """JSON lines of `Answer` that it gave to the training questions where it was served; None lets
    it answer them here."""


@dataclass(frozen=True)
class DistillSummary(TrainingSummary):
    """What a distillation came to; training losses at the `token` level are divergences."""

    on_policy_updates: int
    unfinished_answers: int
    """Training questions left out, because the teacher has no whole answer to them."""


def distill(
    settings: DistillSettings,
    paths: TrainingPaths,
    teacher: Teacher,
    subset: Subset | None = None,
) -> DistillSummary:
    """Trains a student's adapter, going on from the last checkpoint of the same run.

    Args:
        settings: The recipe.
        paths: What to read and write; with `student_layers` the student is made in `base`.
        teacher: Who is learned from.
        subset: Which dialogues are trained on and held out; None for all.

    Returns:
        The losses and sizes of the run.

    Raises:
        TrainingError: The teacher has another vocabulary or too few layers, finished no answer,
            or the loss is not finite.
        MissingModelError: The teacher or the student is not there.
        RecipeError: The subset names an unknown product or intent, or several processes would
            have to generate answers.
    """
    part = subset or Subset()
    chosen = select(read_jsonl(paths.train, Dialogue), part)
    _make_student(settings, paths, teacher, chosen)
    learned = _answered(settings, paths, teacher, chosen)
    data = _rows(settings, paths, part, learned)
    place = checkpoint_place(_key(settings, paths, part, teacher), paths.home, os.environ)
    # Made before the models: under ZeRO-3 they tell transformers to shard them.
    config = distill_arguments(settings, place.folder)
    points = train(_trainer(settings, config, paths, teacher, data), settings, paths, place)
    found = summary(points, data[0].input_ids(), data[0].too_long)
    own = (is_on_policy(settings.seed, n, settings.on_policy) for n in range(found.updates))
    return DistillSummary(
        **asdict(found),
        on_policy_updates=sum(own),
        unfinished_answers=len(chosen) - len(learned),
    )


def _make_student(
    settings: DistillSettings, paths: TrainingPaths, teacher: Teacher, rows: Sequence[Dialogue]
) -> None:
    if not (teacher.model / "config.json").exists():
        raise MissingModelError(
            f"There is no teacher in {teacher.model} (no config.json there); give the folder of a "
            "merged model."
        )
    if settings.student_layers:
        tokenizer = load_tokenizer(teacher.model)
        compared = tokenize(rows[:COMPARED_ROWS], tokenizer, settings.max_length).input_ids()
        write_student(teacher.model, settings.student_layers, compared, paths.base)
    if settings.level == "token":
        _check_vocabulary(teacher.model, paths.base)


def _check_vocabulary(teacher: Path, student: Path) -> None:
    """Refuses two models whose distributions cannot be compared token by token."""
    sizes = [AutoConfig.from_pretrained(model).vocab_size for model in (teacher, student)]
    one, other = (load_tokenizer(model).get_vocab() for model in (teacher, student))
    if one != other or sizes[0] != sizes[1]:
        raise TrainingError(
            f"The teacher {teacher} has another vocabulary ({sizes[0]} tokens) than the student "
            f"{student} ({sizes[1]}), so their next tokens cannot be compared; take "
            "level: sequence, or a teacher of the student's family."
        )


def _answered(
    settings: DistillSettings, paths: TrainingPaths, teacher: Teacher, rows: Sequence[Dialogue]
) -> Sequence[Dialogue]:
    """Gives the dialogues to learn, with the teacher's answers if the recipe wants them."""
    if settings.answers == "reference":
        return rows
    if teacher.answers:
        return with_answers(rows, read_jsonl(teacher.answers, Answer))
    if settings.hardware.processes * settings.hardware.nodes > 1:
        raise RecipeError(
            "Several processes cannot share the writing of the teacher's answers; serve the "
            "teacher, ask it the training questions, and give its file with --teacher-answers."
        )
    digest = hashlib.sha256(f"{fingerprint(teacher.model)} {settings.max_answer_tokens}".encode())
    digest.update(paths.train.read_bytes())
    kept = paths.home / "cache" / "answers" / f"teacher-{digest.hexdigest()[:12]}.jsonl"
    model = _load_teacher(settings, teacher)
    if torch.cuda.is_available():
        model.to("cuda")
    tokenizer = load_tokenizer(teacher.model)
    return with_answers(
        rows, write_answers(model, tokenizer, rows, settings.max_answer_tokens, kept)
    )


def _load_teacher(settings: DistillSettings, teacher: Teacher) -> PreTrainedModel:
    model = load_base(settings, teacher.model).requires_grad_(False)
    if not torch.cuda.is_available() and settings.hardware.deepspeed == "none":
        pack_frozen_linears(model)
    return model


def _rows(
    settings: DistillSettings, paths: TrainingPaths, part: Subset, learned: Sequence[Dialogue]
) -> tuple[TokenizedDialogues, TokenizedDialogues]:
    """Tokenizes what is learned, and the held-out dialogues with their reference answers."""
    tokenizer = load_tokenizer(paths.base)
    held = part.model_copy(update={"rows": settings.heldout_rows})
    heldout = select(read_jsonl(paths.test, Dialogue), held)
    rows = tokenize(learned, tokenizer, settings.max_length)
    return rows, tokenize(heldout, tokenizer, settings.max_length, len(rows.rows))


def _key(settings: DistillSettings, paths: TrainingPaths, part: Subset, teacher: Teacher) -> str:
    answers = [teacher.answers] if teacher.answers else []
    inputs = (paths.train, paths.test, paths.base / "config.json", *answers)
    return f"{run_key(settings, part, inputs)}-{fingerprint(teacher.model)[:12]}"


def _trainer(
    settings: DistillSettings,
    config: SFTConfig,
    paths: TrainingPaths,
    teacher: Teacher,
    data: tuple[TokenizedDialogues, TokenizedDialogues],
) -> AnswerLossTrainer:
    set_seed(settings.seed)
    rows, heldout = (Dataset.from_list(part.rows) for part in data)
    shared = {
        "model": adapt(load_base(settings, paths.base), settings),
        "args": config,
        "train_dataset": rows,
        "eval_dataset": heldout,
        "processing_class": load_tokenizer(paths.base),
    }
    if settings.level == "sequence":
        return AnswerLossTrainer(data_collator=collate, **shared)
    trainer = DistillTrainer(
        data_collator=collate_with_prompts,
        teacher_model=_load_teacher(settings, teacher),
        **shared,
    )
    trainer.on_policy = settings.on_policy
    return trainer
