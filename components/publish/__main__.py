"""`python -m components.publish`: a checkpoint from a folder into the store."""

from pathlib import Path
from typing import Annotated

import typer

from components.core.command_line import run

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command()
def publish(
    model: Annotated[Path, typer.Argument(help="Folder of a checkpoint (safetensors).")],
    name: Annotated[str, typer.Option(help="Name of the model in the store.")],
    base_model: Annotated[
        str, typer.Option(help="What it was made of: a name, a hub id or an s3:// address.")
    ] = "",
    board: Annotated[Path | None, typer.Option(help="JSON of the leaderboard.")] = None,
    recovery: Annotated[Path | None, typer.Option(help="JSON of the recovery report.")] = None,
    data_card: Annotated[Path | None, typer.Option(help="JSON of the data card.")] = None,
    recipe: Annotated[
        list[Path] | None, typer.Option(help="A recipe it was made with, YAML; repeat as needed.")
    ] = None,
) -> None:
    """Uploads a model, publishes it as an immutable version and prints its address.

    A person who publishes by hand vouches for it: no gate is asked. What is not given, the card
    calls not measured or not recorded.

    The store comes from AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
    FINIST_BUCKET.

    Examples:

    `python -m components.publish out/merged --name finist-assistant`

    `python -m components.publish out/merged --name finist-assistant
    --base-model smollm2-135m-instruct --board report/summary.json --recipe my-recipe.yaml`
    """  # noqa: D412
    from components.core.recipes import read_mapping
    from components.core.settings import StoreSettings
    from components.publish.candidate import upload_candidate
    from components.publish.evidence import read_evidence
    from components.publish.publish import publish_candidate

    files = {"board": board, "recovery": recovery, "data_card": data_card}
    paths = {key: str(path) for key, path in files.items() if path}
    recipes = {path.stem: read_mapping(path) for path in recipe or []}
    evidence = read_evidence(base_model, recipes, "", paths)
    candidate = upload_candidate(StoreSettings(), model, name)
    published = publish_candidate(StoreSettings(), candidate.uri, evidence)
    print(f"{published.uri} ({'new' if published.new else 'was there already'})")


if __name__ == "__main__":
    run(app)
