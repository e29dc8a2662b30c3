"""KFP faces of publishing: `upload` a candidate, `publish` it when it has passed its gates."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import Input, Model

from components.core.images import image


@dsl.component(base_image=image("base"), install_kfp_package=False)
def upload(model: Input[Model], name: str) -> NamedTuple("Outputs", candidate_uri=str):  # type: ignore[valid-type]
    """Uploads a checkpoint as a candidate that can be served; the store is the environment's."""
    from pathlib import Path

    from components.core.settings import StoreSettings
    from components.publish.publish import upload_candidate

    lineage = {key: str(value) for key, value in model.metadata.items()}
    return (upload_candidate(StoreSettings(), Path(model.path), name, lineage).uri,)


@dsl.component(base_image=image("base"), install_kfp_package=False)
def publish(candidate_uri: str) -> NamedTuple("Outputs", model_uri=str):  # type: ignore[valid-type]
    """Makes a candidate an immutable published version, by a copy inside the store."""
    from components.core.settings import StoreSettings
    from components.publish.publish import publish_candidate

    return (publish_candidate(StoreSettings(), candidate_uri).uri,)
