"""KFP faces of the deployment: `deploy`, `remove`, and `clean_up` at the end of a run."""

from typing import NamedTuple

from kfp import dsl

from components.core.images import image


@dsl.component(base_image=image("base"), install_kfp_package=False)
def deploy(
    name: str,
    storage_uri: str,
    served_model_name: str,
    profile: str,
) -> NamedTuple("Outputs", endpoint=str, model_uri=str):  # type: ignore[valid-type]
    """Starts a model server and waits until it answers.

    Args:
        name: Name of the InferenceService.
        storage_uri: Where the weights are, `s3://...`; `s3://bucket/models/<name>/production`
            and its like mean the version that they stand for now.
        served_model_name: The name that clients write into `model`.
        profile: A file of `profiles/`: `laptop` or `a100x4`.

    Returns:
        endpoint: URL of its OpenAI API, with `/v1`.
        model_uri: Where the weights are, a version in any case.
    """
    from components.core.model_pointers import fixed
    from components.core.settings import StoreSettings
    from components.deploy.apply import deploy_model
    from components.deploy.settings import model_server, read_profile

    address = fixed(StoreSettings(), storage_uri)
    server = model_server(name, address, served_model_name)
    return (deploy_model(server, read_profile(profile)), address)


@dsl.component(base_image=image("base"), install_kfp_package=False)
def remove(name: str, profile: str) -> None:
    """Removes a model server that is no longer needed.

    Args:
        name: Name of the InferenceService.
        profile: The profile that it was deployed with.
    """
    from components.deploy.apply import remove_model
    from components.deploy.settings import read_profile

    remove_model(name, read_profile(profile))


@dsl.component(base_image=image("base"), install_kfp_package=False)
def clean_up(
    temporary: list,  # type: ignore[type-arg]  # KFP knows plain list
    candidate: str,
    profile: str,
    status: dsl.PipelineTaskFinalStatus,
) -> None:
    """Removes the model servers that a run leaves behind, however it ended.

    Args:
        temporary: Names of those that were there for a while.
        candidate: The server that stays when the run succeeded.
        profile: The profile that they were deployed with.
        status: How the run ended; KFP gives it to an exit handler.
    """
    from components.deploy.apply import remove_models
    from components.deploy.settings import read_profile

    failed = [] if status.state == "SUCCEEDED" else [candidate]
    remove_models([*temporary, *failed], read_profile(profile))
