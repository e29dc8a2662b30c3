"""Which models there are in the store, and who stands for which version."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from components.core import s3_client, store
from components.core.errors import BadInputError, MissingModelError
from components.core.manifest import MANIFEST_NAME
from components.core.model_pointers import MODELS, POINTERS, Pointer, read_pointer
from components.core.settings import StoreSettings
from components.publish.addresses import CANDIDATES, check_name, model_uri
from components.publish.pins import Pin, read_pins

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Folder:
    """A directory in the store, whole or not."""

    uri: str
    size: int
    """Bytes of all its objects."""
    written: datetime
    """When its manifest was written; of one without, when its newest object was."""
    complete: bool


@dataclass(frozen=True)
class Model:
    """All that lies under a model's name."""

    name: str
    versions: dict[str, Folder]
    """By version, newest first; also those without a manifest, which do not exist for readers."""
    pointers: dict[str, Pointer] = field(default_factory=dict)
    pins: dict[str, Pin] = field(default_factory=dict)

    def pointers_at(self, version: str) -> list[str]:
        """Names of the pointers that stand for a version."""
        return [name for name, found in self.pointers.items() if found.version == version]


def model_names(settings: StoreSettings) -> list[str]:
    """Names of all models and candidates in the bucket.

    Raises:
        StorageError: The store is away or refuses.
    """
    folders = (f"s3://{settings.bucket}/{folder}" for folder in (MODELS, CANDIDATES))
    return sorted({name for folder in folders for name in store.directories(settings, folder)})


def read_model(settings: StoreSettings, name: str) -> Model:
    """Looks at a model: versions, pointers, pins.

    Raises:
        BadInputError: The name is no DNS label.
        StorageError: The store is away or refuses.
    """
    check_name(name)
    read = {each: read_pointer(settings, settings.bucket, name, each) for each in POINTERS}
    return Model(
        name=name,
        versions=folders_under(settings, model_uri(settings, name)),
        pointers={each: found for each, found in read.items() if found},
        pins=read_pins(settings, name),
    )


def folders_under(settings: StoreSettings, uri: str) -> dict[str, Folder]:
    """Looks at the directories right under an address.

    Args:
        settings: The store.
        uri: `s3://bucket/models/<name>`, for example.

    Returns:
        Directories by name, newest first.

    Raises:
        StorageError: The store is away or refuses.
    """
    place = store.parse_uri(uri)
    found: dict[str, Folder] = {}
    for path, entry in store.stored_objects(s3_client.client(settings), place).items():
        name, _, file = path.partition("/")
        if file:
            before = found.get(name, Folder(place.uri(name), 0, LONG_AGO, False))
            found[name] = _with(before, file, entry.size, entry.written)
    return dict(sorted(found.items(), key=lambda item: item[1].written, reverse=True))


def _with(folder: Folder, file: str, size: int, written: datetime) -> Folder:
    whole = file == MANIFEST_NAME
    newest = folder.written if folder.complete else max(folder.written, written)
    when = written if whole else newest
    return Folder(folder.uri, folder.size + size, when, folder.complete or whole)


def find_version(settings: StoreSettings, named: str) -> tuple[str, str]:
    """Reads `NAME`, `NAME@VERSION` or `NAME@POINTER`.

    Args:
        settings: The store.
        named: As people write it; without `@` the latest version.

    Returns:
        The model's name and the version.

    Raises:
        BadInputError: The name is no DNS label.
        MissingModelError: There is no such version.
        StorageError: The store is away or refuses.
    """
    name, _, asked = named.partition("@")
    model = read_model(settings, name)
    asked = asked or "latest"
    pointer = model.pointers.get(asked)
    version = pointer.version if pointer else asked
    folder = model.versions.get(version)
    if folder is None or not folder.complete:
        there = [each for each, one in model.versions.items() if one.complete]
        listed = ", ".join([*model.pointers, *there]) or "nothing"
        raise MissingModelError(f"There is no {name}@{asked} in the store; there is: {listed}.")
    return name, version


def age(written: datetime, now: datetime) -> str:
    """Says how long ago something was written, roughly.

    Args:
        written: When.
        now: Now.

    Returns:
        For example `3 d`, `5 h`, `12 min`.
    """
    seconds = (now - written).total_seconds()
    for unit, length in (("d", 86400), ("h", 3600)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0) / 60:.0f} min"


def check_known(settings: StoreSettings, name: str) -> None:
    """Makes sure that something lies under a name.

    Raises:
        BadInputError: Nothing does; says which names there are.
        StorageError: The store is away or refuses.
    """
    names = model_names(settings)
    if name not in names:
        raise BadInputError(
            f"There is no model {name!r} in s3://{settings.bucket}; there are: "
            f"{', '.join(names) or 'none'}."
        )
