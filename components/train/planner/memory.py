"""How many bytes a model takes on each GPU, trained or served.

Sources: ZeRO, Rajbhandari et al. 2019, arXiv:1910.02054; activations, Korthikanti et al. 2022,
arXiv:2205.05198; QLoRA, Dettmers et al. 2023, arXiv:2305.14314; LoRA, Hu et al. 2021,
arXiv:2106.09685; PagedAttention (vLLM), Kwon et al. 2023, arXiv:2309.06180.
All sizes are bytes and all are for one GPU, unless a docstring says otherwise.
"""

from dataclasses import astuple, dataclass

from components.train.planner.gpus import Gpu
from components.train.planner.model_shape import ModelShape, count_parameters
from components.train.planner.settings import (
    Assumptions,
    Method,
    Quantization,
    ServingWork,
    TrainingWork,
)

BF16 = 2
FP32 = 4
NF4_BITS = 4.127
"""NF4 with double quantization: 4 bits and 0.127 bit of constants (QLoRA, section 3)."""
ADAM_BYTES = 12
"""Master weight, momentum and variance in float32: K = 12 of ZeRO's section 3.1."""
LIVE_PARAMETERS = 10**9
"""DeepSpeed's default `stage3_max_live_parameters`: gathered at once on each GPU at most."""
QUANTIZED_BITS: dict[Quantization, float] = {
    "none": 16,
    "fp8": 8,
    "w8a8": 8,
    "w4a16": 4 + (16 + 4) / 128,
}
"""Bits of a weight of the layers. w4a16 keeps a 16-bit scale and a 4-bit zero point for each 128
weights (AWQ, arXiv:2306.00978, as AutoAWQ and llm-compressor store it); w8a8 and fp8 keep one
scale for each row, which is under 0.1%."""


@dataclass(frozen=True)
class TrainingMemory:
    """What training holds on one GPU at its peak."""

    weights: float
    gathered: float
    """Weights of other GPUs that are here for the moment (ZeRO-3), or unpacked from NF4."""
    gradients: float
    optimizer: float
    activations: float
    logits: float
    overhead: float

    @property
    def total(self) -> float:
        """All parts together."""
        return float(sum(astuple(self)))


@dataclass(frozen=True)
class ServingMemory:
    """What vLLM holds on one GPU; the cache takes what the rest leaves."""

    weights: float
    activations: float
    overhead: float
    kv_cache: float
    """Below 0 when the rest alone does not fit."""

    @property
    def total(self) -> float:
        """All parts together: the share of the GPU that vLLM was given."""
        return float(sum(astuple(self)))


def lora_parameters(shape: ModelShape, rank: int) -> int:
    """Parameters of adapters on all linear maps of all layers: r (in + out) each (LoRA, 4.1)."""
    return shape.num_hidden_layers * rank * sum(map(sum, shape.linear_sizes))


def trainable_parameters(shape: ModelShape, method: Method, rank: int) -> int:
    """Parameters that get a gradient."""
    if method == "full":
        return count_parameters(shape).total
    return lora_parameters(shape, rank)


def base_weights(shape: ModelShape, method: Method) -> float:
    """The whole model's weights as training holds them: bf16, or NF4 in the layers (QLoRA)."""
    parameters = count_parameters(shape)
    bits = NF4_BITS if method == "qlora" else 8 * BF16
    return parameters.layers * bits / 8 + (parameters.total - parameters.layers) * BF16


def served_weights(shape: ModelShape, quantization: Quantization) -> float:
    """The whole model's weights as served: embeddings, head and norms always stay in bf16."""
    parameters = count_parameters(shape)
    layers = parameters.layers * QUANTIZED_BITS[quantization] / 8
    return layers + (parameters.total - parameters.layers) * BF16


def saved_per_token(shape: ModelShape, work: TrainingWork) -> int:
    """Bytes that one layer keeps for its backward pass, for each token.

    Counted as Korthikanti et al. count theirs (section 4.1, 34 s b h + 5 a s^2 b), for a Llama
    layer with flash attention, which keeps no scores: a float32 copy of the input of each of two
    norms (4 h each), the inputs of attention and of the MLP (2 h each), queries and attention's
    output (2 q each), keys and values (2 k each), gate, up, SiLU of gate and their product
    (2 f each). Compiled layers keep the inputs of norms in bf16 and compute SiLU again. Adapters
    with dropout keep a changed copy and a byte of mask of each linear map's input: 3 (5 h + q + f).

    Args:
        shape: The model: h hidden, q query, k key and f inner size.
        work: The run.

    Returns:
        Bytes.
    """
    hidden, query, inner = shape.hidden_size, shape.query_size, shape.intermediate_size
    norms, products = (8 * hidden, 6 * inner) if work.compiled else (12 * hidden, 8 * inner)
    layer = norms + 4 * query + 4 * shape.key_value_size + products
    dropped = work.method != "full" and work.lora_dropout
    return layer + (3 * (5 * hidden + query + inner) if dropped else 0)


def activation_bytes(shape: ModelShape, work: TrainingWork) -> float:
    """Activations at the peak of a backward pass.

    With checkpointing each layer keeps its bf16 input, 2 s b h (Korthikanti et al., section 5),
    and one layer at a time is computed again; without it every layer keeps all. On top come the
    gradients of gate and up, which are alive together: 4 f for each token.
    """
    saved = saved_per_token(shape, work)
    inputs = BF16 * shape.hidden_size
    layers = shape.num_hidden_layers
    kept = layers * inputs + saved if work.checkpointing else layers * saved
    return float(work.tokens * (kept + 2 * BF16 * shape.intermediate_size))


def logit_bytes(shape: ModelShape, work: TrainingWork) -> float:
    """Logits in bf16, their log-softmax and its gradient in float32: 10 bytes a word.

    The allocator keeps this room beside the layers', so the two are added.
    """
    return work.tokens * work.head_share * shape.vocab_size * (BF16 + 2 * FP32)


def gathered_bytes(shape: ModelShape, method: Method, shards: int) -> float:
    """Weights that are here for the moment: ZeRO-3's live ones, and one map unpacked from NF4."""
    total = count_parameters(shape).total
    live = min(total, LIVE_PARAMETERS) / total * base_weights(shape, method)
    largest = max(wide * high for wide, high in shape.linear_sizes)
    unpacked = BF16 * largest if method == "qlora" else 0
    return (live if shards > 1 else 0) + unpacked


def training_memory(
    shape: ModelShape, work: TrainingWork, shards: int, assumed: Assumptions
) -> TrainingMemory:
    """Adds up what training takes on one GPU.

    Mixed precision takes 2 + 2 + 12 bytes for each trained parameter, and ZeRO-3 divides weights,
    gradients and optimizer by the number of GPUs (ZeRO, section 3.1 and figure 1). Activations
    belong to a GPU's own rows and are not divided.

    Args:
        shape: The model.
        work: The run.
        shards: GPUs that share the model; 1 without ZeRO-3.
        assumed: What is taken for granted.

    Returns:
        The parts.
    """
    trained = trainable_parameters(shape, work.method, work.lora_rank)
    adapters = 0 if work.method == "full" else BF16 * trained
    slack = 1 + assumed.allocator_slack
    return TrainingMemory(
        weights=(base_weights(shape, work.method) + adapters) / shards,
        gathered=gathered_bytes(shape, work.method, shards),
        gradients=BF16 * trained / shards,
        optimizer=ADAM_BYTES * trained / shards,
        activations=activation_bytes(shape, work) * slack,
        logits=logit_bytes(shape, work) * slack,
        overhead=assumed.context_bytes,
    )


def kv_bytes_per_token(shape: ModelShape, ways: int = 1) -> int:
    """Keys and values of one token in bf16, in all layers (PagedAttention, section 3).

    Tensor parallelism deals out the key-value heads; where GPUs outnumber them, each keeps one.
    """
    heads = -(-shape.num_key_value_heads // ways)
    return 2 * BF16 * shape.num_hidden_layers * heads * shape.head_dim


def serving_buffers(shape: ModelShape, ways: int, assumed: Assumptions) -> float:
    """What vLLM's profiling run holds beside weights: its own measure of activations.

    Hidden states of `batched_tokens` tokens (residual, norm, attention's input and output), gate,
    up and their product of this GPU's share, and the sampler's logits for `most_answers` rows in
    bf16 and float32.
    """
    token = BF16 * (4 * shape.hidden_size + 3 * shape.intermediate_size / ways)
    return assumed.batched_tokens * token + assumed.most_answers * shape.vocab_size * (
        BF16 + 2 * FP32
    )


def serving_memory(
    shape: ModelShape, work: ServingWork, gpu: Gpu, ways: int, assumed: Assumptions
) -> ServingMemory:
    """Shares out one GPU's memory as vLLM does.

    Args:
        shape: The model.
        work: What is served.
        gpu: The GPU.
        ways: Degree of tensor parallelism: weights are divided by it.
        assumed: What is taken for granted.

    Returns:
        The parts, with the cache as the rest.
    """
    weights = served_weights(shape, work.quantization) / ways
    activations = serving_buffers(shape, ways, assumed)
    given = gpu.memory * assumed.serving_memory_share
    rest = given - weights - activations - assumed.context_bytes
    return ServingMemory(weights, activations, assumed.context_bytes, rest)


def kv_tokens(shape: ModelShape, memory: ServingMemory, ways: int) -> int:
    """Tokens for which the cache has room."""
    return max(0, int(memory.kv_cache // kv_bytes_per_token(shape, ways)))
