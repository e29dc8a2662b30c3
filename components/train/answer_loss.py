"""TRL's SFTTrainer with a loss that runs the head on the answer's tokens only.

The stock step spends most of a small model's time in the head and the loss of positions whose
label is ignored (the vocabulary is 85 times the width here). Selecting the answer's positions
before the head gives the same loss; the tests hold the two side by side.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from trl import SFTTrainer

from components.core.errors import TrainingError
from components.core.whole_files import write_text
from components.train.frozen_layers import lower_outputs, pad, run_layers
from components.train.tokenized_dialogues import IGNORED

PACKED = ("position_ids", "cu_seq_lens_q")
"""What a batch of packed rows has beside tokens and labels."""


@dataclass(frozen=True)
class AnswerTokens:
    """What a model says at the positions that carry loss, over all rows of a batch."""

    logits: Tensor
    """`(tokens, vocabulary)`, float32."""
    targets: Tensor
    """The token that comes there, `(tokens,)`."""
    rows: Tensor
    """The batch's row that each belongs to, `(tokens,)`."""


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
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Gives the mean cross-entropy over answer tokens, in nats.

        Args:
            model: The base model with its adapter, as accelerate wraps it.
            inputs: A batch of `collate` or `collate_packed`.
            return_outputs: Whether to give the (empty) outputs too, as the Trainer asks.
            num_items_in_batch: Answer tokens of the whole update, over accumulated batches and
                processes.

        Returns:
            The loss, or `(loss, {})`.

        Raises:
            TrainingError: The loss is not a finite number; the batch is kept in a file.
        """
        found = self.answer_tokens(model, inputs)
        total = cross_entropy(found.logits, found.targets, reduction="sum")
        if num_items_in_batch is None:
            loss = total / len(found.targets)
        else:  # gradients are averaged over processes, and the count is of all of them
            loss = total / num_items_in_batch * self.accelerator.num_processes
        self.refuse_not_finite(loss, inputs)
        return (loss, {}) if return_outputs else loss

    def answer_tokens(self, model: Any, inputs: Mapping[str, Tensor]) -> AnswerTokens:
        """Runs a model on a batch, its head only where a label is.

        Args:
            model: As accelerate wraps it.
            inputs: `input_ids` and `labels` `(batch, length)`, padded on the right; `index`
                `(batch,)` with frozen lower layers, or what `PACKED` names of a packed row.

        Returns:
            Logits, targets and rows of the labelled positions.
        """
        targets = inputs["labels"][:, 1:]
        chosen = targets != IGNORED
        if self.first_layer:
            causal = model.get_base_model()
            hidden = causal.model.norm(self._upper(causal.model, inputs))
            logits = causal.lm_head(hidden[:, :-1][chosen])
        else:
            logits = logits_at(model, inputs, chosen)
        return AnswerTokens(logits.float(), targets[chosen], chosen.nonzero()[:, 0])

    def skip_layers(self, first: int, rows: Sequence[Sequence[int]]) -> None:
        """Runs the layers below the first adapted one for the last time.

        Args:
            first: The first adapted layer; 0 skips nothing.
            rows: Token ids of every row, in the order of their `index`.
        """
        if first:
            self.lower = lower_outputs(self.model.get_base_model().model, rows, first)
            self.first_layer = first

    def refuse_not_finite(self, loss: Tensor, inputs: Mapping[str, Tensor]) -> None:
        """Stops when the loss is no number, and keeps the batch to look at.

        Args:
            loss: The loss.
            inputs: The batch.

        Raises:
            TrainingError: It is infinite or not a number.
        """
        if torch.isfinite(loss):
            return
        path = Path(self.args.output_dir) / f"bad_batch_{self.state.global_step}.json"
        rows = {name: tensor.tolist() for name, tensor in inputs.items()}
        write_text(path, json.dumps({"update": self.state.global_step, **rows}))
        raise TrainingError(
            f"The loss became {loss.item()} after {self.state.global_step} updates; lower "
            f"optimizer.learning_rate in the recipe, or look at the batch in {path}."
        )

    def _upper(self, transformer: Any, inputs: Mapping[str, Tensor]) -> Tensor:
        rows = [self.lower[index] for index in inputs["index"].tolist()]
        hidden = pad_sequence(rows, batch_first=True).to(inputs["input_ids"].device)
        return run_layers(transformer, hidden, slice(self.first_layer, None))


def logits_at(model: Any, inputs: Mapping[str, Tensor], chosen: Tensor) -> Tensor:
    """Runs a model, and its head on no more columns than hold a chosen position.

    Args:
        model: A causal language model of transformers, bare or wrapped.
        inputs: `input_ids` `(batch, length)`, padded on the right (causality alone then keeps the
            padding out); where rows are packed, `position_ids` and `cu_seq_lens_q`.
        chosen: Which predictions are wanted, `(batch, length - 1)`.

    Returns:
        The logits at the chosen positions, row by row, `(chosen, vocabulary)`.
    """
    columns = chosen.any(dim=0).nonzero()[:, 0]
    packed = {name: inputs[name] for name in PACKED if name in inputs}
    outputs = model(
        input_ids=inputs["input_ids"], logits_to_keep=columns, use_cache=False, **packed
    )
    # Of a single row every column is chosen: to choose again would copy all logits.
    logits: Tensor = outputs.logits[0 if len(chosen) == 1 else chosen[:, columns]]
    return logits


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


def collate_packed(rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
    """Makes one long row of packed rows; nothing is padded.

    Args:
        rows: `input_ids`, `labels` and `seq_lengths` each, as `trl.pack_dataset` gives them.

    Returns:
        `input_ids`, `labels` and `position_ids` `(1, length)`; positions begin anew with each
        dialogue, by which transformers knows that it must see itself alone. `cu_seq_lens_q`, where
        dialogues begin and the last one ends, tells the same to `gpu_layers.attend`.
    """
    ids = [token for row in rows for token in row["input_ids"]]
    labels = [label for row in rows for label in row["labels"]]
    lengths = [length for row in rows for length in row["seq_lengths"]]
    return {
        "input_ids": torch.tensor([ids]),
        "labels": torch.tensor([labels]),
        "position_ids": torch.cat([torch.arange(length) for length in lengths])[None],
        "cu_seq_lens_q": torch.tensor([0, *accumulate(lengths)], dtype=torch.int32),
    }
