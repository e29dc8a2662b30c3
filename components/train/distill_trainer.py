"""TRL's GKD trainer, with the heads of student and teacher on the answers' tokens only."""

import random
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from trl import SFTConfig
from trl.import_utils import TRLExperimentalWarning

from components.train.answer_loss import AnswerLossTrainer, collate
from components.train.prompts import left_padded
from components.train.settings import DistillSettings
from components.train.tokenized_dialogues import IGNORED
from components.train.training_run import arguments

with warnings.catch_warnings():  # that its interface may change: the version is pinned
    warnings.simplefilter("ignore", TRLExperimentalWarning)
    from trl.experimental.gkd import GKDConfig, GKDTrainer


def distill_arguments(settings: DistillSettings, run: Path) -> SFTConfig:
    """Gives the Trainer's arguments; see `training_run.arguments`.

    Args:
        settings: The recipe.
        run: The run's folder, for checkpoints.
    """
    return arguments(
        settings,
        run,
        GKDConfig,
        beta=settings.divergence,
        temperature=settings.temperature,
        max_new_tokens=settings.max_answer_tokens,
    )


def is_on_policy(seed: int, update: int, share: float) -> bool:
    """Whether the student writes the answers of an update itself.

    Decided by the update's number, so that all processes and a resumed run agree.

    Args:
        seed: The recipe's.
        update: From 0.
        share: The share of such updates, in [0, 1].
    """
    return random.Random(f"{seed} {update}").random() < share


class DistillTrainer(AnswerLossTrainer, GKDTrainer):
    """Generalized knowledge distillation on batches of `collate_with_prompts`.

    In training the loss is the divergence between student and teacher; held-out dialogues are
    measured by the cross-entropy of the reference answer, as in SFT, so that curves compare.

    Attributes:
        on_policy: Share of updates on answers that the student writes itself.
    """

    on_policy: float

    def training_step(
        self, model: Any, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """Differentiates the loss of a batch, its own answers or the dataset's.

        Args:
            model: The student with its adapter, as accelerate wraps it.
            inputs: A batch of `collate_with_prompts`.
            num_items_in_batch: Answer tokens of the whole update in the dataset; of no use for
                answers that are not written yet, whose loss is the mean over the batch.

        Returns:
            The loss, detached.
        """
        own = is_on_policy(self.args.seed, self.state.global_step, self.on_policy)
        self.lmbda = float(own)  # GKDTrainer generates with this probability
        loss: Tensor = super().training_step(model, inputs, None if own else num_items_in_batch)
        return loss

    def generate_on_policy_outputs(
        self, model: Any, inputs: Mapping[str, Tensor], generation_config: Any
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Lets the student answer.

        Args:
            model: The student, unwrapped.
            inputs: `prompts` and `prompt_attention_mask`, padded on the left.
            generation_config: Length and sampling.

        Returns:
            `input_ids`, `attention_mask` and `labels`, moved to be padded on the right: then
            causality alone keeps the padding out, and positions count as they do in serving.
        """
        ids, mask, labels = GKDTrainer.generate_on_policy_outputs(model, inputs, generation_config)
        real = mask.bool()

        def aligned(rows: Tensor, value: int) -> Tensor:
            parts = [row[kept] for row, kept in zip(rows, real, strict=True)]
            return pad_sequence(parts, batch_first=True, padding_value=value)

        return aligned(ids, 0), aligned(mask, 0), aligned(labels, IGNORED)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Gives the mean divergence over answer tokens, in nats; cross-entropy in evaluation.

        Args:
            model: The student with its adapter, as accelerate wraps it.
            inputs: `input_ids` and `labels`, padded on the right.
            return_outputs: Whether to give the (empty) outputs too, as the Trainer asks.
            num_items_in_batch: Answer tokens of the whole update, over accumulated batches and
                processes.

        Returns:
            The loss, or `(loss, {})`.

        Raises:
            TrainingError: The loss is not a finite number; the batch is kept in a file.
        """
        if not model.training:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        student = self.answer_tokens(model, inputs).logits
        with torch.no_grad():
            teacher = self.answer_tokens(self.teacher_model, inputs).logits
        total = self.generalized_jsd_loss(student, teacher, beta=self.beta, reduction="sum")
        if num_items_in_batch is None:
            loss = total / len(student)
        else:  # gradients are averaged over processes, and the count is of all of them
            loss = total / num_items_in_batch * self.accelerator.num_processes
        self.refuse_not_finite(loss, inputs)
        return (loss, {}) if return_outputs else loss


def collate_with_prompts(rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
    """Makes a batch of rows that also holds what comes before each row's last answer.

    Args:
        rows: `input_ids`, `labels` and `index` each.

    Returns:
        What `collate` gives, and `prompts` and `prompt_attention_mask` `(batch, longest prompt)`,
        padded on the left as generation wants them.
    """
    prompts = left_padded([row["input_ids"][: _prompt_length(row["labels"])] for row in rows])
    return collate(rows) | {
        "prompts": prompts["input_ids"],
        "prompt_attention_mask": prompts["attention_mask"],
    }


def _prompt_length(labels: Sequence[int]) -> int:
    """Tokens before the last answer, which is where a row ends."""
    return max(place for place, label in enumerate(labels) if label == IGNORED) + 1
