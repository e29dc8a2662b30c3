"""A plan as a table for people and as JSON for programs."""

import io
import json
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from components.train.planner.gpus import GIB
from components.train.planner.memory import base_weights, served_weights, trainable_parameters
from components.train.planner.model_shape import count_parameters
from components.train.planner.plan import ServingPlan, TrainingPlan

WIDTH = 100
Plan = TrainingPlan | ServingPlan
Rows = list[tuple[str, str]]


def as_table(plan: Plan) -> str:
    """Draws a plan.

    Args:
        plan: What fits.

    Returns:
        Lines of a Markdown table, memory in GiB (2^30 bytes) on each GPU.
    """
    table = Table("what", "value", box=box.MARKDOWN)
    rows = _training_rows(plan) if isinstance(plan, TrainingPlan) else _serving_rows(plan)
    for what, value in (*_model_rows(plan), *rows):
        table.add_row(what, value)
    page = io.StringIO()
    Console(file=page, width=WIDTH, color_system=None).print(table)
    return "\n".join(line.strip() for line in page.getvalue().splitlines() if line.strip())


def as_json(plan: Plan) -> str:
    """Writes a plan for a program.

    Args:
        plan: What fits.

    Returns:
        A JSON object; sizes are bytes on one GPU, times seconds but for `dialogue_hours`.
    """
    content: dict[str, Any] = {
        "model": plan.shape.name,
        "parameters": count_parameters(plan.shape).total,
        "gpus": str(plan.pool),
        "work": plan.work.model_dump(),
        "parallelism": plan.parallelism,
        "memory": {**asdict(plan.memory), "total": plan.memory.total},
        "speed": asdict(plan.speed),
    }
    if isinstance(plan, TrainingPlan):
        content["shards"] = plan.shards
    else:
        content |= {"ways": plan.ways, "replicas": plan.replicas, "kv_tokens": plan.cache_tokens}
    return json.dumps(content, indent=2)


def _gib(size: float) -> str:
    return f"{size / GIB:.2f} GiB"


def duration(hours: float) -> str:
    """Writes a time for people."""
    return f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.1f} min"


def _model_rows(plan: Plan) -> Rows:
    parameters = count_parameters(plan.shape).total
    if isinstance(plan, TrainingPlan):
        kind: str = plan.work.method
        weights = base_weights(plan.shape, plan.work.method)
    else:
        kind = plan.work.quantization
        weights = served_weights(plan.shape, plan.work.quantization)
    return [
        ("model", f"{plan.shape.name}, {parameters / 1e9:.3f} billion parameters"),
        ("weights, whole model", f"{weights / 1e9:.1f} GB ({kind})"),
        ("GPUs", str(plan.pool)),
        ("parallelism", plan.parallelism),
    ]


def _training_rows(plan: TrainingPlan) -> Rows:
    work, speed = plan.work, plan.speed
    trained = trainable_parameters(plan.shape, work.method, work.lora_rank)
    memory = [(f"{part}, each GPU", _gib(size)) for part, size in asdict(plan.memory).items()]
    return [
        ("run", f"{work.task}, {work.rows} x {work.sequence_tokens} tokens a GPU at once"),
        ("trained parameters", f"{trained / 1e6:.1f} million"),
        *memory,
        ("total, each GPU", _total(plan)),
        ("update", f"{speed.step_seconds:.1f} s, bound by {speed.bound}"),
        ("tokens per second", f"{speed.tokens_per_second:,.0f} (MFU {speed.mfu:.0%})"),
        (f"{work.dialogues:,} dialogues", f"{duration(speed.dialogue_hours)} of training"),
    ]


def _serving_rows(plan: ServingPlan) -> Rows:
    work, speed = plan.work, plan.speed
    memory = [(f"{part}, each GPU", _gib(size)) for part, size in asdict(plan.memory).items()]
    within = f"{work.answer_tokens}-token answers at once within {work.deadline_seconds:.0f} s"
    return [
        *memory,
        ("total, each GPU", _total(plan)),
        ("cache, each replica", f"{plan.cache_tokens:,} tokens"),
        (within, f"{speed.concurrency}, bound by {speed.limit}"),
        ("an answer then", f"{speed.answer_seconds:.1f} s"),
        ("an answer alone", f"{speed.single_answer_seconds:.1f} s"),
        ("tokens per second", f"{speed.tokens_per_second:,.0f}"),
        (f"{work.dialogues:,} dialogues", f"{duration(speed.dialogue_hours)} of answering"),
    ]


def _total(plan: Plan) -> str:
    memory = plan.pool.gpu.memory
    return f"{_gib(plan.memory.total)} of {_gib(memory)}"
