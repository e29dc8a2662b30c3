"""Recipes of contenders: the bank's own can be read, and mistakes are named."""

from pathlib import Path

import pytest

from components.core.errors import BadInputError, RecipeError
from components.evaluate.answers import system_prompt
from components.evaluate.contenders import read_contenders

BANK = Path(__file__).parents[1] / "recipes" / "bank.yaml"


def test_the_banks_contenders() -> None:
    found = {each.name: each for each in read_contenders(BANK)}
    assert list(found) == ["gigachat", "chatgpt", "llama-3.1-405b", "saiga-70b"]
    assert found["gigachat"].asking.concurrency <= 10
    assert [name for name, each in found.items() if each.weights] == ["llama-3.1-405b", "saiga-70b"]
    assert found["chatgpt"].api_key_env == "OPENAI_API_KEY"
    assert "оператор" in system_prompt(found["saiga-70b"].prompt)


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("{name: a, model: m}", "either base_url or weights"),
        ("{name: a, model: m, base_url: http://x/v1, weights: s3://b/w}", "and not both"),
        ("{name: a, model: m, weights: /models/w}", "s3:// address"),
        ("{name: A B, model: m, base_url: http://x/v1}", r"contenders\.0\.name"),
        ("{name: a, model: m, base_url: http://x/v1, asking: {concurrency: 0}}", "concurrency"),
        ("{name: a, model: m, base_url: http://x/v1, prices: {prompt: -1}}", "prompt"),
        ("{name: a, model: m, base_url: http://x/v1, price: 3}", "price"),
    ],
)
def test_a_mistake_is_named(entry: str, complaint: str, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"contenders:\n  - {entry}\n", "utf-8")
    with pytest.raises(RecipeError, match=complaint):
        read_contenders(recipe)


def test_a_name_twice_and_a_prompt_that_is_not_there_are_refused(tmp_path: Path) -> None:
    entry = "{name: a, model: m, base_url: http://x/v1, prompt: nobody.v1}"
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"contenders: [{entry}, {entry}]\n", "utf-8")
    with pytest.raises(RecipeError, match="stand twice: a"):
        read_contenders(recipe)
    recipe.write_text(f"contenders: [{entry}]\n", "utf-8")
    with pytest.raises(BadInputError, match=r"'nobody\.v1'"):
        read_contenders(recipe)
