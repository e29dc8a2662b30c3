"""How long training and serving take: the roofline of the GPU.

A phase takes the longer of its arithmetic and its memory traffic (Williams et al. 2009, "Roofline:
an insightful visual performance model"). Arithmetic is counted as in PaLM's appendix B
(arXiv:2204.02311): 2 operations for each weight and token, and attention's two products, halved
because a token looks back only.
"""

from dataclasses import dataclass

from components.train.planner.gpus import GPUS_PER_NODE, Gpu, GpuPool
from components.train.planner.memory import (
    BF16,
    base_weights,
    kv_bytes_per_token,
    lora_parameters,
    served_weights,
)
from components.train.planner.model_shape import ModelShape, count_parameters
from components.train.planner.settings import (
    Assumptions,
    Quantization,
    ServingWork,
    TrainingWork,
)

COMPILED_TRAFFIC = 0.5
"""What compiled layers move between matrix products, as a share of what they move otherwise:
measured with and without checkpointing, see README.md."""


@dataclass(frozen=True)
class TrainingFlops:
    """Floating-point operations for each token of training."""

    forward: float
    backward: float
    recomputed: float

    @property
    def model(self) -> float:
        """What training needs, without what is computed twice."""
        return self.forward + self.backward

    @property
    def hardware(self) -> float:
        """What the GPU computes."""
        return self.model + self.recomputed


@dataclass(frozen=True)
class TrainingSpeed:
    """A prediction of a training run."""

    step_seconds: float
    tokens_per_second: float
    mfu: float
    """Share of the bf16 peak, without what is computed twice."""
    dialogue_hours: float
    """Time for all dialogues and epochs."""
    bound: str
    """What the step waits for: `arithmetic`, `memory` or `links`."""


@dataclass(frozen=True)
class ServingSpeed:
    """A prediction of a model server, over all its replicas."""

    concurrency: int
    """Answers at once, so that each comes within the deadline and all fit the cache."""
    limit: str
    """What bounds the concurrency: `deadline`, `cache` or vLLM's `max_num_seqs`."""
    answer_seconds: float
    """A full answer at that concurrency."""
    single_answer_seconds: float
    """A full answer when nobody else asks."""
    tokens_per_second: float
    dialogue_hours: float


def attention_flops(shape: ModelShape, context: float) -> float:
    """Operations of attention for a token that looks back at `context` tokens, in all layers."""
    return 4 * context * shape.query_size * shape.num_hidden_layers


def training_flops(shape: ModelShape, work: TrainingWork) -> TrainingFlops:
    """Counts the operations for each token.

    Forward takes 2 N for N weights that multiply. Backward takes 2 N for the gradients of
    inputs, and 2 N more for those of weights, which frozen weights do not have: LoRA takes
    4 N, not 6 N (LoRA, section 4.2). Dialogues of a packed row see themselves alone, and
    attention's backward is twice its forward. Checkpointing computes the layers, not the head, a
    second time (Korthikanti et al., section 5).

    Args:
        shape: The model.
        work: The run.

    Returns:
        Operations for each token.
    """
    parameters = count_parameters(shape)
    seen = min(work.sequence_tokens, work.dialogue_tokens)
    head = shape.vocab_size * shape.hidden_size * work.head_share
    adapters = 0 if work.method == "full" else lora_parameters(shape, work.lora_rank)
    attention = attention_flops(shape, seen / 2)
    layers = 2 * (parameters.layers + adapters) + attention
    weight_gradients = 2 * (parameters.layers + head if work.method == "full" else adapters)
    return TrainingFlops(
        forward=layers + 2 * head,
        backward=layers + attention + 2 * head + weight_gradients,
        recomputed=layers if work.checkpointing else 0,
    )


def kernel_bytes(shape: ModelShape, work: TrainingWork) -> float:
    """Bytes that a forward pass moves for one token between its matrix products, in all layers.

    Counted kernel by kernel as transformers and PEFT run a Llama: each of two norms 36 h (to
    float32 and back, square, mean, two products), each of two residual sums 6 h, rotary embedding
    18 (q + k), SiLU of gate and its product with up 10 f. The adapter of a linear map reads what
    goes in (2 bytes a number) and writes, scales and adds what comes out (12). Compiled layers take
    several steps at once.

    Args:
        shape: The model: h hidden, q query, k key and f inner size.
        work: The run.

    Returns:
        Bytes.
    """
    sizes = shape.linear_sizes
    layer = 84 * shape.hidden_size + 18 * (shape.query_size + shape.key_value_size)
    layer += 10 * shape.intermediate_size
    if work.method != "full":
        layer += sum(2 * wide + 12 * high for wide, high in sizes)
    return shape.num_hidden_layers * layer * (COMPILED_TRAFFIC if work.compiled else 1)


def link_bandwidth(pool: GpuPool, assumed: Assumptions) -> float:
    """Bytes a second that each GPU of the pool sends to the others."""
    if pool.count > GPUS_PER_NODE:
        return assumed.node_link * assumed.link_share
    return pool.gpu.nvlink * assumed.link_share


def training_seconds(
    shape: ModelShape, work: TrainingWork, pool: GpuPool, shards: int, assumed: Assumptions
) -> dict[str, float]:
    """Time of one micro-batch for each thing it may wait for; they overlap.

    Arithmetic is the matrix products and, in turns with them, the kernels that only move bytes;
    backward moves twice what forward does. Memory traffic reads all weights once for each pass over
    the layers, and QLoRA also writes and reads them unpacked. ZeRO-3 gathers all weights for the
    forward and for the backward pass, and full training scatters its gradients (ZeRO, section 7.2);
    without shards full training reduces its gradients among the copies, twice their size.

    Args:
        shape: The model.
        work: The run.
        pool: The GPUs.
        shards: GPUs that share the model; 1 without ZeRO-3.
        assumed: What is taken for granted.

    Returns:
        Seconds for `arithmetic`, `memory` and `links`.
    """
    flops = work.tokens * training_flops(shape, work).hardware
    between = work.tokens * kernel_bytes(shape, work) * (4 if work.checkpointing else 3)
    weights = base_weights(shape, work.method)
    passes = 3 if work.checkpointing else 2
    unpacked = 2 * BF16 * count_parameters(shape).layers if work.method == "qlora" else 0
    sent = (2 * weights if shards > 1 else 0) + _gradient_traffic(shape, work, shards)
    others = (pool.count - 1) / pool.count
    return {
        "arithmetic": flops / (pool.gpu.bf16 * assumed.product_share)
        + between / (pool.gpu.bandwidth * assumed.kernel_share),
        "memory": passes * (weights + unpacked) / (pool.gpu.bandwidth * assumed.bandwidth_share),
        "links": sent * others / link_bandwidth(pool, assumed),
    }


def _gradient_traffic(shape: ModelShape, work: TrainingWork, shards: int) -> float:
    if work.method != "full":
        return 0.0  # adapters' gradients are under a hundredth of the weights
    return BF16 * count_parameters(shape).total * (1 if shards > 1 else 2)


def training_speed(
    shape: ModelShape, work: TrainingWork, pool: GpuPool, shards: int, assumed: Assumptions
) -> TrainingSpeed:
    """Predicts a training run.

    Args:
        shape: The model.
        work: The run.
        pool: The GPUs, each with rows of its own.
        shards: GPUs that share the model; 1 without ZeRO-3.
        assumed: What is taken for granted.

    Returns:
        The prediction; every position of a packed row is taken as used.
    """
    waits = training_seconds(shape, work, pool, shards, assumed)
    bound = max(waits, key=waits.__getitem__)
    rate = pool.count * work.tokens / waits[bound]
    rows = 2 if work.task == "orpo" else 1
    tokens = work.dialogues * work.dialogue_tokens * work.epochs * rows
    needed = training_flops(shape, work).model
    return TrainingSpeed(
        step_seconds=work.accumulation * waits[bound],
        tokens_per_second=rate,
        mfu=rate * needed / (pool.count * pool.gpu.bf16),
        dialogue_hours=tokens / rate / 3600,
        bound=bound,
    )


def arithmetic_peak(gpu: Gpu, quantization: Quantization) -> float:
    """Operations a second of the units that multiply: w4a16 unpacks to bf16 first."""
    peaks = {"w8a8": gpu.int8, "fp8": gpu.fp8 or gpu.bf16}
    return peaks.get(quantization, gpu.bf16)


class Server:
    """One replica of a model, on `ways` GPUs with tensor parallelism."""

    def __init__(
        self, shape: ModelShape, work: ServingWork, gpu: Gpu, ways: int, assumed: Assumptions
    ) -> None:
        self.shape, self.work, self.gpu, self.ways, self.assumed = shape, work, gpu, ways, assumed
        parameters = count_parameters(shape)
        table = shape.vocab_size * shape.hidden_size
        self.multiplied = parameters.layers + table
        unread = 0 if shape.tie_word_embeddings else BF16 * table
        self.read = served_weights(shape, work.quantization) - unread

    def prefill_seconds(self) -> float:
        """Time to read one prompt: bound by arithmetic."""
        tokens = self.work.prompt_tokens
        flops = tokens * (2 * self.multiplied + attention_flops(self.shape, tokens / 2))
        return self._arithmetic(flops) + self._links(tokens)

    def decode_seconds(self, answers: int) -> float:
        """Time for one token of each of so many answers: bound by memory until many come.

        Every step reads all weights, and each answer's keys and values, on average those of the
        prompt and half of the answer (PagedAttention, section 2.2).
        """
        context = self.work.prompt_tokens + self.work.answer_tokens / 2
        cache = answers * context * kv_bytes_per_token(self.shape, self.ways)
        bandwidth = self.gpu.bandwidth * self.assumed.bandwidth_share
        memory = (self.read / self.ways + cache) / bandwidth
        flops = answers * (2 * self.multiplied + attention_flops(self.shape, context))
        return max(memory, self._arithmetic(flops)) + self._links(answers)

    def answer_seconds(self, answers: int) -> float:
        """Time of a full answer when so many are always under way.

        While one is written, as many prompts as there are answers are read, and decoding waits
        for each: continuous batching in its steady state.
        """
        steps = self.work.answer_tokens * self.decode_seconds(answers)
        return answers * self.prefill_seconds() + steps

    def most_in_time(self) -> int:
        """Answers at once of which each comes within the deadline; 0 if not even one does.

        No more than vLLM runs at once (`Assumptions.most_answers`).
        """
        slow, fast = self.assumed.most_answers + 1, 0
        while slow - fast > 1:
            middle = (slow + fast) // 2
            if self.answer_seconds(middle) <= self.work.deadline_seconds:
                fast = middle
            else:
                slow = middle
        return fast

    def _arithmetic(self, flops: float) -> float:
        peak = arithmetic_peak(self.gpu, self.work.quantization) * self.assumed.prefill_mfu
        return flops / (self.ways * peak)

    def _links(self, tokens: int) -> float:
        """Two all-reduces a layer (Megatron-LM, arXiv:1909.08053), each a ring over the GPUs."""
        if self.ways == 1:
            return 0.0
        moved = 2 * (self.ways - 1) / self.ways * tokens * BF16 * self.shape.hidden_size
        once = self.assumed.all_reduce_seconds + moved / (self.gpu.nvlink * self.assumed.link_share)
        return 2 * self.shape.num_hidden_layers * once


def serving_speed(server: Server, cache_tokens: int, replicas: int) -> ServingSpeed:
    """Predicts what replicas of a server bear together.

    Args:
        server: One replica.
        cache_tokens: Tokens that one replica's cache holds.
        replicas: How many there are, with requests dealt out evenly.

    Returns:
        The prediction; where not even one answer comes in time, the concurrency is 0 and the
        rates are those of one answer at a time.
    """
    work = server.work
    in_cache, in_time = cache_tokens // work.context_tokens, server.most_in_time()
    answers = min(in_cache, in_time)
    seconds = server.answer_seconds(max(answers, 1))
    rate = replicas * max(answers, 1) * work.answer_tokens / seconds
    return ServingSpeed(
        concurrency=replicas * answers,
        limit=_limit(in_cache, in_time, server.assumed.most_answers),
        answer_seconds=seconds,
        single_answer_seconds=server.answer_seconds(1),
        tokens_per_second=rate,
        dialogue_hours=work.dialogues * work.answer_tokens / rate / 3600,
    )


def _limit(in_cache: int, in_time: int, most: int) -> str:
    if in_cache < in_time:
        return "cache"
    return "max_num_seqs" if in_time == most else "deadline"
