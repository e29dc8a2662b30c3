"""KFP face of the training stage."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Artifact, Dataset, Input, Markdown, Metrics, Model, Output

from components.core.images import image


@dsl.component(base_image=image("train"), install_kfp_package=False)
def base_model(name: str, model: Output[Model]) -> NamedTuple("Outputs", address=str):  # type: ignore[valid-type]
    """Brings the base model: weights, tokenizer and chat template.

    Args:
        name: See `materialize`.
        model: Its folder.

    Returns:
        address: What was brought: of `s3://bucket/models/<name>/latest` the version.
    """
    from pathlib import Path

    from components.core.model_pointers import fixed
    from components.core.settings import StoreSettings
    from components.train.base_model import materialize

    address = fixed(StoreSettings(), name)
    materialize(address, Path(model.path))
    model.metadata["base_model"] = address.rsplit("/", 1)[-1]
    return (address,)


@dsl.component(base_image=image("train"), install_kfp_package=False)
def preflight(  # type: ignore[no-untyped-def]  # noqa: ANN201
    recipe: dict,  # type: ignore[type-arg]
    orpo_recipe: dict,  # type: ignore[type-arg]
    gpus: str,
    plan: Output[Markdown],
):
    """Says whether the training fits the GPUs, before any of them is asked for."""
    from pathlib import Path

    from components.core.whole_files import write_text
    from components.train.planner.preflight_step import run_preflight

    write_text(Path(plan.path), run_preflight(recipe, orpo_recipe, gpus))


@dsl.component(base_image=image("train"), install_kfp_package=False)
def sft(  # type: ignore[no-untyped-def]  # noqa: ANN201
    recipe: dict,  # type: ignore[type-arg]
    subset: dict,  # type: ignore[type-arg]
    base: Input[Model],
    train: Input[Dataset],
    test: Input[Dataset],
    adapter: Output[Model],
    losses: Output[Dataset],
    tensorboard: Output[Artifact],
    curve: Output[HTML],
    metrics: Output[Metrics],
):
    """Trains a LoRA adapter with cross-entropy on the answers."""
    from components.core.step_metrics import log_metrics
    from components.train.training_step import run_sft

    paths = {"base": base.path, "train": train.path, "test": test.path, "adapter": adapter.path}
    kept = {"losses": losses.path, "tensorboard": tensorboard.path}
    summary = run_sft(recipe, paths | kept, curve.path, subset)
    adapter.metadata["base_model"] = base.metadata.get("base_model", "")
    log_metrics(metrics, summary)
    adapter.metadata.update(summary)


@dsl.component(base_image=image("train"), install_kfp_package=False)
def orpo(  # type: ignore[no-untyped-def]  # noqa: ANN201
    recipe: dict,  # type: ignore[type-arg]
    base: Input[Model],
    start: Input[Model],
    pairs: Input[Dataset],
    test_pairs: Input[Dataset],
    adapter: Output[Model],
    losses: Output[Dataset],
    tensorboard: Output[Artifact],
    curve: Output[HTML],
    metrics: Output[Metrics],
):
    """Trains the adapter of `sft` on preference pairs."""
    from components.core.step_metrics import log_metrics
    from components.train.training_step import run_orpo

    read = {"base": base.path, "train": pairs.path, "test": test_pairs.path}
    kept = {"adapter": adapter.path, "losses": losses.path, "tensorboard": tensorboard.path}
    figures = run_orpo(recipe, read | kept, curve.path, start.path)
    adapter.metadata["base_model"] = base.metadata.get("base_model", "")
    log_metrics(metrics, figures)
    adapter.metadata.update(figures)


@dsl.component(base_image=image("train"), install_kfp_package=False)
def distill(  # type: ignore[no-untyped-def]  # noqa: ANN201
    recipe: dict,  # type: ignore[type-arg]
    subset: dict,  # type: ignore[type-arg]
    base: Input[Model],
    teacher: Input[Model],
    train: Input[Dataset],
    test: Input[Dataset],
    student: Output[Model],
    losses: Output[Dataset],
    tensorboard: Output[Artifact],
    curve: Output[HTML],
    metrics: Output[Metrics],
):
    """Trains a small student to answer like its teacher, and merges it into one checkpoint."""
    from components.core.step_metrics import log_metrics
    from components.train.training_step import run_distill

    read = {"base": base.path, "teacher": teacher.path, "train": train.path, "test": test.path}
    kept = {"losses": losses.path, "tensorboard": tensorboard.path, "student": student.path}
    kept["adapter"] = f"{student.path}.adapter"
    figures = run_distill(recipe, read | kept, curve.path, subset)
    student.metadata["base_model"] = base.metadata.get("base_model", "")
    log_metrics(metrics, figures)
    student.metadata.update(figures)


@dsl.component(base_image=image("train"), install_kfp_package=False)
def merge(  # type: ignore[no-untyped-def]  # noqa: ANN201
    base: Input[Model], adapter: Input[Model], merged: Output[Model], metrics: Output[Metrics]
):
    """Merges the adapter into the weights and checks the logits."""
    from pathlib import Path

    from components.core.step_metrics import log_metrics
    from components.train.merge import merge as merge_adapter

    difference = merge_adapter(Path(base.path), Path(adapter.path), Path(merged.path))
    merged.metadata.update(adapter.metadata)
    log_metrics(metrics, {"relative_logit_difference": difference})
