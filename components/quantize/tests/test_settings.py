from pathlib import Path

import pytest

from components.core.errors import RecipeError
from components.core.recipes import check_recipe, load_recipe
from components.quantize.settings import RECIPES, QuantizeSettings


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_holds_what_its_name_says(path: Path) -> None:
    settings = load_recipe(path, QuantizeSettings)
    assert path.stem.endswith(settings.scheme)
    assert settings.ignore == ("lm_head",)


def test_there_is_a_recipe_for_each_model() -> None:
    names = {path.stem for path in RECIPES.glob("*.yaml")}
    models = ("smollm2-135m", "llama3.1-8b", "llama3.1-70b")
    both = {f"{model}-{scheme}" for model in models for scheme in ("w8a8", "w4a16")}
    assert names == both | {"llama3.1-405b-w4a16"}


@pytest.mark.parametrize("gpu", ["A100", "A100-80GB"])
def test_fp8_is_refused_for_a_gpu_without_units_and_what_to_take_is_said(gpu: str) -> None:
    with pytest.raises(RecipeError, match=rf"{gpu} has no FP8 units.*8\.0.*w8a8.*w4a16") as caught:
        check_recipe("quantize", {"gpu": gpu, "scheme": "fp8"}, QuantizeSettings)
    assert "\n" not in str(caught.value)


def test_fp8_is_refused_on_a_gpu_that_has_units_without_a_false_reason() -> None:
    with pytest.raises(RecipeError, match=r"fp8 is not made here.*w8a8") as caught:
        check_recipe("quantize", {"gpu": "H100", "scheme": "FP8_DYNAMIC"}, QuantizeSettings)
    assert "H100 has no" not in str(caught.value)


def test_awq_goes_with_four_bits_only() -> None:
    with pytest.raises(RecipeError, match=r"algorithm: .*awq is for 4-bit weights"):
        check_recipe("quantize", {"scheme": "w8a8", "algorithm": "awq"}, QuantizeSettings)
    check_recipe("quantize", {"scheme": "w4a16", "algorithm": "awq"}, QuantizeSettings)
