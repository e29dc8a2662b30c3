import torch
from torch.nn import Linear, Sequential

from components.train.frozen_linear import pack_frozen_linears


def test_packed_layers_give_the_same_outputs_and_gradients() -> None:
    torch.manual_seed(0)
    model = Sequential(Linear(48, 80, bias=False), Linear(80, 24, bias=False))
    model.requires_grad_(False)
    inputs = torch.randn(2, 7, 48, requires_grad=True)
    expected = model(inputs)
    expected.square().sum().backward()
    expected_gradient = inputs.grad
    inputs.grad = None

    assert pack_frozen_linears(model) == 2
    found = model(inputs)
    found.square().sum().backward()

    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(inputs.grad, expected_gradient)


def test_layers_that_learn_are_left_alone() -> None:
    model = Sequential(Linear(8, 8, bias=False), Linear(8, 8))
    assert pack_frozen_linears(model) == 0
