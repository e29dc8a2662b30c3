"""`finist models` and `finist mirror`: the model registry, with what only the whole house knows.

Which weights are served is the deployment's knowledge, and where the laptop's store is, the
stack's: both are joined with the registry here.
"""

import os
import re
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from components.core.errors import BadInputError, StorageError
from components.publish import models_command as registry
from components.publish.models_command import Json, print_json, size

if TYPE_CHECKING:
    from components.publish.gc import Decision

STORE_VARIABLES = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_ROLE_ARN")
"""Any of them says that a store other than the laptop's is meant."""
UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
app = registry.app
console = Console(highlight=False)


@app.callback()
def choose_store() -> None:
    """Published models: list, show, promote, pin, verify, and remove what nobody needs.

    The store is that of AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
    FINIST_BUCKET; where none of them is set, that of the running laptop stack (finist up).
    """
    use_laptop_store()


def use_laptop_store() -> None:
    """Points this process at the laptop's store, unless the environment names another."""
    if any(os.environ.get(name) for name in STORE_VARIABLES):
        return
    from components.deploy.apply import DIRECTORY_VARIABLE
    from pipelines.local import stack

    try:
        os.environ.update(stack.store_environment())
    except StorageError:
        return  # boto3 may know of another: a profile, an instance's role
    os.environ.setdefault(DIRECTORY_VARIABLE, str(stack.deploy_directory()))


@app.command()
def gc(
    name: Annotated[str, typer.Argument(help="The model's name; or --all.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="All models.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it, only tell.")] = False,
    keep: Annotated[int, typer.Option(min=0, help="So many newest versions of each stay.")] = 3,
    older_than: Annotated[str, typer.Option(help="Younger things stay: 7d, 12h, 30m.")] = "7d",
    namespace: Annotated[str, typer.Option(help="Of the cluster's model servers.")] = "finist",
    as_json: Json = False,
) -> None:
    """Remove versions, candidates and cut uploads that nobody needs; by default only tell.

    What production, canary, latest, a pin or a model server needs always stays, and so does the
    version that a pointer stood for before.

    Example: finist models gc finist-assistant

    Example: finist models gc --all --keep 5 --older-than 30d --yes
    """
    from components.core.settings import StoreSettings
    from components.publish import gc as collector
    from components.publish.registry import check_known, model_names

    if bool(name) == everything:
        raise BadInputError("Give either the name of a model or --all, and not both.")
    settings = StoreSettings()
    rules = collector.Rules(served_addresses(namespace), keep, _duration(older_than))
    if name:
        check_known(settings, name)
    found: list[Decision] = []
    for each in [name] if name else model_names(settings):
        planned = collector.plan(settings, each, rules)
        found += collector.carry_out(settings, each, planned, rules) if yes else planned
    if as_json:
        print_json([_plain(each, done=yes) for each in found])
    else:
        _show(found, done=yes)


def mirror(
    hub_id: Annotated[str, typer.Argument(help="The model's id on the hub, owner/name.")],
    name: Annotated[str, typer.Option(help="Its name in the store; made from the id.")] = "",
    revision: Annotated[str, typer.Option(help="A branch, a tag or a commit.")] = "main",
    work: Annotated[
        Path | None, typer.Option(help="Folder with room for the model; .finist/mirror if absent.")
    ] = None,
) -> None:
    """Copy a hub's model into the store, for recipes that name it as s3://.../models/<name>/latest.

    Run it where the hub can be reached (HF_ENDPOINT names another one, HF_TOKEN opens gated
    models) and the store as well; afterwards nothing needs the hub.

    Example: finist mirror HuggingFaceTB/SmolLM2-360M-Instruct

    Example: finist mirror meta-llama/Llama-3.1-8B-Instruct --revision main --work /data/mirror
    """
    from components.core.settings import StoreSettings
    from components.publish.mirror import mirror as copy
    from pipelines.local.state import home_directory

    use_laptop_store()
    folder = work or home_directory() / "mirror"
    copied = copy(StoreSettings(), hub_id, name, revision, folder)
    console.print(f"{copied.uri} ({'new' if copied.new else 'was there already'})", soft_wrap=True)


def served_addresses(namespace: str) -> set[str]:
    """Collects the weights that model servers were started from, or would be by `finist up`.

    Args:
        namespace: Of the cluster's model servers; the laptop's are in a folder.

    Raises:
        DeployError: Nobody can say what is served, so nothing may be deleted.
    """
    from components.deploy.apply import DIRECTORY_VARIABLE
    from components.deploy.served import served_in_cluster, served_in_directory
    from pipelines.local.release import read_release

    folder = os.environ.get(DIRECTORY_VARIABLE)
    if not folder:
        return served_in_cluster(namespace)
    release = read_release(Path(folder).parent)
    return served_in_directory(Path(folder)) | ({release.model_uri} if release else set())


def _duration(text: str) -> timedelta:
    found = re.fullmatch(r"(\d+)([dhms])", text)
    if not found:
        raise BadInputError(f"--older-than {text}: write it as 7d, 12h, 30m or 0s.")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def _plain(decision: "Decision", done: bool) -> dict[str, object]:
    return {
        "uri": decision.uri,
        "kind": decision.kind,
        "bytes": decision.size,
        "written": decision.written.isoformat(),
        "goes": decision.goes,
        "deleted": decision.goes and done,
        "why": decision.why,
    }


def _show(decisions: "Sequence[Decision]", done: bool) -> None:
    goes = "deleted" if done else "would go"
    table = Table("", "what", "address", "size", "why", box=None)
    for each in sorted(decisions, key=lambda one: not one.goes):
        style = "red" if each.goes else "green"
        mark = f"[{style}]{goes if each.goes else 'stays'}[/]"
        table.add_row(mark, each.kind, each.uri, size(each.size), each.why)
    console.print(table if decisions else "there is nothing under this name")
    gone = [each for each in decisions if each.goes]
    if gone:
        counts = Counter(each.kind for each in gone)
        listed = ", ".join(f"{count} {kind}{'s'[: count > 1]}" for kind, count in counts.items())
        total = size(sum(each.size for each in gone))
        again = "" if done else "; run it again with --yes to delete them"
        console.print(f"{goes}: {listed}, {total}{again}")
