import pytest

from components.core.errors import DoesNotFitError
from components.core.recipes import load_recipe
from components.quantize.memory import GIB, check_gpu, needs
from components.quantize.settings import RECIPES, QuantizeSettings

LLAMA = {"vocab_size": 128256, "num_key_value_heads": 8}
CONFIGS = {
    "8b": LLAMA
    | {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32}
    | {"num_attention_heads": 32},
    "70b": LLAMA
    | {"hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80}
    | {"num_attention_heads": 64},
    "405b": LLAMA
    | {"hidden_size": 16384, "intermediate_size": 53248, "num_hidden_layers": 126}
    | {"num_attention_heads": 128},
}
PUBLISHED = {"8b": 8.03e9, "70b": 70.55e9, "405b": 405.85e9}
"""Parameters, from the model cards of Llama 3.1."""


def recipe(name: str) -> QuantizeSettings:
    return load_recipe(RECIPES / f"llama3.1-{name}-w4a16.yaml", QuantizeSettings)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_host_holds_the_published_weights_and_the_rows(name: str) -> None:
    settings = recipe(name)
    rows = 2 * settings.rows * settings.max_length * CONFIGS[name]["hidden_size"] * 2
    assert needs(CONFIGS[name], settings).host - rows == pytest.approx(
        2 * PUBLISHED[name], rel=1e-3
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_each_recipe_fits_one_a100(name: str) -> None:
    check_gpu(needs(CONFIGS[name], recipe(name)), 80 * GIB)


@pytest.mark.parametrize(
    ("algorithm", "tokens", "measured"),
    [("gptq", 21_287, 7.4), ("awq", 21_287, 7.8), ("awq", 85_362, 19.8)],
)
def test_the_gpu_holds_what_was_measured(algorithm: str, tokens: int, measured: float) -> None:
    """GiB of `tests/bench/quantize_gpu.py` on an H100, 2026-11-26; AWQ's grow with the rows."""
    settings = recipe("8b").model_copy(update={"algorithm": algorithm})
    found = needs(CONFIGS["8b"], settings, tokens).gpu / GIB
    assert found == pytest.approx(measured, rel=0.1)


def test_the_widest_layers_hessian_is_what_405b_needs_a_large_gpu_for() -> None:
    settings = recipe("405b")
    needed = needs(CONFIGS["405b"], settings)
    assert needed.gpu > 4 * 53248**2 * 4  # one Hessian and three copies
    with pytest.raises(DoesNotFitError, match="73 GiB of GPU memory and the GPU has 40"):
        check_gpu(needed, 40 * GIB)
    nearest = settings.model_copy(update={"algorithm": "rtn"})
    check_gpu(needs(CONFIGS["405b"], nearest), 40 * GIB)
