"""KFP faces of publishing: `upload` a candidate, `publish` it when it has passed its gates."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import Artifact, Input, Model

from components.core.images import image


@dsl.component(base_image=image("base"), install_kfp_package=False)
def upload(model: Input[Model], name: str) -> NamedTuple("Outputs", candidate_uri=str):  # type: ignore[valid-type]
    """Uploads a checkpoint as a candidate that can be served; the store is the environment's."""
    from pathlib import Path

    from components.core.settings import StoreSettings
    from components.publish.candidate import upload_candidate

    return (upload_candidate(StoreSettings(), Path(model.path), name).uri,)


@dsl.component(base_image=image("base"), install_kfp_package=False)
def publish(
    candidate_uri: str,
    base_model: str,
    run: str,
    data_recipe: dict,  # type: ignore[type-arg]
    subset: dict,  # type: ignore[type-arg]
    sft_recipe: dict,  # type: ignore[type-arg]
    orpo_recipe: dict,  # type: ignore[type-arg]
    quantize_recipe: dict,  # type: ignore[type-arg]
    board: Input[Artifact] | None = None,
    recovery: Input[Artifact] | None = None,
    data_card: Input[Artifact] | None = None,
    emulated_baseline: bool = False,
    judge_described: str = "",
) -> NamedTuple("Outputs", model_uri=str):  # type: ignore[valid-type]
    """Makes a candidate an immutable published version, by a copy inside the store.

    Args:
        candidate_uri: What `upload` gave.
        base_model: Name or address of the model that was trained, for licence and lineage.
        run: Id of the pipeline run.
        data_recipe: What the run was started with; so are the next ones. Empty: no such stage.
        subset: See `data_recipe`.
        sft_recipe: See `data_recipe`.
        orpo_recipe: See `data_recipe`.
        quantize_recipe: See `data_recipe`.
        board: JSON of the leaderboard.
        recovery: JSON of the recovery report, where the model is quantized.
        data_card: JSON of the data card.
        emulated_baseline: The baseline was the laptop's stand-in for GigaChat; the card says so.
        judge_described: What the judge is, in a few words, where it is a stand-in.

    Returns:
        model_uri: Address of the published version.
    """
    from components.core.settings import StoreSettings
    from components.publish.evidence import read_evidence
    from components.publish.publish import publish_candidate

    recipes = {"data": data_recipe, "subset": subset, "sft": sft_recipe}
    recipes |= {"orpo": orpo_recipe, "quantize": quantize_recipe}
    files = {"board": board, "recovery": recovery, "data_card": data_card}
    paths = {name: file.path for name, file in files.items() if file}
    evidence = read_evidence(
        base_model,
        recipes,
        run,
        paths,
        emulated_baseline=emulated_baseline,
        judge_described=judge_described,
    )
    return (publish_candidate(StoreSettings(), candidate_uri, evidence).uri,)
