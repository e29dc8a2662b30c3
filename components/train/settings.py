"""Settings of the training stage: one model that feeds the recipe, the CLI and KFP."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LoraSettings(_Settings):
    """Low-rank adapters (Hu et al. 2021, arXiv:2106.09685)."""

    rank: int = Field(32, ge=1)
    alpha: int = Field(64, ge=1)
    target_modules: tuple[str, ...] = (
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    )
    last_layers: int | None = Field(None, ge=1)
    """Adapt only so many layers, counted from the head; None adapts all of them.

    The layers below then never change, so their output for a row is computed once, kept, and
    neither run nor differentiated again.
    """


class OptimizerSettings(_Settings):
    """AdamW with a linear warm-up and a cosine schedule, as transformers has them."""

    learning_rate: float = Field(2e-3, gt=0)
    updates: int = Field(300, ge=1)
    batch_size: int = Field(4, ge=1)
    """Dialogues per update on one device."""
    warmup_updates: int = Field(10, ge=0)
    weight_decay: float = Field(0.0, ge=0)
    max_gradient_norm: float = Field(1.0, gt=0)


class SftSettings(_Settings):
    """Supervised fine-tuning with cross-entropy on the assistant's tokens only."""

    base_model: str = "smollm2-135m-instruct"
    lora: LoraSettings = LoraSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    max_length: int = Field(512, ge=16)
    """Tokens; a longer dialogue is left out and counted, never cut."""
    heldout_rows: int = Field(64, ge=1)
    """Test dialogues of the subset whose loss is followed during training."""
    evaluate_every: int = Field(50, ge=1)
    """Updates between two held-out losses; a checkpoint is written as often."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """`auto` takes bfloat16 where the processor multiplies it, else float32."""
    seed: int = 7
