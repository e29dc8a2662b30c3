"""`python -m components.publish`: a checkpoint from a folder into the store."""

from pathlib import Path
from typing import Annotated

import typer

from components.core.command_line import run
from components.core.errors import BadInputError

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command()
def publish(
    model: Annotated[Path, typer.Argument(help="Folder of a checkpoint (safetensors).")],
    name: Annotated[str, typer.Option(help="Name of the model in the store.")],
    lineage: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE for the model card; repeat as needed.")
    ] = None,
) -> None:
    """Uploads a model, publishes it as an immutable version and prints its address.

    A person who publishes by hand vouches for it: no gate is asked.

    The store comes from AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
    FINIST_BUCKET.

    Examples:

    `python -m components.publish out/merged --name finist-assistant`

    `python -m components.publish out/merged --name finist-assistant
    --lineage base_model=smollm2 --lineage git_commit=1a2b3c`
    """  # noqa: D412
    from components.core.settings import StoreSettings
    from components.publish.publish import publish_candidate, upload_candidate

    pairs = dict(_pair(text) for text in lineage or [])
    candidate = upload_candidate(StoreSettings(), model, name, pairs)
    published = publish_candidate(StoreSettings(), candidate.uri)
    print(f"{published.uri} ({'new' if published.new else 'was there already'})")


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise BadInputError(f"--lineage {text}: write it as KEY=VALUE.")
    return key, value


if __name__ == "__main__":
    run(app)
