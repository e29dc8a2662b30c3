"""Writes the KFP package of the build pipeline for a cluster."""

import inspect
from pathlib import Path
from typing import Any

from kfp import compiler, dsl

from components.deploy.component import clean_up
from pipelines import cluster
from pipelines.build.pipeline import build_pipeline
from pipelines.build.place import Place, Stages
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
        guarded_pipeline(cluster.place(), chosen.stages()),
        str(package),
        pipeline_parameters=chosen.parameters(),
    )


def guarded_pipeline(place: Place, stages: Stages) -> Any:
    """Wraps the build pipeline, so that servers it started go, whatever happens to it.

    A cluster needs this and a laptop does not, whose supervisor stops all that a run started. It
    is a pipeline around the other one because KFP lets nothing out of an exit handler, and the
    laptop reads the outputs.

    Args:
        place: What tasks need.
        stages: Which optional stages there are.

    Returns:
        A KFP pipeline with the parameters of the build pipeline and no outputs.
    """
    build = build_pipeline(place, stages)
    signature = inspect.signature(build.pipeline_func)

    def guarded(*values: Any) -> None:
        given = dict(zip(signature.parameters, values, strict=True))
        clean = clean_up(
            temporary=list(stages.temporary),
            candidate=stages.candidate,
            profile=given["profile"],
        )
        with dsl.ExitHandler(place.step(clean, place.server)):
            build(**given).set_display_name("build")

    guarded.__signature__ = signature.replace(return_annotation=None)  # type: ignore[attr-defined]
    guarded.__annotations__ = {
        name: parameter.annotation for name, parameter in signature.parameters.items()
    }
    return dsl.pipeline(name="finist-build", description=build.description)(guarded)
