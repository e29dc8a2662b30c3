"""Does a recipe fit the GPUs as it lays itself out on them? Asked before it runs, and after."""

from collections.abc import Sequence

from components.core.errors import BadInputError, DoesNotFitError
from components.train.planner.alternatives import Options, halves, what_fits
from components.train.planner.gpus import GIB, GpuPool
from components.train.planner.memory import training_memory
from components.train.planner.model_shape import ModelShape, known_models, load_shape
from components.train.planner.plan import (
    COUNTS,
    DEFAULTS,
    SHORTEST_ROW,
    TrainingPlan,
    fitting_shards,
    plan_training,
)
from components.train.planner.settings import TrainingWork
from components.train.planner.table import as_table, duration
from components.train.settings import OrpoSettings, SftSettings, TrainingSettings


def preflight(recipes: Sequence[TrainingSettings], pool: GpuPool | None) -> str:
    """Plans each training of a pipeline as its recipe lays it out.

    Args:
        recipes: SFT's, and what else is trained.
        pool: The GPUs; None where there are none.

    Returns:
        Markdown: a plan for each, or why there is none.

    Raises:
        DoesNotFitError: A recipe does not fit; the sentence says which keys to change.
        BadInputError: A recipe asks for more GPUs than there are, or for longer rows than the
            model sees.
        StorageError: The store that an `s3://` base model lies in does not answer.
    """
    if pool is None:
        return "No GPUs were named, so nothing was planned: this run trains on the CPU.\n"
    return "\n\n".join(_section(settings, pool) for settings in recipes) + "\n"


def plan_recipe(settings: TrainingSettings, shape: ModelShape, pool: GpuPool) -> TrainingPlan:
    """Plans one recipe as it stands: on as many GPUs, sharded or not.

    Args:
        settings: The recipe.
        shape: Its base model.
        pool: The GPUs that there are.

    Returns:
        The plan.

    Raises:
        DoesNotFitError: It does not fit; the sentence says which keys to change.
        BadInputError: It asks for more GPUs than there are, or rows are longer than the model
            sees.
    """
    used, work = GpuPool(pool.gpu, _count(settings)), training_work(settings)
    if used.count > pool.count:
        raise BadInputError(
            f"The recipe asks for {used.count} processes, one a GPU, and the pool is {pool}: "
            "lower hardware.processes, or name a larger pool."
        )
    if fitting_shards(shape, used, work, DEFAULTS) is None:
        raise DoesNotFitError(_refusal(shape, used, work))
    return plan_training(shape, used, work)


def training_work(settings: TrainingSettings) -> TrainingWork:
    """Gives a recipe as the planner sees it; rows count as full, and all of them as answers.

    Args:
        settings: The recipe of SFT or ORPO.
    """
    optimizer, hardware = settings.optimizer, settings.hardware
    return TrainingWork(
        task="orpo" if isinstance(settings, OrpoSettings) else "sft",
        method=settings.method,
        sequence_tokens=settings.max_length,
        micro_batch=optimizer.batch_size,
        accumulation=optimizer.accumulation,
        lora_rank=settings.lora.rank,
        checkpointing=hardware.gradient_checkpointing,
        compiled=isinstance(settings, SftSettings) and settings.compile_layers,
        zero3=hardware.deepspeed == "zero3",
    )


def after_out_of_memory(settings: TrainingSettings, gpu_bytes: float) -> str:
    """Says what the planner would change in a recipe that ran out of memory.

    The GPU was full: where the prediction was lower, it was too low by as much, and the advice
    leaves room for the same error.

    Args:
        settings: The recipe.
        gpu_bytes: Memory of one GPU.

    Returns:
        One sentence; it names keys of the recipe.
    """
    lost = f"The GPU's {gpu_bytes / GIB:.0f} GiB ran out"
    shape = _shape(settings)
    if shape is None:
        return f"{lost}: halve optimizer.batch_size and double optimizer.accumulation."
    count, work = _count(settings), training_work(settings)
    predicted = _total(shape, work, count)
    room = DEFAULTS.training_memory_share * min(predicted, gpu_bytes)

    def fits(options: Options) -> bool:
        return _total(shape, work.model_copy(update=dict(options)), count) <= room

    found = what_fits(_changes(work, count), fits)
    told = f"{lost} (the planner predicts {predicted / GIB:.1f})"
    if not found:
        return f"{told}, and no change of the recipe helps: take a larger GPU or a smaller model."
    less = _total(shape, work.model_copy(update=dict(found[0])), count)
    return f"{told}: set {_in_words(found[0])} in the recipe, which takes {less / GIB:.1f}."


def _section(settings: TrainingSettings, pool: GpuPool) -> str:
    task, model = training_work(settings).task, settings.base_model
    shape = _shape(settings)
    if shape is None:
        known = ", ".join(known_models())
        return (
            f"**{task}**: not planned, since the shape of {model} is unknown here (known are "
            f"{known}, and folders and s3:// addresses with a Llama's config.json)."
        )
    plan = plan_recipe(settings, shape, pool)
    updates = settings.optimizer.updates
    time = duration(updates * plan.speed.step_seconds / 3600)
    note = f"{updates:,} updates: {time}. All of this is predicted, not measured."
    return f"**{task}** of {model}\n\n{as_table(plan)}\n\n{note}"


def _shape(settings: TrainingSettings) -> ModelShape | None:
    try:
        return load_shape(settings.base_model)
    except BadInputError:
        return None


def _refusal(shape: ModelShape, used: GpuPool, work: TrainingWork) -> str:
    def fits(options: Options) -> bool:
        fields = {name: value for name, value in options.items() if name != "gpus"}
        pool = GpuPool(used.gpu, options.get("gpus", used.count))
        return fitting_shards(shape, pool, work.model_copy(update=fields), DEFAULTS) is not None

    larger: list[Options] = [{"gpus": n, "zero3": True} for n in COUNTS if n > used.count]
    found = what_fits([*_changes(work, used.count), larger], fits)
    room = used.gpu.memory * DEFAULTS.training_memory_share
    return (
        f"{shape.name} does not fit: the recipe ({work.task}, {work.method}) takes "
        f"{_total(shape, work, used.count) / GIB:.0f} GiB on each of {used}, where "
        f"{room / GIB:.0f} GiB may be filled; "
        + (f"what would fit: {', or '.join(map(_in_words, found))}." if found else "nothing does.")
    )


def _changes(work: TrainingWork, count: int) -> list[list[Options]]:
    """What may change in a recipe: first what leaves the result as it is."""
    batches = halves(work.micro_batch, 1)
    total = work.micro_batch * work.accumulation
    return [
        [] if work.checkpointing else [{"checkpointing": True}],
        [{"micro_batch": size, "accumulation": -(-total // size)} for size in batches],
        [{"zero3": True}] if count > 1 and not work.zero3 else [],
        [{"method": "qlora"}] if work.method == "lora" else [],
        [{"sequence_tokens": row} for row in halves(work.sequence_tokens, SHORTEST_ROW)],
    ]


def _in_words(options: Options) -> str:
    """The keys of a recipe that stand for the planner's options."""
    keys = {
        "checkpointing": "hardware.gradient_checkpointing: true",
        "micro_batch": "optimizer.batch_size: {}",
        "accumulation": "optimizer.accumulation: {}",
        "zero3": "hardware.deepspeed: zero3",
        "method": "method: {}",
        "sequence_tokens": "max_length: {}",
        "gpus": "hardware.processes: {}",
    }
    return " and ".join(keys[name].format(value) for name, value in options.items())


def _total(shape: ModelShape, work: TrainingWork, count: int) -> float:
    return training_memory(shape, work, count if work.zero3 else 1, DEFAULTS).total


def _count(settings: TrainingSettings) -> int:
    return settings.hardware.processes * settings.hardware.nodes
