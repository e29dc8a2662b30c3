"""Settings of the adapter and of the emulator, from the environment only."""

from pathlib import Path
from typing import Literal

from gigachat.settings import AUTH_URL, BASE_URL
from pydantic import Field, FilePath, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from components.core.errors import BadInputError, MissingSecretError

Scope = Literal["GIGACHAT_API_PERS", "GIGACHAT_API_B2B", "GIGACHAT_API_CORP"]


class AdapterSettings(BaseSettings):
    """Where GigaChat is and who we are there; the variables of the `gigachat` library."""

    model_config = SettingsConfigDict(env_prefix="GIGACHAT_", frozen=True, env_ignore_empty=True)

    credentials: SecretStr | None = None
    """The authorization key: base64 of `client id:client secret`."""
    credentials_file: FilePath | None = None
    """A mounted file that holds it; read when `credentials` is absent."""
    scope: Scope = "GIGACHAT_API_PERS"
    base_url: str = BASE_URL
    auth_url: str = AUTH_URL
    ca_bundle_file: FilePath | None = None
    """PEM file with the Russian Trusted Root CA; None means the system's roots."""
    timeout: float = Field(default=110.0, gt=0)
    """Seconds without a byte from GigaChat after which a request fails with 504."""
    max_connections: int = Field(default=10, ge=1)
    """Requests in flight at GigaChat: the contract's limit, 1 for individuals, 10 for companies."""

    def secret(self) -> str:
        """Gives the authorization key.

        Raises:
            MissingSecretError: It is neither in the environment nor in the file.
        """
        if self.credentials:
            return self.credentials.get_secret_value()
        if self.credentials_file and (text := _first_line(self.credentials_file)):
            return text
        raise MissingSecretError(
            "GIGACHAT_CREDENTIALS is not set; put GigaChat's authorization key (base64) there, "
            "or the path of a file that holds it into GIGACHAT_CREDENTIALS_FILE."
        )


class EmulatorSettings(BaseSettings):
    """Who answers behind the emulator, and the key it accepts."""

    model_config = SettingsConfigDict(env_prefix="FINIST_EMULATOR_", frozen=True)

    upstream_url: str
    """An OpenAI-compatible server, with the API's prefix: `http://127.0.0.1:8000/v1`."""
    upstream_model: str
    credentials: SecretStr
    """The authorization key that clients must show."""
    token_seconds: float = Field(default=1800.0, gt=0)
    """Life of an access token; GigaChat's is 30 minutes."""
    timeout: float = Field(default=110.0, gt=0)


def adapter_settings() -> AdapterSettings:
    """Reads the adapter's settings.

    Raises:
        BadInputError: A variable has a value that cannot be used; the message names it.
    """
    try:
        return AdapterSettings()
    except ValidationError as error:
        raise _named(error, "GIGACHAT_") from error


def emulator_settings() -> EmulatorSettings:
    """Reads the emulator's settings.

    Raises:
        BadInputError: A variable is missing or has a value that cannot be used.
    """
    try:
        return EmulatorSettings()
    except ValidationError as error:
        raise _named(error, "FINIST_EMULATOR_") from error


def _named(error: ValidationError, prefix: str) -> BadInputError:
    """Names the variable and the fault, without the value: it may be a secret."""
    first = error.errors(include_input=False, include_url=False)[0]
    name = f"{prefix}{first['loc'][0]}".upper()
    return BadInputError(f"environment variable {name}: {first['msg'].lower()}; set it and retry.")


def _first_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").split()
    return lines[0] if lines else ""
