"""Keys of the laptop's own services: made once, kept in one file that only its owner can read."""

import base64
import secrets
from pathlib import Path

from pydantic import BaseModel, ConfigDict, SecretStr, TypeAdapter

from pipelines.local.state import read_file, replace_text

FILE_NAME = "credentials.json"


class Credentials(BaseModel):
    """Random keys; they open nothing but the servers on this laptop."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    s3_access_key: SecretStr
    s3_secret_key: SecretStr
    storage_signing_key: SecretStr
    """Signs what the parts of the S3 server ask of one another."""
    gigachat_key: SecretStr
    """Authorization key for the emulator of GigaChat: base64 of `id:secret`, as the real one."""


def load_or_create(home: Path) -> Credentials:
    """Reads the keys, or makes them at the first call.

    Args:
        home: The folder of the laptop's state.

    Raises:
        BadInputError: The file does not hold them.
    """
    path = home / FILE_NAME
    trouble = "holds no keys; delete it to have new ones made."
    return read_file(path, Credentials, trouble) or _create(path)


def _create(path: Path) -> Credentials:
    made = {
        "s3_access_key": secrets.token_hex(10),
        "s3_secret_key": secrets.token_urlsafe(30),
        "storage_signing_key": secrets.token_urlsafe(30),
        "gigachat_key": base64.b64encode(f"finist:{secrets.token_hex(16)}".encode()).decode(),
    }
    replace_text(path, TypeAdapter(dict[str, str]).dump_json(made, indent=1).decode(), mode=0o600)
    return Credentials.model_validate(made)
