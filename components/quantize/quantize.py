"""Quantizes a checkpoint, and turns a quantized one back into plain numbers."""

import json
import tempfile
from pathlib import Path

from components.core.errors import MissingModelError, QuantizationError
from components.core.json_lines import write_jsonl
from components.core.whole_files import write_text
from components.prepare.subset import Subset
from components.quantize.calibration import choose
from components.quantize.environment import run_job
from components.quantize.job import Job
from components.quantize.results import Quantization
from components.quantize.settings import QuantizeSettings

NEEDED = ("config.json", "tokenizer.json", "chat_template.jinja")
METHOD = "compressed-tensors"


def quantize(
    model: Path, train: Path, settings: QuantizeSettings, out: Path, subset: Subset | None = None
) -> Quantization:
    """Writes a compressed-tensors checkpoint that vLLM loads as it is.

    Args:
        model: The folder of a checkpoint.
        train: JSON lines of `Dialogue`: training rows, to calibrate on.
        settings: How.
        out: Where the checkpoint goes; it appears whole or not at all.
        subset: Which of the rows training took; None for all.

    Returns:
        What was done.

    Raises:
        DoesNotFitError: The GPU is too small for one layer.
        MissingModelError: `model` is no complete checkpoint.
        QuantizationError: There is no quantize environment, or nothing to calibrate on.
        RecipeError: The settings do not fit the model.
        SchemaError: `train` cannot be read.
    """
    _check_model(model)
    with tempfile.TemporaryDirectory(prefix="finist-calibration-") as folder:
        rows = Path(folder, "rows.jsonl") if _calibrates(settings) else None
        if rows:
            write_jsonl(rows, choose(train, subset or Subset(), settings))
        job = Job(model=model.absolute(), out=out.absolute(), settings=settings, rows=rows)
        return Quantization.model_validate_json(run_job(job))


def decompress(model: Path, out: Path) -> None:
    """Writes the weights of a quantized checkpoint as float32, exactly what they stand for.

    For machines whose vLLM has no kernel for the quantized format.

    Args:
        model: The folder of a compressed-tensors checkpoint.
        out: Where the dense checkpoint goes; it appears whole or not at all.

    Raises:
        MissingModelError: `model` is no complete checkpoint.
        QuantizationError: There is no quantize environment, or the checkpoint is not quantized.
    """
    _check_model(model)
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    if config.get("quantization_config", {}).get("quant_method") != METHOD:
        raise QuantizationError(
            f"{model} is not quantized (its config.json has no quantization_config of {METHOD}); "
            "serve it as it is."
        )
    run_job(Job(model=model.absolute(), out=out.absolute()))


def write_quantization(path: Path, quantization: Quantization) -> None:
    """Writes the artifact, JSON."""
    write_text(path, quantization.model_dump_json(indent=1))


def _check_model(model: Path) -> None:
    missing = [name for name in NEEDED if not (model / name).is_file()]
    if missing or not list(model.glob("*.safetensors")):
        raise MissingModelError(
            f"{model} is no complete checkpoint (no {', '.join(missing) or '*.safetensors'}); name "
            "the folder of a merged model."
        )


def _calibrates(settings: QuantizeSettings) -> bool:
    """Whether the settings need rows: rounding to nearest without smoothing does not."""
    smooths = settings.scheme == "w8a8" and settings.smoothing is not None
    return settings.algorithm != "rtn" or smooths
