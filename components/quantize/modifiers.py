"""Our settings as llm-compressor's modifiers, which say how far they are."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from compressed_tensors.quantization import fake_quantize
from llmcompressor.modifiers.gptq import GPTQModifier
from llmcompressor.modifiers.gptq.helpers import assign_batches
from llmcompressor.modifiers.quantization import QuantizationModifier
from llmcompressor.modifiers.transform.awq import AWQModifier
from llmcompressor.modifiers.transform.smoothquant import SmoothQuantModifier
from pydantic import PrivateAttr
from torch import Tensor, nn

from components.quantize.settings import QuantizeSettings

Note = Callable[[str, float], None]
"""Takes a layer that is done, and the relative squared error of its outputs."""
CPU_BATCH = 2
"""Layers of one shape that GPTQ takes together on a CPU: query and output, key and value, gate and
up. Its loop over columns is bound by the number of calls, not by arithmetic."""


def smoothing(strength: float, done: Callable[[], None]) -> SmoothQuantModifier:
    """Makes SmoothQuant.

    Args:
        strength: How much of the outliers moves into the weights.
        done: Called after each part of the model.
    """
    modifier = _Smoothing(smoothing_strength=strength)
    modifier._done = done
    return modifier


def gptq(settings: QuantizeSettings, note: Note) -> GPTQModifier:
    """Makes GPTQ.

    Args:
        settings: Scheme and dampening.
        note: Called after each layer.
    """
    modifier = _Gptq(
        config_groups=_scheme(settings),
        ignore=list(settings.ignore),
        dampening_frac=settings.dampening,
        batched_quantization="auto" if torch.cuda.is_available() else CPU_BATCH,
    )
    modifier._note = note
    return modifier


def nearest(settings: QuantizeSettings) -> QuantizationModifier:
    """Makes rounding to the nearest."""
    return QuantizationModifier(config_groups=_scheme(settings), ignore=list(settings.ignore))


def awq(done: Callable[[], None]) -> AWQModifier:
    """Makes AWQ's scaling, which goes before `nearest` in one recipe.

    Args:
        done: Called after each part of the model.
    """
    modifier = _Awq()
    modifier._done = done
    return modifier


def weight_error(layer: nn.Linear) -> float:
    """Gives the relative squared error of rounding a layer's weights, which are not rounded yet.

    Args:
        layer: With llm-compressor's scales.
    """
    attached: Any = layer
    scale, zero = attached.weight_scale, attached.weight_zero_point
    rounded = fake_quantize(layer.weight, scale, zero, attached.quantization_scheme.weights)
    return float((rounded - layer.weight).square().sum() / layer.weight.square().sum())


def _scheme(settings: QuantizeSettings) -> dict[str, Any]:
    """The `config_groups` of compressed-tensors."""
    integers: dict[str, Any] = {"type": "int", "symmetric": True}
    if settings.scheme == "w4a16":
        weights = integers | {"num_bits": 4, "strategy": "group"}
        weights["group_size"] = settings.group_size
        return {"group_0": {"targets": ["Linear"], "weights": weights}}
    weights = integers | {"num_bits": 8, "strategy": "channel"}
    activations = integers | {"num_bits": 8, "strategy": "token", "dynamic": True}
    groups = {"targets": ["Linear"], "weights": weights, "input_activations": activations}
    return {"group_0": groups}


class _Smoothing(SmoothQuantModifier):
    _done: Callable[[], None] = PrivateAttr()

    def on_sequential_epoch_end(self, state: Any, event: Any, **kwargs: Any) -> None:
        super().on_sequential_epoch_end(state, event, **kwargs)
        self._done()


class _Awq(AWQModifier):
    _done: Callable[[], None] = PrivateAttr()

    def on_sequential_epoch_end(self, state: Any, event: Any, **kwargs: Any) -> None:
        super().on_sequential_epoch_end(state, event, **kwargs)
        self._done()


class _Gptq(GPTQModifier):
    """Measures each layer: the Hessian, which llm-compressor then drops, has what that needs."""

    _note: Note = PrivateAttr()
    _nearest: list[str] = PrivateAttr(default_factory=list)

    def compress_module_list(self, module_list: list[nn.Linear]) -> None:
        for batch in assign_batches(module_list, self.batched_quantization, self.block_size):
            before = [(layer.weight.detach().clone(), self._hessians[layer]) for layer in batch]
            with _one_thread():
                super().compress_module_list(batch)
            for layer, (weight, hessian) in zip(batch, before, strict=True):
                self._note(self._module_names[layer], _output_error(layer, weight, hessian))

    def on_finalize(self, state: Any, **kwargs: Any) -> bool:
        self._nearest = list(self._rtn_fallback_module_names)
        done: bool = super().on_finalize(state, **kwargs)
        return done


@contextmanager
def _one_thread() -> Iterator[None]:
    """GPTQ goes column by column: waking a second thread for each costs more than it gives.

    Measured for all layers of SmolLM2-135M on two cores that had other work: 27 to 36 s with one
    thread, 42 to 63 s with two.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@torch.no_grad()
def _output_error(layer: nn.Linear, weight: Tensor, hessian: Tensor) -> float:
    """tr(D H D^T) / tr(W H W^T), D the change of W and H the inputs' second moments.

    Args:
        layer: The quantized layer.
        weight: Its weight before, (outputs, inputs).
        hessian: (inputs, inputs), up to a factor.
    """
    before = weight.to(hessian.dtype)
    change = layer.weight.to(hessian.dtype) - before
    return float(((change @ hessian) * change).sum() / ((before @ hessian) * before).sum())
