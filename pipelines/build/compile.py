"""Writes the KFP package of the build pipeline for a cluster."""

from pathlib import Path

from kfp import compiler

from pipelines import cluster
from pipelines.build.pipeline import build_pipeline
from pipelines.build.recipe import read_recipe


def write_package(recipe: Path, package: Path) -> None:
    """Compiles the pipeline with a recipe's values as the defaults of its parameters.

    Args:
        recipe: The recipe, YAML.
        package: The KFP package to write, `.yaml`.

    Raises:
        RecipeError: The recipe cannot be used.
    """
    chosen = read_recipe(recipe)
    package.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(
        build_pipeline(cluster.place(), chosen.stages()),
        str(package),
        pipeline_parameters=chosen.parameters(),
    )
