"""What is known of a candidate when it is published: figures, recipes, data, the run."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from components.core.errors import SchemaError
from components.publish.figures import Board, DataCard, Part, Recovery

PartType = TypeVar("PartType", bound=Part)


class Source(Part):
    """Where a mirrored model comes from."""

    hub: str
    """The hub's address."""
    hub_id: str
    commit: str
    licence: str = ""
    """Its id, as the hub gives it."""


@dataclass(frozen=True)
class Evidence:
    """What the card and the lineage tell; whatever is not known stays empty, and they say so."""

    base_model: str = ""
    """Name or address of the model that was trained."""
    recipes: Mapping[str, Any] = field(default_factory=dict)
    run: str = ""
    """Id of the pipeline run."""
    board: Board | None = None
    recovery: Recovery | None = None
    data: DataCard | None = None
    data_digest: str = ""
    """The sha256 of the data card's JSON."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """The JSON of leaderboard and recovery as it was given, to lie beside the weights."""
    emulated_baseline: bool = False
    judge_described: str = ""
    source: Source | None = None
    """Of a mirrored model, which was not trained here."""


def read_evidence(
    base_model: str,
    recipes: Mapping[str, Any],
    run: str,
    paths: Mapping[str, str],
    *,
    emulated_baseline: bool = False,
    judge_described: str = "",
) -> Evidence:
    """Reads what other steps wrote.

    Args:
        base_model: Name or address of the model that was trained.
        recipes: What the run was started with.
        run: Id of the pipeline run.
        paths: Files by what they are: `board`, `recovery`, `data_card`.
        emulated_baseline: The baseline was a stand-in.
        judge_described: What the judge is, where it is a stand-in.

    Raises:
        SchemaError: A file cannot be read, or holds something else.
    """
    given = {name: _read(Path(path)) for name, path in paths.items()}
    kept = {"board": "board.json", "recovery": "recovery.json"}
    card = given.get("data_card")
    return Evidence(
        base_model=base_model,
        recipes=recipes,
        run=run,
        board=_parsed(given, paths, "board", Board),
        recovery=_parsed(given, paths, "recovery", Recovery),
        data=_parsed(given, paths, "data_card", DataCard),
        data_digest=hashlib.sha256(card).hexdigest() if card else "",
        files={kept[name]: content for name, content in given.items() if name in kept},
        emulated_baseline=emulated_baseline,
        judge_described=judge_described,
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SchemaError(f"{path} cannot be read: {error.strerror}.") from error


def _parsed(
    given: Mapping[str, bytes], paths: Mapping[str, str], name: str, part: type[PartType]
) -> PartType | None:
    if name not in given:
        return None
    try:
        return part.model_validate_json(given[name])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise SchemaError(
            f"{paths[name]} holds no {part.__name__} ({where}: {first['msg']}); run the step that "
            f"writes it again."
        ) from error
