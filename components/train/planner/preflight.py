"""Does a training recipe fit the GPUs as it lays itself out on them? Asked before they are."""

from collections.abc import Iterator, Sequence
from typing import Any

from components.core.errors import BadInputError, DoesNotFitError
from components.train.planner.gpus import GIB, GpuPool
from components.train.planner.memory import training_memory
from components.train.planner.model_shape import ModelShape, known_models, load_shape
from components.train.planner.plan import DEFAULTS, TrainingPlan, plan_training
from components.train.planner.settings import TrainingWork
from components.train.planner.table import as_table
from components.train.settings import OrpoSettings, TrainingSettings

LESS = 0.8
"""A change is worth proposing when it takes this share of the memory, or less."""


def preflight(recipes: Sequence[TrainingSettings], pool: GpuPool | None) -> str:
    """Plans each training of a pipeline.

    Args:
        recipes: SFT's, and what else is trained.
        pool: The GPUs; None where there are none.

    Returns:
        Markdown: a plan for each, or why there is none.

    Raises:
        DoesNotFitError: One does not fit, and what would; or it fits only sharded, and the recipe
            does not shard it.
        BadInputError: A recipe wants more processes than there are GPUs.
    """
    if pool is None:
        return "No GPUs were named, so nothing was planned: this run trains on the CPU.\n"
    return "\n\n".join(_section(settings, pool) for settings in recipes)


def training_work(settings: TrainingSettings) -> TrainingWork:
    """Gives the planner's view of a training recipe; rows are taken to be full."""
    return TrainingWork(
        task="orpo" if isinstance(settings, OrpoSettings) else "sft",
        method=settings.method,
        sequence_tokens=settings.max_length,
        micro_batch=settings.optimizer.batch_size,
        accumulation=settings.optimizer.accumulation,
        lora_rank=settings.lora.rank,
        checkpointing=settings.hardware.gradient_checkpointing,
    )


def after_out_of_memory(settings: TrainingSettings, gpu_bytes: int) -> str:
    """Says what the planner would change in a recipe that ran out of memory.

    Args:
        settings: The recipe.
        gpu_bytes: Memory of one device.

    Returns:
        One sentence; it names keys of the recipe.
    """
    shape = _shape(settings)
    if shape is None:
        return "Halve optimizer.batch_size and double optimizer.accumulation."
    before = _bytes(shape, settings)
    for words, lighter in _lighter(settings):
        after = _bytes(shape, lighter)
        if after <= LESS * before:
            return (
                f"The planner expects {before / GIB:.1f} of {gpu_bytes / GIB:.1f} GiB for this "
                f"recipe, and {after / GIB:.1f} GiB with {words}: change that."
            )
    return "No change of the recipe saves much: take a device with more memory."


def _section(settings: TrainingSettings, pool: GpuPool) -> str:
    work = training_work(settings)
    shape = _shape(settings)
    if shape is None:
        known = ", ".join(known_models())
        return (
            f"**{work.task}**: not planned, since the shape of {settings.base_model} is unknown "
            f"here (known are {known}, and folders with a config.json)."
        )
    plan = plan_training(shape, pool, work)
    _refuse_other_layout(settings, plan)
    return f"**{work.task}** of {settings.base_model}\n\n{as_table(plan)}"


def _refuse_other_layout(settings: TrainingSettings, plan: TrainingPlan) -> None:
    hardware = settings.hardware
    asked = hardware.processes * hardware.nodes
    if asked > plan.pool.count:
        raise BadInputError(
            f"The recipe asks for {asked} processes, one a GPU, and {plan.pool} has "
            f"{plan.pool.count}: lower hardware.processes or name more GPUs."
        )
    if plan.shards > 1 and (hardware.deepspeed == "none" or asked < plan.shards):
        raise DoesNotFitError(
            f"{plan.shape.name} fits {plan.pool} only with {plan.parallelism}: set "
            f"hardware.deepspeed to zero3 and hardware.processes to {plan.shards}."
        )


def _shape(settings: TrainingSettings) -> ModelShape | None:
    try:
        return load_shape(settings.base_model)
    except BadInputError:
        return None


def _bytes(shape: ModelShape, settings: TrainingSettings) -> float:
    hardware = settings.hardware
    shards = hardware.processes * hardware.nodes if hardware.deepspeed != "none" else 1
    return training_memory(shape, training_work(settings), shards, DEFAULTS).total


def _lighter(settings: TrainingSettings) -> Iterator[tuple[str, TrainingSettings]]:
    """Changes that cost nothing in quality first."""
    optimizer, hardware = settings.optimizer, settings.hardware
    if optimizer.batch_size > 1:
        halved: dict[str, Any] = {
            "batch_size": optimizer.batch_size // 2,
            "accumulation": optimizer.accumulation * 2,
        }
        words = ", ".join(f"optimizer.{name}: {value}" for name, value in halved.items())
        yield words, settings.model_copy(update={"optimizer": optimizer.model_copy(update=halved)})
    if not hardware.gradient_checkpointing:
        kept = hardware.model_copy(update={"gradient_checkpointing": True})
        words = "hardware.gradient_checkpointing: true"
        yield words, settings.model_copy(update={"hardware": kept})
    if settings.method == "lora":
        yield "method: qlora", settings.model_copy(update={"method": "qlora"})
    yield (
        f"max_length: {settings.max_length // 2}",
        settings.model_copy(update={"max_length": settings.max_length // 2}),
    )
