"""Quantizes a model with llm-compressor."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from compressed_tensors.offload import load_offloaded_model
from llmcompressor import oneshot
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from components.core.errors import QuantizationError
from components.core.json_lines import read_jsonl
from components.core.schemas import Dialogue
from components.quantize import modifiers
from components.quantize.calibration import Rendered, packed, render
from components.quantize.checkpoint import tensor_bytes, versions, write_checkpoint
from components.quantize.layers import left_alone, quantized
from components.quantize.memory import check_gpu, needs
from components.quantize.results import LayerError, Quantization
from components.quantize.settings import QuantizeSettings


@dataclass
class _Findings:
    """What comes up on the way."""

    seconds: dict[str, float] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    nearest: tuple[str, ...] = ()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Notes how long a block takes."""
        started = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - started


def compress(model: Path, rows: Path | None, settings: QuantizeSettings, out: Path) -> Quantization:
    """Writes a quantized checkpoint.

    Args:
        model: The folder of a checkpoint.
        rows: JSON lines of the dialogues to calibrate on; None where none are needed.
        settings: How.
        out: Where the checkpoint goes; it appears whole or not at all.

    Returns:
        What was done.

    Raises:
        DoesNotFitError: The GPU is too small for one layer.
        QuantizationError: No calibration row fits, or AWQ is asked for without a GPU.
        RecipeError: The settings do not fit the model.
    """
    findings = _Findings()
    _check(model, settings)
    calibration = _rendered(model, rows, settings) if rows else None
    _check_memory(model, settings, calibration)
    with findings.phase("load"):
        network = _load(model, settings)
    alone, layers = left_alone(network, settings), quantized(network, settings)
    _quantize(network, layers, calibration, settings, findings)
    with findings.phase("save"):
        write_checkpoint(network, model, out)
    return Quantization(
        settings=settings,
        calibration=calibration.summary() if calibration else None,
        quantized_layers=len(layers),
        left_alone=alone,
        error_of="outputs" if settings.algorithm == "gptq" else "weights",
        errors=tuple(LayerError(layer=name, error=findings.errors[name]) for name in layers),
        rounded_to_nearest=findings.nearest,
        bytes_before=tensor_bytes(model),
        bytes_after=tensor_bytes(out),
        seconds=findings.seconds,
        versions=versions(),
    )


def _check(folder: Path, settings: QuantizeSettings) -> None:
    """Refuses what will not work before any weight is read."""
    if settings.algorithm == "awq" and not torch.cuda.is_available():
        # It pins memory for copies to a GPU, whether there is one or not.
        raise QuantizationError(
            "llm-compressor's AWQ runs on a GPU only and there is none; take `algorithm: gptq`."
        )
    config = AutoConfig.from_pretrained(folder)
    with torch.device("meta"):
        hollow = AutoModelForCausalLM.from_config(config)
    left_alone(hollow, settings)
    quantized(hollow, settings)


def _check_memory(folder: Path, settings: QuantizeSettings, calibration: Rendered | None) -> None:
    if torch.cuda.is_available():
        config = AutoConfig.from_pretrained(folder).to_dict()
        tokens = calibration.summary().tokens if calibration else 0
        check_gpu(needs(config, settings, tokens), torch.cuda.mem_get_info()[1])


def _rendered(model: Path, rows: Path, settings: QuantizeSettings) -> Rendered:
    tokenizer = AutoTokenizer.from_pretrained(model)
    return render(read_jsonl(rows, Dialogue), tokenizer, settings.max_length)


def _load(folder: Path, settings: QuantizeSettings) -> PreTrainedModel:
    """Loads the weights into host memory; llm-compressor brings one layer at a time to the GPU.

    Without a GPU it computes in float32: a CPU that emulates bfloat16 took 308 s instead of 184 s
    for SmolLM2-135M in W8A8.
    """
    dtype = "auto" if torch.cuda.is_available() else torch.float32
    if settings.offload == "cpu":
        return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    with load_offloaded_model():
        loaded = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, device_map="auto_offload"
        )
    return loaded.eval()


def _quantize(
    model: PreTrainedModel,
    layers: dict[str, nn.Linear],
    calibration: Rendered | None,
    settings: QuantizeSettings,
    findings: _Findings,
) -> None:
    blocks = model.config.num_hidden_layers
    if settings.scheme == "w8a8" and settings.smoothing is not None:
        # Smoothing leaves the outputs as they are: one pass through each block is enough.
        with findings.phase("smooth"), _bar("smoothing", blocks) as step:
            smooth = modifiers.smoothing(settings.smoothing, step)
            _oneshot(model, [smooth], calibration, settings, propagate_error=False)
    with findings.phase(settings.algorithm):
        if settings.algorithm == "gptq":
            _gptq(model, layers, calibration, settings, findings)
            return
        recipe: list[Any] = [modifiers.nearest(settings)]
        if settings.algorithm == "awq":
            with _bar("awq", blocks) as step:
                recipe.insert(0, modifiers.awq(step))
                _oneshot(model, recipe, calibration, settings, pipeline="independent")
        else:
            _oneshot(model, recipe, None, settings, pipeline="datafree")
    findings.errors |= {name: modifiers.weight_error(layer) for name, layer in layers.items()}


def _gptq(
    model: PreTrainedModel,
    layers: dict[str, nn.Linear],
    calibration: Rendered | None,
    settings: QuantizeSettings,
    findings: _Findings,
) -> None:
    with _bar("gptq", len(layers)) as step:

        def note(layer: str, error: float) -> None:
            findings.errors[layer] = error
            step()

        modifier = modifiers.gptq(settings, note)
        _oneshot(model, [modifier], calibration, settings)
        findings.nearest = tuple(modifier._nearest)


def _oneshot(
    model: PreTrainedModel,
    recipe: list[Any],
    calibration: Rendered | None,
    settings: QuantizeSettings,
    **options: Any,
) -> None:
    """Runs modifiers over the model, block by block."""
    batches = list(packed(calibration.rows, settings.max_length)) if calibration else []
    rows = [
        {"input_ids": torch.tensor([ids]), "position_ids": torch.tensor([positions])}
        for ids, positions in batches
    ]
    data: DataLoader[Any] | None = None
    if rows:
        data = DataLoader(rows, batch_size=None, shuffle=False)  # type: ignore[arg-type]
    oneshot(model=model, dataset=data, recipe=recipe, **{"pipeline": "sequential"} | options)


@contextmanager
def _bar(name: str, total: int) -> Iterator[Callable[[], None]]:
    """Shows progress on stderr; gives what to call after each step."""
    with tqdm(total=total, desc=name, disable=False) as bar:

        def step() -> None:
            bar.update()

        yield step
