"""What quantizing layer by layer needs: memory of the GPU and of the host."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.core.errors import DoesNotFitError
from components.quantize.settings import QuantizeSettings

GIB = 2**30
BF16 = 2
FLOAT32 = 4
GPU_REST = 1.5 * GIB
"""CUDA's context, cuBLAS's work space and what fragmentation loses."""


@dataclass(frozen=True)
class Needs:
    """Bytes.

    Attributes:
        gpu: Of the one GPU that is used.
        host: Of host memory; with `offload: disk`, what does not fit is on the disk instead.
    """

    gpu: float
    host: float


def needs(
    config: Mapping[str, Any], settings: QuantizeSettings, tokens: int | None = None
) -> Needs:
    """Estimates the memory that quantizing a Llama-like model takes.

    GPU: one decoder block in bfloat16, the embeddings, which come with the first one, and the
    larger of two peaks. While rows pass: the Hessian of each of its layers (inputs squared,
    float32) and the block's activations for one batch. While GPTQ works on its widest layer: the
    Hessians, three copies of that layer's (what `apply_activation_ordering` of llm-compressor 0.14
    gathers), and four of its weights in float32 (the weights before, GPTQ's own copy, the error of
    a block of columns, the change). AWQ has no Hessians, but keeps for all rows what goes into
    attention, MLP and its last layer, what comes out, before and after, and the attention's mask
    and weights (`_run_samples` of llm-compressor 0.14, which forces eager attention).

    Host: the weights in bfloat16 and the activations of all rows between two blocks, before and
    after. (Two bytes a weight: 405.9e9 weights are 756 GiB.)

    Args:
        config: The model's config.json.
        settings: Rows and their length.
        tokens: Of all rows; None for the most that the settings allow.

    Returns:
        The needs.
    """
    shapes = _block(config)
    weights = sum(rows * columns for rows, columns in shapes)
    hidden = config["hidden_size"]
    tables = 1 if config.get("tie_word_embeddings") else 2
    total = config["num_hidden_layers"] * weights + tables * config["vocab_size"] * hidden
    activations = settings.max_length * sum(rows + columns for rows, columns in shapes) * BF16
    hessians = sum(columns**2 for _, columns in shapes) * FLOAT32
    widest = max(shapes, key=lambda shape: shape[1])
    working = (3 * widest[1] ** 2 + 4 * widest[0] * widest[1]) * FLOAT32
    if settings.algorithm != "gptq":
        hessians = working = 0
    tokens = settings.rows * settings.max_length if tokens is None else tokens
    if settings.algorithm == "awq":
        squares = (1 + config["num_attention_heads"]) * settings.max_length
        activations += tokens * BF16 * (4 * hidden + config["intermediate_size"] + squares)
    between = 2 * tokens * hidden * BF16
    table = config["vocab_size"] * hidden * BF16
    gpu = weights * BF16 + table + hessians + max(activations, working) + GPU_REST
    return Needs(gpu=gpu, host=total * BF16 + between)


def check_gpu(needed: Needs, memory: float) -> None:
    """Refuses a GPU that is too small.

    Args:
        needed: What quantizing takes.
        memory: The GPU's, in bytes.

    Raises:
        DoesNotFitError: It is smaller than what one block takes.
    """
    if needed.gpu > memory:
        raise DoesNotFitError(
            f"Quantizing one block of this model takes {needed.gpu / GIB:.0f} GiB of GPU memory "
            f"and the GPU has {memory / GIB:.0f}; take a larger one, or `algorithm: rtn`, which "
            "needs no Hessians."
        )


def _block(config: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Outputs and inputs of a decoder block's linear layers."""
    hidden, middle = config["hidden_size"], config["intermediate_size"]
    heads = config["num_attention_heads"]
    head = config.get("head_dim") or hidden // heads
    queries, keys = heads * head, (config.get("num_key_value_heads") or heads) * head
    attention = [(queries, hidden), (keys, hidden), (keys, hidden), (hidden, queries)]
    return [*attention, (middle, hidden), (middle, hidden), (hidden, middle)]
