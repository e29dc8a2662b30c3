"""A training run of milliseconds with all that a real one has: order, chance, a best checkpoint."""

from typing import Any

import pytest
import torch
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from components.train.checkpoints import CheckpointKeeper, CheckpointPlace, newest

UPDATES = 12
EVERY = 3
DIVERGING = {"optim": "sgd", "learning_rate": 2.0, "max_grad_norm": 1e9}
"""Makes it worse with every update: the first checkpoint stays the best."""


class Line(torch.nn.Module):
    """A linear map behind dropout: its curve depends on data order and random state."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 1)
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": (self.linear(self.dropout(x)).squeeze(-1) - labels).square().mean()}


class Evict(TrainerCallback):
    """Ends the run after so many updates, as an evicted pod does."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


def rows(count: int) -> list[dict[str, torch.Tensor]]:
    draw = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, 4, generator=draw)
    return [{"x": row, "labels": row.sum()} for row in inputs]


def trainer(place: CheckpointPlace, *callbacks: TrainerCallback, **changes: Any) -> Trainer:
    torch.manual_seed(0)
    arguments = {"save_total_limit": 3, "learning_rate": 0.1} | changes
    return Trainer(
        model=Line(),
        args=TrainingArguments(
            output_dir=str(place.folder),
            max_steps=UPDATES,
            per_device_train_batch_size=4,
            eval_strategy="steps",
            eval_steps=EVERY,
            save_steps=EVERY,
            logging_steps=1,
            metric_for_best_model="eval_loss",
            greater_is_better=False,
            load_best_model_at_end=True,
            use_cpu=True,
            dataloader_pin_memory=False,
            disable_tqdm=True,
            report_to="none",
            seed=1,
            **arguments,
        ),
        train_dataset=rows(24),
        eval_dataset=rows(8),
        callbacks=[CheckpointKeeper(place), *callbacks],
    )


def train(place: CheckpointPlace, *callbacks: TrainerCallback, **changes: Any) -> Trainer:
    run = trainer(place, *callbacks, **changes)
    run.train(resume_from_checkpoint=newest(place))
    return run


def evicted(place: CheckpointPlace, step: int = 8, **changes: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(place, Evict(step), **changes)


def curve(run: Trainer) -> list[tuple[int, float]]:
    history = run.state.log_history
    kinds = ("loss", "eval_loss")
    return [(entry["step"], entry[kind]) for entry in history for kind in kinds if kind in entry]
