"""The build pipeline's training: SFT; then, if the recipe has them, ORPO, a student, fewer bits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.prepare.component import preference_pairs
from components.quantize.component import quantize
from components.train.component import base_model as fetch_base_model
from components.train.component import distill, merge, orpo, preflight, sft
from pipelines.build.place import Place, Stages, Task


@dataclass(frozen=True)
class Recipes:
    """The pipeline's parameters that training steps take."""

    sft: Any
    subset: Any
    preferences: Any
    orpo: Any
    distill: Any
    student_model: Any
    quantize: Any


@dataclass(frozen=True)
class Trained:
    """What training gives."""

    models: Mapping[str, Any]
    """Merged models, by the contender's name."""
    last: Task
    """The step that needs the GPUs last."""
    losses: Task
    curves: Mapping[str, Any]
    quantization: Any = None
    """What quantization did; None where there is none."""


def train(
    place: Place, stages: Stages, recipes: Recipes, base: Any, rows: Mapping[str, Any]
) -> Trained:
    """Adds the steps that train.

    Args:
        place: What tasks need.
        stages: Which optional stages there are.
        recipes: What the steps take.
        base: The base model's artifact.
        rows: The artifacts `train` and `test`.

    Returns:
        The models and what to draw of their training.
    """
    fits = preflight(recipe=recipes.sft, orpo_recipe=recipes.orpo, gpus=place.gpus)
    tuned = sft(recipe=recipes.sft, subset=recipes.subset, base=base, **rows)
    place.step(tuned, place.store, place.train).after(place.step(fits, place.store))
    last, models = tuned, {"tuned": merged(place, base, tuned)}
    curves = {"curve": tuned.outputs["curve"]}
    if stages.orpo:
        pairs = place.step(preference_pairs(recipe=recipes.preferences, **rows))
        aligned = orpo(
            recipe=recipes.orpo,
            base=base,
            start=tuned.outputs["adapter"],
            pairs=pairs.outputs["pairs"],
            test_pairs=pairs.outputs["test_pairs"],
        )
        last = place.step(aligned, place.store, place.train)
        models["orpo"] = merged(place, base, aligned)
        curves["orpo_curve"] = aligned.outputs["curve"]
    if stages.distill:
        own = _student_base(place, recipes) if stages.student else base
        student = distill(
            recipe=recipes.distill,
            subset=recipes.subset,
            base=own,
            teacher=models[stages.trained],
            **rows,
        )
        last = place.step(student, place.store, place.train)
        models["distilled"] = student.outputs["student"]
        curves["distill_curve"] = student.outputs["curve"]
    if not stages.quantize:
        return Trained(models, last, tuned, curves)
    smaller = quantize(
        recipe=recipes.quantize,
        subset=recipes.subset,
        model=models[stages.trained],
        train=rows["train"],
    )
    place.step(smaller, place.quantize).after(last)
    models["quantized"] = smaller.outputs["quantized"]
    return Trained(models, smaller, tuned, curves, smaller.outputs["quantization"])


def merged(place: Place, base: Any, adapter: Task) -> Any:
    """Adds the step that merges a trained adapter, and gives the model's artifact."""
    return place.step(merge(base=base, adapter=adapter.outputs["adapter"])).outputs["merged"]


def _student_base(place: Place, recipes: Recipes) -> Any:
    fetched = fetch_base_model(name=recipes.student_model)
    place.step(fetched.set_display_name("student-base"), place.store, place.fetch)
    return fetched.outputs["model"]
