"""Matrix products with weights that never change, by oneDNN with the weights packed once.

PyTorch sends float32 products on a CPU to MKL, which takes its generic path on processors of
other makers, and packs the weights anew at every call. oneDNN's kernels are chosen by what the
processor can do. Packing once per direction is only possible because the weights are frozen; it
costs two more copies of them in memory.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import Linear, Module

ROWS = 512
"""Rows of a typical product, for which oneDNN lays the weights out: batch times length."""


class _FrozenProduct(torch.autograd.Function):
    """`x @ weight.T` whose only gradient is that of `x`."""

    @staticmethod
    def forward(context: Any, hidden: Tensor, packed: Tensor, packed_back: Tensor) -> Tensor:
        context.packed_back = packed_back
        return _product(hidden, packed)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _product(gradients[0].contiguous(), context.packed_back), None, None


def _product(hidden: Tensor, packed: Tensor) -> Tensor:
    # The operator that torch.compile's CPU back end emits for a packed linear layer.
    result: Tensor = torch.ops.mkldnn._linear_pointwise(hidden, packed, None, "none", [], "")
    return result


def pack_frozen_linears(model: Module) -> int:
    """Makes every frozen linear layer without a bias use packed weights; same results.

    Args:
        model: A model on the CPU whose frozen weights have `requires_grad` off.

    Returns:
        How many layers were packed: 0 where this PyTorch has no oneDNN.
    """
    if not torch.backends.mkldnn.is_available():
        return 0
    linears = [layer for layer in model.modules() if isinstance(layer, Linear)]
    frozen = [x for x in linears if x.bias is None and not x.weight.requires_grad]
    for layer in frozen:
        _pack(layer)
    return len(frozen)


def _pack(layer: Linear) -> None:
    weight = layer.weight.detach()
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, ROWS)
    back = torch.ops.mkldnn._reorder_linear_weight(weight.t().contiguous(), ROWS)

    def forward(hidden: Tensor) -> Tensor:
        result: Tensor = _FrozenProduct.apply(hidden, packed, back)
        return result

    layer.forward = forward  # type: ignore[method-assign, assignment]
