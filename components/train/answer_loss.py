"""TRL's SFTTrainer with a loss that runs the head on the answer's tokens only.

The stock step spends most of a small model's time in the head and the loss of positions whose
label is ignored (the vocabulary is 85 times the width here). Selecting the answer's positions
before the head gives the same loss; the golden test holds the two side by side.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from trl import SFTTrainer

from components.core.errors import TrainingError
from components.train.frozen_layers import pad, run_layers
from components.train.tokenized_dialogues import IGNORED


class AnswerLossTrainer(SFTTrainer):
    """SFT with cross-entropy on the assistant's tokens, skipping frozen lower layers.

    Attributes:
        lower: Output of the frozen layers by row index; empty when every layer is adapted.
        first_layer: The first adapted layer.
    """

    lower: Sequence[Tensor] = ()
    first_layer: int = 0

    def compute_loss(
        self,
        model: PeftModel,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Gives the mean cross-entropy over answer tokens, in nats.

        Args:
            model: The base model with its adapter.
            inputs: `input_ids` and `labels` `(batch, length)`, `index` `(batch,)`.
            return_outputs: Whether to give the (empty) outputs too, as the Trainer asks.
            num_items_in_batch: Answer tokens of the whole update, over accumulated batches.

        Returns:
            The loss, or `(loss, {})`.

        Raises:
            TrainingError: The loss is not a finite number.
        """
        causal = model.get_base_model()
        hidden = causal.model.norm(self._hidden(causal.model, inputs))
        targets = inputs["labels"][:, 1:]
        chosen = targets != IGNORED
        logits = causal.lm_head(hidden[:, :-1][chosen]).float()
        total = cross_entropy(logits, targets[chosen], reduction="sum")
        loss = total / (num_items_in_batch if num_items_in_batch is not None else chosen.sum())
        if not torch.isfinite(loss):
            raise TrainingError(
                f"The loss became {loss.item()} after {self.state.global_step} updates; lower "
                "optimizer.learning_rate in the recipe."
            )
        return (loss, {}) if return_outputs else loss

    def _hidden(self, transformer: Any, inputs: Mapping[str, Tensor]) -> Tensor:
        if self.first_layer == 0:
            hidden = transformer.embed_tokens(inputs["input_ids"])
        else:
            rows = [self.lower[index] for index in inputs["index"].tolist()]
            hidden = pad_sequence(rows, batch_first=True)
        return run_layers(transformer, hidden, slice(self.first_layer, None))


def collate(rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
    """Makes a batch of rows, padded on the right.

    Args:
        rows: `input_ids`, `labels` and `index` each.

    Returns:
        `input_ids` and `labels` `(batch, length)`, `index` `(batch,)`.
    """
    return {
        "input_ids": pad([row["input_ids"] for row in rows], 0),
        "labels": pad([row["labels"] for row in rows], IGNORED),
        "index": torch.tensor([row["index"] for row in rows]),
    }
