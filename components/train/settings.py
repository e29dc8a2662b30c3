"""Settings of the training stage: one model that feeds the recipe, the CLI and KFP."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


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
    """Rows at once on one device: dialogues, packed rows, or pairs (two rows each)."""
    accumulation: int = Field(1, ge=1)
    """Batches of one device in an update."""
    warmup_updates: int = Field(10, ge=0)
    weight_decay: float = Field(0.0, ge=0)
    max_gradient_norm: float = Field(1.0, gt=0)


class HardwareSettings(_Settings):
    """How a run is laid out on processors; none of it changes what is learned."""

    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """`auto` takes bfloat16 where the processor multiplies it, else float32."""
    processes: int = Field(1, ge=1)
    """Processes of one pod, one a GPU, that torchrun starts."""
    nodes: int = Field(1, ge=1)
    """Pods; more than one is a TrainJob of Kubeflow Trainer."""
    deepspeed: Literal["none", "zero3"] = "none"
    """`zero3` shards weights, gradients and optimizer over all processes (arXiv:1910.02054)."""
    gradient_checkpointing: bool = False
    """Compute layers again for the backward pass instead of keeping what is inside them."""
    attention: Literal["sdpa", "flash_attention_2"] = "sdpa"


class TrainingSettings(_Settings):
    """What SFT, ORPO and distillation have in common."""

    base_model: str = "smollm2-135m-instruct"
    method: Literal["lora", "qlora"] = "lora"
    """`qlora` holds the frozen weights in 4-bit NF4 (arXiv:2305.14314); it needs CUDA."""
    lora: LoraSettings = LoraSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    hardware: HardwareSettings = HardwareSettings()
    max_length: int = Field(512, ge=16)
    """Tokens; a longer dialogue is left out and counted, never cut."""
    heldout_rows: int = Field(64, ge=1)
    """Test rows of the subset whose loss is followed during training."""
    evaluate_every: int = Field(50, ge=1)
    """Updates between two held-out losses; a checkpoint is written as often."""
    patience: int | None = Field(None, ge=1)
    """Stop after so many held-out losses in a row without a new best; None runs to the end.

    Either way the weights with the best held-out loss are the ones kept.
    """
    seed: int = 7

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.evaluate_every > self.optimizer.updates:
            raise ValueError("evaluate_every exceeds optimizer.updates: nothing would be measured")
        many = self.hardware.processes * self.hardware.nodes > 1
        if self.lora.last_layers and (many or self.hardware.deepspeed != "none"):
            raise ValueError("lora.last_layers is for one process: leave it out, or hardware")
        if self.hardware.nodes > 1 and self.hardware.deepspeed == "none":
            raise ValueError("hardware.nodes over 1 needs hardware.deepspeed: zero3")
        return self


class SftSettings(TrainingSettings):
    """Supervised fine-tuning with cross-entropy on the assistant's tokens only."""

    packing: bool = False
    """Join short dialogues into rows of `max_length`, each seeing itself alone."""
    compile_layers: bool = False
    """On a GPU, let torch.compile fuse what a layer does between its matrix products: a third
    faster, after a minute; it needs a C compiler."""

    @model_validator(mode="after")
    def _packs_whole_models(self) -> Self:
        if self.packing and self.lora.last_layers:
            raise ValueError("packing and lora.last_layers exclude one another: drop one of them")
        if self.compile_layers and (self.method == "qlora" or self.hardware.deepspeed != "none"):
            raise ValueError("compile_layers is for method: lora without deepspeed: leave it out")
        return self


class OrpoSettings(TrainingSettings):
    """Odds ratio preference optimization (Hong et al. 2024, arXiv:2403.07691)."""

    odds_weight: float = Field(0.1, ge=0)
    """Weight of the odds-ratio term beside the cross-entropy of the chosen answer: the paper's
    lambda."""


class DistillSettings(TrainingSettings):
    """A student learns to answer like a teacher."""

    student_layers: int | None = Field(None, ge=2)
    """Make the student of so many of the teacher's layers, those that change the hidden state
    most; None trains `base_model`."""
    level: Literal["sequence", "token"] = "sequence"
    """`sequence`: cross-entropy on answers (Kim & Rush 2016, arXiv:1606.07947), which asks nothing
    of the tokenizers. `token`: the teacher's distribution over each next token (generalized
    knowledge distillation, Agarwal et al. 2023, arXiv:2306.13649), for one vocabulary."""
    answers: Literal["teacher", "reference"] = "teacher"
    """Whose answers to the training questions the student is shown: those that the teacher gives,
    or those of the dataset."""
    on_policy: float = Field(0.0, ge=0, le=1)
    """Share of updates on answers that the student writes itself (the paper's lambda); `token`."""
    divergence: float = Field(0.5, ge=0, le=1)
    """Where the generalized Jensen-Shannon divergence stands between forward (0) and reverse (1)
    KL (the paper's beta); `token`."""
    temperature: float = Field(1.0, gt=0)
    """Of sampling the student's own answers."""
    max_answer_tokens: int = Field(64, ge=1)
    """Of the answers that teacher and student write."""

    @model_validator(mode="after")
    def _is_distillation(self) -> Self:
        if self.lora.last_layers:
            raise ValueError("a student learns with all its layers: leave out lora.last_layers")
        if self.level == "sequence" and self.on_policy:
            raise ValueError("on_policy needs level: token")
        if self.student_layers and self.hardware.processes * self.hardware.nodes > 1:
            raise ValueError("student_layers is for one process: leave it out, or hardware")
        return self
