"""Which layers are quantized, which are not, and why."""

from compressed_tensors.utils.match import is_match
from torch import nn
from transformers import PreTrainedModel

from components.core.errors import RecipeError
from components.quantize.results import LeftAlone
from components.quantize.settings import QuantizeSettings

KERNEL_GROUPS = (128, 64, 32)
"""Group sizes that vLLM's 4-bit kernels have, `MARLIN_SUPPORTED_GROUP_SIZES` in vLLM 0.32."""
SHOWN = 3
"""Layers that an error names before it counts the others."""


def left_alone(model: PreTrainedModel, settings: QuantizeSettings) -> tuple[LeftAlone, ...]:
    """Lists the linear layers that are not quantized.

    Args:
        model: The model; weights may be on the meta device.
        settings: Says what is ignored.

    Returns:
        The layers in the model's order.

    Raises:
        RecipeError: A pattern of `ignore` fits no linear layer.
    """
    linear = _linear(model)
    for pattern in settings.ignore:
        if not any(is_match(name, module, pattern) for name, module in linear.items()):
            raise RecipeError(
                f"quantize.ignore: {pattern!r} fits no linear layer; there are, for example, "
                f"{_some(list(linear))}."
            )
    return tuple(
        LeftAlone(layer=name, why=_reason(model, module, pattern))
        for name, module in linear.items()
        for pattern in [_pattern(name, module, settings)]
        if pattern is not None
    )


def quantized(model: PreTrainedModel, settings: QuantizeSettings) -> dict[str, nn.Linear]:
    """Gives the layers to quantize, after a check that the scheme fits them.

    Args:
        model: The model; weights may be on the meta device.
        settings: The scheme, and what is ignored.

    Returns:
        Layers by name, in the model's order.

    Raises:
        RecipeError: All layers are ignored, or the group size does not divide a layer's width.
    """
    layers = {n: m for n, m in _linear(model).items() if _pattern(n, m, settings) is None}
    if not layers:
        raise RecipeError("quantize.ignore leaves no layer to quantize; remove a pattern.")
    if settings.scheme == "w4a16":
        _check_widths(layers, settings.group_size)
    return layers


def _linear(model: PreTrainedModel) -> dict[str, nn.Linear]:
    return {name: part for name, part in model.named_modules() if isinstance(part, nn.Linear)}


def _pattern(name: str, module: nn.Linear, settings: QuantizeSettings) -> str | None:
    """The pattern by which a layer is ignored, None when it is not."""
    fitting = (pattern for pattern in settings.ignore if is_match(name, module, pattern))
    return next(fitting, None)


def _reason(model: PreTrainedModel, module: nn.Linear, pattern: str) -> str:
    if module is not model.get_output_embeddings():
        return f"the recipe ignores {pattern}"
    tied = "; its weights are the input embeddings too" if model.config.tie_word_embeddings else ""
    return f"output layer: its errors go into the logits unchanged{tied}"


def _check_widths(layers: dict[str, nn.Linear], group_size: int) -> None:
    wrong = [name for name, layer in layers.items() if layer.in_features % group_size]
    if not wrong:
        return
    widths = sorted({layers[name].in_features for name in wrong})
    fitting = [
        g for g in KERNEL_GROUPS if not any(each.in_features % g for each in layers.values())
    ]
    sizes = ", ".join(map(str, fitting))
    instead = f"take group_size {sizes}" if fitting else "no size that vLLM has fits all layers"
    raise RecipeError(
        f"quantize.group_size: {group_size} does not divide the input width "
        f"{', '.join(map(str, widths))} of {_some(wrong)}; {instead}, or name the layers in ignore."
    )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
