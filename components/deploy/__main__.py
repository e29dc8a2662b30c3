"""`python -m components.deploy`: a model server from a shell."""

from typing import Annotated

import typer
import yaml

from components.core.command_line import run

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command()
def deploy(
    name: Annotated[str, typer.Argument(help="Name of the InferenceService.")],
    storage_uri: Annotated[str, typer.Option(help="Where the weights are, s3://...")],
    served_model_name: Annotated[str, typer.Option(help="Name that clients ask for.")] = "finist",
    profile: Annotated[str, typer.Option(help="laptop, a100x4, or a YAML file.")] = "a100x4",
    show: Annotated[bool, typer.Option("--show", help="Print the object and stop.")] = False,
) -> None:
    """Applies an InferenceService and waits until it answers.

    Goes to the Kubernetes of the kubeconfig, or, when FINIST_DEPLOY_DIRECTORY is set, to the
    stack of this laptop.

    Examples:

    `python -m components.deploy deploy tuned --storage-uri s3://finist/models/finist/0a1b2c/
    --show`

    `python -m components.deploy deploy tuned --storage-uri s3://finist/models/finist/0a1b2c/
    --served-model-name finist --profile a100x4`
    """  # noqa: D412
    from components.deploy.apply import deploy_model
    from components.deploy.inference_service import build
    from components.deploy.settings import model_server, read_profile

    server = model_server(name, storage_uri, served_model_name)
    settings = read_profile(profile)
    if show:
        print(yaml.safe_dump(build(server, settings), sort_keys=False), end="")
    else:
        print(deploy_model(server, settings))


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="Name of the InferenceService.")],
    profile: Annotated[str, typer.Option(help="laptop, a100x4, or a YAML file.")] = "a100x4",
) -> None:
    """Removes a model server and so frees its GPUs.

    Example: `python -m components.deploy remove tuned --profile a100x4`
    """
    from components.deploy.apply import remove_model
    from components.deploy.settings import read_profile

    remove_model(name, read_profile(profile))


if __name__ == "__main__":
    run(app)
