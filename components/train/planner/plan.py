"""Chooses how to spread a model over GPUs, or says what would fit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from components.core.errors import BadInputError, DoesNotFitError
from components.train.planner.alternatives import Options, halves, what_fits
from components.train.planner.gpus import GIB, GPUS_PER_NODE, GpuPool
from components.train.planner.memory import (
    ServingMemory,
    TrainingMemory,
    kv_tokens,
    serving_memory,
    training_memory,
)
from components.train.planner.model_shape import ModelShape
from components.train.planner.settings import Assumptions, ServingWork, TrainingWork
from components.train.planner.speed import (
    Server,
    ServingSpeed,
    TrainingSpeed,
    serving_speed,
    training_speed,
)

DEFAULTS = Assumptions()
COUNTS = (1, 2, 4, 8, 16, 32, 64)
"""Numbers of GPUs that are tried when fewer do not do."""
SHORTEST_ROW = 512
"""Tokens; shorter rows are not proposed."""

Work = TypeVar("Work", TrainingWork, ServingWork)


@dataclass(frozen=True)
class TrainingPlan:
    """A training run that fits, and what it takes."""

    shape: ModelShape
    pool: GpuPool
    work: TrainingWork
    shards: int
    """GPUs that share the model's states (ZeRO-3); 1 where each holds all of them."""
    memory: TrainingMemory
    speed: TrainingSpeed

    @property
    def parallelism(self) -> str:
        """In words."""
        if self.shards > 1:
            return f"ZeRO-3 over {self.shards}"
        return "one GPU" if self.pool.count == 1 else f"data parallel over {self.pool.count}"


@dataclass(frozen=True)
class ServingPlan:
    """A model server that fits, and what it bears."""

    shape: ModelShape
    pool: GpuPool
    work: ServingWork
    ways: int
    """Degree of tensor parallelism."""
    replicas: int
    memory: ServingMemory
    cache_tokens: int
    """Tokens that one replica's cache holds."""
    speed: ServingSpeed

    @property
    def parallelism(self) -> str:
        """In words."""
        one = "one GPU" if self.ways == 1 else f"TP{self.ways}"
        replicas = "" if self.replicas == 1 else f", {self.replicas} replicas"
        idle = self.pool.count - self.ways * self.replicas
        return one + replicas + (f", {idle} of the GPUs idle" if idle else "")


def plan_training(
    shape: ModelShape, pool: GpuPool, work: TrainingWork, assumed: Assumptions = DEFAULTS
) -> TrainingPlan:
    """Plans a training run: a copy on each GPU where it fits, else ZeRO-3 over all.

    Args:
        shape: The model.
        pool: The GPUs.
        work: The run.
        assumed: What is taken for granted.

    Returns:
        The plan.

    Raises:
        BadInputError: A row is longer than the model's window.
        DoesNotFitError: Not even ZeRO-3 fits; the message says what would.
    """
    _refuse_long(shape, work.sequence_tokens, "--sequence-tokens")
    shards = fitting_shards(shape, pool, work, assumed)
    if shards is None:
        raise DoesNotFitError(_training_refusal(shape, pool, work, assumed))
    return TrainingPlan(
        shape,
        pool,
        work,
        shards,
        training_memory(shape, work, shards, assumed),
        training_speed(shape, work, pool, shards, assumed),
    )


def plan_serving(
    shape: ModelShape, pool: GpuPool, work: ServingWork, assumed: Assumptions = DEFAULTS
) -> ServingPlan:
    """Plans a model server: tensor parallelism and replicas that bear the most answers in time.

    Args:
        shape: The model.
        pool: The GPUs.
        work: What is served.
        assumed: What is taken for granted.

    Returns:
        The plan; of layouts that bear equally many answers, the one that answers fastest.

    Raises:
        BadInputError: Prompt and answer are longer than the model's window, or the GPUs lack the
            units that the quantization needs.
        DoesNotFitError: No layout leaves room for one answer; the message says what would.
    """
    _refuse_long(shape, work.context_tokens, "--prompt-tokens and --answer-tokens")
    if work.quantization == "fp8" and pool.gpu.fp8 is None:
        raise BadInputError(
            f"{pool.gpu.name} has no FP8 units (H100 and H200 have): choose --quantization w8a8, "
            f"which its INT8 units multiply, or w4a16."
        )
    plans = list(_serving_plans(shape, pool, work, assumed))
    if not plans:
        raise DoesNotFitError(_serving_refusal(shape, pool, work, assumed))
    return max(plans, key=lambda plan: (plan.speed.concurrency, -plan.speed.answer_seconds))


def fitting_shards(
    shape: ModelShape, pool: GpuPool, work: TrainingWork, assumed: Assumptions
) -> int | None:
    """Says how many GPUs share the model's states in a run that fits.

    Args:
        shape: The model.
        pool: The GPUs.
        work: The run.
        assumed: What is taken for granted.

    Returns:
        1 where each GPU holds all of them; None where the run does not fit.
    """
    room = pool.gpu.memory * assumed.training_memory_share
    for shards in shard_counts(work, pool.count):
        if training_memory(shape, work, shards, assumed).total <= room:
            return shards
    return None


def tensor_parallel_ways(shape: ModelShape, count: int) -> list[int]:
    """Degrees of tensor parallelism that vLLM accepts for a model on so many GPUs of one node.

    Args:
        shape: The model; its heads must divide evenly, and so must its key-value heads or the
            GPUs over them.
        count: How many GPUs there are.

    Returns:
        The degrees, rising.
    """
    heads, pairs = shape.num_attention_heads, shape.num_key_value_heads
    return [
        ways
        for ways in range(1, min(count, GPUS_PER_NODE) + 1)
        if heads % ways == 0 and (pairs % ways == 0 or ways % pairs == 0)
    ]


def shard_counts(work: TrainingWork, count: int) -> tuple[int, ...]:
    """Numbers of GPUs that may share the model's states, the preferred one first."""
    if work.zero3 is None:
        return (1, count)
    return (count,) if work.zero3 else (1,)


def _serving_plans(
    shape: ModelShape, pool: GpuPool, work: ServingWork, assumed: Assumptions
) -> Iterator[ServingPlan]:
    for ways in tensor_parallel_ways(shape, pool.count):
        memory = serving_memory(shape, work, pool.gpu, ways, assumed)
        tokens, replicas = kv_tokens(shape, memory, ways), pool.count // ways
        if tokens >= work.context_tokens:
            server = Server(shape, work, pool.gpu, ways, assumed)
            speed = serving_speed(server, tokens, replicas)
            yield ServingPlan(shape, pool, work, ways, replicas, memory, tokens, speed)


def _refuse_long(shape: ModelShape, tokens: int, options: str) -> None:
    if tokens > shape.max_position_embeddings:
        raise BadInputError(
            f"{shape.name} sees {shape.max_position_embeddings} tokens at once, and {options} "
            f"ask for {tokens}: ask for fewer."
        )


def _training_refusal(
    shape: ModelShape, pool: GpuPool, work: TrainingWork, assumed: Assumptions
) -> str:
    def fits(options: Options) -> bool:
        changed, others = _changed(work, pool, options)
        return fitting_shards(shape, others, changed, assumed) is not None

    rows = halves(work.sequence_tokens, SHORTEST_ROW)
    axes: list[list[Options]] = [
        [{"method": "qlora"}] if work.method == "lora" else _lighter_methods(work),
        [{"gpus": count} for count in COUNTS if count > pool.count],
        [{"micro_batch": 1}] if work.micro_batch > 1 else [],
        [{"sequence_tokens": row} for row in rows],
    ]
    found = what_fits(axes, fits)
    needed = training_memory(shape, work, pool.count, assumed).total
    given = pool.gpu.memory * assumed.training_memory_share
    return (
        f"{shape.name} does not fit: --task {work.task} --method {work.method} takes "
        f"{needed / GIB:.0f} GiB on each GPU {_spread('ZeRO-3', pool, pool.count)}, where "
        f"{given / GIB:.0f} GiB may be filled; {_proposal(found, pool, COUNTS[-1])}"
    )


def _serving_refusal(
    shape: ModelShape, pool: GpuPool, work: ServingWork, assumed: Assumptions
) -> str:
    def fits(options: Options) -> bool:
        changed, others = _changed(work, pool, options)
        return any(True for _ in _serving_plans(shape, others, changed, assumed))

    axes: list[list[Options]] = [
        [{"quantization": name} for name in ("w8a8", "w4a16") if name != work.quantization],
        [{"gpus": count} for count in COUNTS if pool.count < count <= GPUS_PER_NODE],
    ]
    found = what_fits(axes, fits)
    ways = tensor_parallel_ways(shape, pool.count)[-1]
    memory = serving_memory(shape, work, pool.gpu, ways, assumed)
    taken = memory.weights + memory.activations + memory.overhead
    given = pool.gpu.memory * assumed.serving_memory_share
    return (
        f"{shape.name} does not fit: --quantization {work.quantization} takes "
        f"{taken / GIB:.0f} GiB on each GPU {_spread(f'TP{ways}', pool, ways)}, before any "
        f"cache, where vLLM gets {given / GIB:.0f} GiB; {_proposal(found, pool, GPUS_PER_NODE)}"
    )


def _spread(how: str, pool: GpuPool, ways: int) -> str:
    return f"of {pool}" if ways == 1 else f"of {pool} even with {how}"


def _changed(work: Work, pool: GpuPool, options: Options) -> tuple[Work, GpuPool]:
    update = {name: value for name, value in options.items() if name != "gpus"}
    return work.model_copy(update=update), GpuPool(pool.gpu, options.get("gpus", pool.count))


def _lighter_methods(work: TrainingWork) -> list[Options]:
    return [{"method": "lora"}, {"method": "qlora"}] if work.method == "full" else []


def _proposal(found: Sequence[Options], pool: GpuPool, most: int) -> str:
    if not found:
        return f"nothing does, up to {most} such GPUs: take a smaller model."
    return f"what would fit: {', or '.join(_as_options(options, pool) for options in found)}."


def _as_options(options: Options, pool: GpuPool) -> str:
    written = {**options}
    if "gpus" in written:
        written["gpus"] = GpuPool(pool.gpu, written["gpus"])
    return " ".join(f"--{name.replace('_', '-')} {value}" for name, value in written.items())
