"""The recipes that come with Finist can be read, and the planner says that they fit."""

from pathlib import Path

import pytest

from components.train.planner.gpus import parse_gpus
from components.train.planner.model_shape import load_shape
from components.train.planner.preflight import plan_recipe, preflight
from pipelines.build.recipe import RECIPES, BuildRecipe, read_recipe

POOL = parse_gpus("4xA100-80GB")
PARALLELISM = {
    "smollm2-135m-laptop": "one GPU",
    "smollm2-135m-laptop-full": "one GPU",
    "saiga-llama3.1-70b-lora": "ZeRO-3 over 4",
    "saiga-llama3.1-70b-to-8b": "ZeRO-3 over 4",
    "saiga-llama3.1-70b-qlora": "data parallel over 4",
    "llama3.1-8b-lora": "data parallel over 4",
}


@pytest.fixture(params=PARALLELISM)
def recipe(request: pytest.FixtureRequest) -> BuildRecipe:
    return read_recipe(Path(request.param))


def test_every_recipe_is_checked_here() -> None:
    names = {path.stem for path in RECIPES.glob("*.yaml") if not path.stem.startswith("gates")}
    assert names == set(PARALLELISM)


@pytest.mark.parametrize(("name", "parallelism"), PARALLELISM.items())
def test_training_fits_the_pool_in_the_layout_that_was_meant(name: str, parallelism: str) -> None:
    settings = read_recipe(Path(name)).sft
    plan = plan_recipe(settings, load_shape(settings.base_model), POOL)
    assert plan.parallelism == parallelism


def test_the_preflight_plans_every_training_of_a_recipe(recipe: BuildRecipe) -> None:
    trainings = [recipe.sft, *([recipe.orpo] if recipe.orpo else [])]
    page = preflight(trainings, POOL)
    assert page.count("tokens per second") == len(trainings)
    assert "not planned" not in page


def test_stages_of_a_recipe_train_the_same_model(recipe: BuildRecipe) -> None:
    if recipe.orpo:
        assert recipe.orpo.base_model == recipe.sft.base_model
        assert recipe.orpo.lora == recipe.sft.lora


def test_what_a_recipe_gives_the_pipeline_is_read_back_as_the_same(recipe: BuildRecipe) -> None:
    given = recipe.parameters()
    assert given["base_model"] == recipe.sft.base_model
    assert type(recipe.sft).model_validate(given["recipe"]) == recipe.sft


def test_a_quantized_candidate_must_have_kept_98_percent_unless_the_recipe_says_otherwise() -> None:
    def limits(**given: object) -> dict[str, float]:
        gates = BuildRecipe.model_validate(given).parameters()["gates"]["gates"]
        return {one["metric"]: one["limit"] for one in gates if "recovery" in one["metric"]}

    own = {"name": "own", "metric": "recovery.lowest", "kind": "at_least", "limit": 0.5, "why": "x"}
    quantize = "smollm2-135m-w8a8"
    assert limits() == {}
    assert limits(quantize=quantize) == {"recovery.accuracy": 0.98, "recovery.perplexity": 0.98}
    assert limits(quantize=quantize, gates={"gates": [own]}) == {"recovery.lowest": 0.5}


def test_a_quantized_model_is_what_is_released_and_its_origin_is_served_for_a_while() -> None:
    stages = read_recipe(Path("smollm2-135m-laptop-full")).stages()
    assert (stages.trained, stages.candidate) == ("orpo", "quantized")
    assert "orpo" in stages.temporary
    assert "quantized" not in stages.temporary
    assert read_recipe(Path("smollm2-135m-laptop")).stages().candidate == "tuned"
