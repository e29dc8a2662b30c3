"""KFP face of quantization."""

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Markdown, Metrics, Model, Output

from components.core.images import image


@dsl.component(base_image=image("quantize"), install_kfp_package=False)
def quantize(  # type: ignore[no-untyped-def]  # noqa: ANN201
    recipe: dict,  # type: ignore[type-arg]
    subset: dict,  # type: ignore[type-arg]
    model: Input[Model],
    train: Input[Dataset],
    quantized: Output[Model],
    quantization: Output[Artifact],
    report: Output[Markdown],
    metrics: Output[Metrics],
):
    """Stores the weights in fewer bits, in a checkpoint that vLLM loads as it is."""
    from components.core.step_metrics import log_metrics
    from components.quantize.quantize_step import run_quantize

    paths = {"model": model.path, "train": train.path, "quantized": quantized.path}
    kept = {"quantization": quantization.path, "report": report.path}
    figures = run_quantize(recipe, subset, paths | kept)
    quantized.metadata.update(model.metadata)
    quantized.metadata["quantization"] = recipe["scheme"]
    log_metrics(metrics, figures)
