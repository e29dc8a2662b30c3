"""TRL's trainer with ORPO's loss, which runs the head on the answers' tokens only."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.trainer_utils import EvalLoopOutput

from components.train.answer_loss import AnswerLossTrainer
from components.train.odds_ratio import log_odds, mean_log_probabilities, orpo_loss

MARGINS = "heldout_margins"
"""Key in the Trainer's log: the margin of each held-out pair, in the order of their numbers."""


class OrpoTrainer(AnswerLossTrainer):
    """ORPO on batches of `collate_pairs`.

    Each pair counts the same, however long its answers: the paper's loss is an expectation over
    pairs. So the mean over a batch is divided by the accumulated batches, and gradients are
    averaged over processes; the count of labels that the Trainer hands over plays no part.

    Attributes:
        odds_weight: Weight of the odds ratio beside the cross-entropy of the chosen answer.
    """

    loss_is_scaled_for_ga = False
    odds_weight: float

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Gives the mean loss of the batch's pairs, in nats.

        Args:
            model: The base model with its adapter, as accelerate wraps it.
            inputs: A batch of `collate_pairs`.
            return_outputs: Whether to give the margins too.
            num_items_in_batch: Not used.

        Returns:
            The loss, or the loss and the margins: log odds of the chosen answer minus log odds of
            the rejected one, `(pairs,)`.

        Raises:
            TrainingError: The loss is not a finite number; the batch is kept in a file.
        """
        rows = len(inputs["labels"])
        found = mean_log_probabilities(self.answer_tokens(model, inputs), rows)
        chosen, rejected = found.chunk(2)
        loss = orpo_loss(chosen, rejected, self.odds_weight).mean()
        self.refuse_not_finite(loss, inputs)
        return (loss, log_odds(chosen) - log_odds(rejected)) if return_outputs else loss

    def prediction_step(
        self,
        model: Any,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gives a held-out batch's loss, its margins, and the pairs' numbers."""
        batch = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            loss, margins = self.compute_loss(model, batch, return_outputs=True)
        return loss, margins, batch["pair"]

    def evaluation_loop(
        self,
        dataloader: Any,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """Measures the held-out pairs, and keeps their margins in the log.

        Returns:
            The Trainer's figures with `preference_accuracy`, the share of pairs whose chosen answer
            is the more probable one, and `preference_margin`, the mean margin.
        """
        output = super().evaluation_loop(
            dataloader, description, False, ignore_keys, metric_key_prefix
        )
        margins = output.predictions[output.label_ids.argsort()]
        # In the state, so that a run that is resumed elsewhere knows them too.
        entry = {"step": self.state.global_step, MARGINS: margins.tolist()}
        self.state.log_history.append(entry)
        output.metrics[f"{metric_key_prefix}_preference_accuracy"] = float((margins > 0).mean())
        output.metrics[f"{metric_key_prefix}_preference_margin"] = float(margins.mean())
        return output


def margins_after(history: Sequence[dict[str, Any]], step: int) -> list[float]:
    """Gives the margins of the held-out pairs after so many updates.

    Args:
        history: The log of an `OrpoTrainer`.
        step: Updates; held-out pairs were measured then.
    """
    found = [entry for entry in history if MARGINS in entry and entry["step"] == step]
    margins: list[float] = found[-1][MARGINS]
    return margins
