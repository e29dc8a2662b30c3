"""Which image each dependency set is, one place for pipeline steps and manifests."""

import os

REGISTRY = os.environ.get("FINIST_REGISTRY", "registry.bank.example/finist")
"""A cluster's registry; a bank sets FINIST_REGISTRY when it compiles the pipeline."""

TAG = os.environ.get("FINIST_TAG", "0.1.0-python3.11")

SETS = ("base", "train", "evaluate", "quantize", "app", "serve")


def image(dependency_set: str) -> str:
    """Names the image of a dependency set.

    Args:
        dependency_set: One of `SETS`.

    Returns:
        A full reference, for example `registry.bank.example/finist/train:0.1.0-python3.11`.

    Raises:
        ValueError: There is no such set.
    """
    if dependency_set not in SETS:
        raise ValueError(f"no dependency set {dependency_set!r}; there are {', '.join(SETS)}")
    return f"{REGISTRY}/{dependency_set}:{TAG}"
