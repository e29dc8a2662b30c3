"""Pins: versions that a person wants kept, whatever points at them."""

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, ValidationError

from components.core import store
from components.core.errors import BadInputError, ConflictError, IntegrityError
from components.core.settings import StoreSettings
from components.publish.addresses import model_uri, require_version
from components.publish.pointers import whoami

TRIES = 5
"""Of writing the pins: those of two people at the same moment both count."""


class Pin(BaseModel):
    """Why a version is kept."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    reason: str
    pinned_at: str
    pinned_by: str


class _Pins(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    pins: dict[str, Pin] = {}


def read_pins(settings: StoreSettings, name: str) -> dict[str, Pin]:
    """Reads a model's pins by version.

    Raises:
        IntegrityError: What stands there are no pins.
        StorageError: The store is away or refuses.
    """
    return _read(settings, name)[0]


def pin(settings: StoreSettings, name: str, version: str, reason: str) -> None:
    """Keeps a version until it is unpinned.

    Args:
        settings: The store.
        name: The model's name.
        version: The version, which must be complete.
        reason: Why, for those who wonder later.

    Raises:
        MissingModelError: There is no such version.
        StorageError: The store is away or refuses.
    """
    require_version(settings, name, version)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    _change(settings, name, version, Pin(reason=reason, pinned_at=now, pinned_by=whoami()))
    require_version(settings, name, version)  # gc may have been faster


def unpin(settings: StoreSettings, name: str, version: str) -> None:
    """Takes a version's pin away.

    Raises:
        BadInputError: It has none.
        StorageError: The store is away or refuses.
    """
    if version not in read_pins(settings, name):
        raise BadInputError(f"{version} of {name} is not pinned; see `finist models show {name}`.")
    _change(settings, name, version, None)


def _change(settings: StoreSettings, name: str, version: str, wanted: Pin | None) -> None:
    for tried in range(TRIES):
        pins, etag = _read(settings, name)
        others = {key: one for key, one in pins.items() if key != version}
        content = _Pins(pins=others | ({version: wanted} if wanted else {}))
        try:
            store.swap_json(settings, _where(settings, name), content.model_dump(), etag)
            return
        except ConflictError:
            if tried == TRIES - 1:
                raise


def _read(settings: StoreSettings, name: str) -> tuple[dict[str, Pin], str | None]:
    where = _where(settings, name)
    tagged = store.get_tagged(settings, where)
    try:
        found = _Pins.model_validate(tagged.content) if tagged else _Pins()
    except ValidationError as error:
        raise IntegrityError(f"{where} holds no pins; delete it and pin anew.") from error
    return found.pins, tagged.etag if tagged else None


def _where(settings: StoreSettings, name: str) -> str:
    return f"{model_uri(settings, name)}/pins.json"
