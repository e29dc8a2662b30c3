"""What a plan is made for, and what it takes for granted."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Method = Literal["lora", "qlora", "full"]
Quantization = Literal["none", "w8a8", "w4a16", "fp8"]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TrainingWork(_Settings):
    """A training run; tokens are counted with the model's own tokenizer."""

    task: Literal["sft", "orpo"] = "sft"
    method: Method = "lora"
    sequence_tokens: int = Field(2048, ge=16)
    """Length of one row after packing."""
    micro_batch: int = Field(1, ge=1)
    """Rows (for ORPO: pairs of rows) on one GPU at once."""
    accumulation: int = Field(8, ge=1)
    """Micro-batches in one update."""
    lora_rank: int = Field(16, ge=1)
    lora_dropout: bool = False
    """Whether the adapters drop out inputs, and so keep a copy of each."""
    checkpointing: bool = True
    """Keep each layer's input only, and compute the layer again for the backward pass."""
    compiled: bool = False
    """Whether layers are compiled (`compile_layers` of an SFT recipe)."""
    zero3: bool | None = None
    """Whether the GPUs share the model's states; None shares them where a copy does not fit."""
    head_share: float = Field(1.0, gt=0, le=1)
    """Share of positions that reach the head: 1 in stock TRL, the answer's share in Finist."""
    dialogues: int = Field(10_000, ge=1)
    dialogue_tokens: int = Field(512, ge=1)
    epochs: int = Field(1, ge=1)

    @property
    def rows(self) -> int:
        """Rows on one GPU at once: ORPO runs the chosen and the rejected answer together."""
        return self.micro_batch * (2 if self.task == "orpo" else 1)

    @property
    def tokens(self) -> int:
        """Tokens on one GPU at once."""
        return self.rows * self.sequence_tokens


class ServingWork(_Settings):
    """What a model server has to bear."""

    quantization: Quantization = "none"
    prompt_tokens: int = Field(500, ge=1)
    answer_tokens: int = Field(500, ge=1)
    deadline_seconds: float = Field(120.0, gt=0)
    """A full answer must come within this time."""
    dialogues: int = Field(10_000, ge=1)

    @property
    def context_tokens(self) -> int:
        """Tokens whose keys and values one answer keeps at its end."""
        return self.prompt_tokens + self.answer_tokens


class Assumptions(_Settings):
    """What no data sheet says: shares of the peak that software reaches. Change them here."""

    product_share: float = Field(0.77, gt=0, le=1)
    """Share of the bf16 peak that matrix products reach in training."""
    kernel_share: float = Field(0.57, gt=0, le=1)
    """Share of the memory bandwidth that training's small kernels reach, their launches counted."""
    prefill_mfu: float = Field(0.5, gt=0, le=1)
    """Share of the arithmetic peak while a server reads prompts, or decodes a large batch."""
    bandwidth_share: float = Field(0.7, gt=0, le=1)
    """Share of the memory bandwidth that kernels reach."""
    link_share: float = Field(0.7, gt=0, le=1)
    """Share of NVLink's bandwidth that collectives reach."""
    node_link: float = Field(25e9, gt=0)
    """Bytes a second for each GPU between nodes: one 200 Gb/s port a GPU."""
    all_reduce_seconds: float = Field(20e-6, ge=0)
    """Latency of one all-reduce among the GPUs of a node."""
    context_bytes: float = Field(1.5 * 2**30, ge=0)
    """CUDA context, cuBLAS workspaces and NCCL buffers on each GPU."""
    allocator_slack: float = Field(0.1, ge=0)
    """What PyTorch's allocator holds in blocks too small to use, as a share of activations."""
    training_memory_share: float = Field(0.82, gt=0, le=1)
    """Share of a GPU's memory that a training plan may fill: of a published run the prediction
    saw no more (30.0 of 36.6 GB, see the README)."""
    serving_memory_share: float = Field(0.9, gt=0, le=1)
    """vLLM's `gpu_memory_utilization`."""
    batched_tokens: int = Field(8192, ge=1)
    """vLLM's `max_num_batched_tokens`: it profiles its buffers with so many."""
    most_answers: int = Field(1024, ge=1)
    """vLLM's `max_num_seqs`: answers at once on one replica, whose logits it profiles with."""
