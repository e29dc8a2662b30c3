"""KFP face of publishing."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import Input, Model

from components.core.images import image


@dsl.component(base_image=image("base"), install_kfp_package=False)
def publish(model: Input[Model], name: str) -> NamedTuple("Outputs", model_uri=str):  # type: ignore[valid-type]
    """Uploads a checkpoint as an immutable version; the store comes from the environment."""
    from pathlib import Path

    from components.core.settings import StoreSettings
    from components.publish.publish import publish_model

    lineage = {key: str(value) for key, value in model.metadata.items()}
    published = publish_model(StoreSettings(), Path(model.path), name, lineage)
    return (published.uri,)
