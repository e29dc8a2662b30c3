"""`finist models`: what is published, who stands for what, and moving it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from components.core.errors import BadInputError, IntegrityError
from components.core.model_pointers import POINTERS

app = typer.Typer(
    no_args_is_help=True,
)
console = Console(highlight=False)
UNITS = {"GB": 1e9, "MB": 1e6, "kB": 1e3}

Json = Annotated[bool, typer.Option("--json", help="For machines.")]
Named = Annotated[str, typer.Argument(help="NAME, NAME@VERSION or NAME@POINTER; latest if bare.")]
Name = Annotated[str, typer.Argument(help="The model's name.")]
WhichVersion = Annotated[str, typer.Argument(help="The version, or the name of a pointer.")]


@app.command("list")
def list_models(as_json: Json = False) -> None:
    """List all models with their versions, newest first.

    Example: finist models list

    Example: finist models list --json
    """
    from components.core.settings import StoreSettings
    from components.publish.registry import age, model_names, read_model

    settings, now = StoreSettings(), datetime.now(UTC)
    models = [read_model(settings, name) for name in model_names(settings)]
    rows: list[dict[str, Any]] = [
        {
            "name": model.name,
            "version": version,
            "uri": folder.uri,
            "bytes": folder.size,
            "written": folder.written.isoformat(),
            "pointers": model.pointers_at(version),
            "pinned": version in model.pins,
        }
        for model in models
        for version, folder in model.versions.items()
        if folder.complete
    ]
    if as_json:
        print_json(rows)
        return
    table = Table("model", "version", "size", "written", "stands for it", box=None)
    for row in rows:
        marks = [*row["pointers"], *(["pinned"] if row["pinned"] else [])]
        written = f"{age(datetime.fromisoformat(row['written']), now)} ago"
        table.add_row(row["name"], row["version"], size(row["bytes"]), written, ", ".join(marks))
    console.print(table if rows else "nothing is published yet: make demo publishes a model")


@app.command()
def show(named: Named, as_json: Json = False) -> None:
    """Show a version: its card with the figures, its files, its lineage, who points at it.

    Example: finist models show finist-assistant

    Example: finist models show finist-assistant@production --json
    """
    from components.core import store
    from components.core.settings import StoreSettings
    from components.publish.addresses import model_uri
    from components.publish.documents import read_document
    from components.publish.lineage import read_lineage
    from components.publish.model_files import CARD
    from components.publish.registry import find_version, read_model

    settings = StoreSettings()
    name, version = find_version(settings, named)
    uri, model = model_uri(settings, name, version), read_model(settings, name)
    files = store.require_manifest(settings, uri).files
    if as_json:
        lineage = read_lineage(settings, uri)
        print_json(
            {
                "name": name,
                "version": version,
                "uri": uri,
                "pointers": model.pointers_at(version),
                "pin": model.pins[version].model_dump() if version in model.pins else None,
                "lineage": lineage.model_dump() if lineage else None,
                "files": [entry.model_dump() for entry in files],
            }
        )
        return
    if any(entry.path == CARD for entry in files):
        _print_card(read_document(settings, uri, CARD).decode())
    table = Table("file", "size", "sha256", box=None)
    for entry in files:
        table.add_row(entry.path, size(entry.size), entry.sha256[:12])
    console.print(table)
    console.print(f"address: {uri}", soft_wrap=True)
    for pointer, found in model.pointers.items():
        mark = "" if found.version == version else f", which is {found.version}"
        when = f"since {found.moved_at[:19]} UTC, by {found.moved_by}"
        console.print(f"{pointer}{mark} ({when}; before: {found.previous or 'nothing'})")
    if version in model.pins:
        found_pin = model.pins[version]
        console.print(f"pinned: {found_pin.reason} ({found_pin.pinned_by})")


@app.command()
def promote(
    name: Name,
    version: Annotated[str, typer.Argument(help="The version, or the name of a pointer.")] = "",
    pointer: Annotated[str, typer.Option(help=f"One of {', '.join(POINTERS)}.")] = "production",
    back: Annotated[bool, typer.Option("--back", help="To the version before.")] = False,
    as_json: Json = False,
) -> None:
    """Move a pointer to a version; whoever moves it at the same moment is told.

    Servers that run go on with the version that they were started from.

    Example: finist models promote finist-assistant 1a2b3c4d5e6f

    Example: finist models promote finist-assistant latest --pointer canary

    Example: finist models promote finist-assistant --back
    """
    from components.core.settings import StoreSettings
    from components.publish import pointers
    from components.publish.registry import find_version

    if bool(version) == back:
        raise BadInputError("Give either a version to promote or --back, and not both.")
    settings = StoreSettings()
    if back:
        moved = pointers.move_back(settings, name, pointer)
    else:
        name, found = find_version(settings, f"{name}@{version}")
        moved = pointers.promote(settings, name, found, pointer)
    if as_json:
        print_json({"name": name, "pointer": pointer, **moved.model_dump()})
    else:
        before = moved.previous or "nothing"
        console.print(f"{pointer} of {name}: {moved.version} (before: {before})")


@app.command()
def pin(
    name: Name,
    version: WhichVersion,
    reason: Annotated[str, typer.Option(help="Why it must stay, for those who wonder later.")],
) -> None:
    """Keep a version until it is unpinned, whatever points at it.

    Example: finist models pin finist-assistant 1a2b3c4d5e6f --reason "audit of 2026"
    """
    from components.core.settings import StoreSettings
    from components.publish import pins
    from components.publish.registry import find_version

    name, found = find_version(StoreSettings(), f"{name}@{version}")
    pins.pin(StoreSettings(), name, found, reason)
    console.print(f"{name} {found} is pinned")


@app.command()
def unpin(name: Name, version: WhichVersion) -> None:
    """Take a version's pin away.

    Example: finist models unpin finist-assistant 1a2b3c4d5e6f
    """
    from components.core.settings import StoreSettings
    from components.publish import pins

    pins.unpin(StoreSettings(), name, version)
    console.print(f"{name} {version} is not pinned any more")


@app.command()
def verify(named: Named, as_json: Json = False) -> None:
    """Read every byte of a version and hold it against the manifest; nothing is stored here.

    Example: finist models verify finist-assistant@production
    """
    from components.core.settings import StoreSettings
    from components.core.verify import verify_directory
    from components.publish.addresses import model_uri
    from components.publish.registry import find_version

    settings = StoreSettings()
    name, version = find_version(settings, named)
    uri = model_uri(settings, name, version)
    problems = verify_directory(settings, uri)
    if as_json:
        print_json({"name": name, "version": version, "problems": problems})
    for problem in problems if not as_json else ():
        console.print(problem, soft_wrap=True)
    if problems:
        raise IntegrityError(
            f"{name} {version} is damaged, {len(problems)} file{'s'[: len(problems) > 1]}: promote "
            f"another version, delete everything under {uri}, and publish it again."
        )
    if not as_json:
        console.print(f"{name} {version}: every byte is as the manifest says")


def size(count: int) -> str:
    """Writes a number of bytes for people.

    Args:
        count: Bytes.
    """
    for unit, length in UNITS.items():
        if count >= length:
            return f"{count / length:.1f} {unit}"
    return f"{count} B"


def _print_card(card: str) -> None:
    from rich.markdown import Markdown

    body = card.split("---\n", 2)[-1] if card.startswith("---\n") else card
    console.print(Markdown(body))


def print_json(content: Mapping[str, Any] | list[Any]) -> None:
    """Prints something for machines.

    Args:
        content: What JSON can hold.
    """
    console.print_json(json.dumps(content, ensure_ascii=False))
