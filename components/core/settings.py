"""Settings that come from the environment: where the artifact store is, and how to talk to it."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    AliasChoices,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from components.core.errors import BadInputError


class StoreSettings(BaseSettings):
    """The S3 store; the same variables that boto3 and the AWS tools read, where there are such.

    Creating it raises BadInputError, with the variable's name, when a value cannot be used.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, env_ignore_empty=True
    )

    endpoint_url: str | None = Field(
        default=None, validation_alias=AliasChoices("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    )
    """None means AWS itself."""
    region: str = Field(default="us-east-1", validation_alias="AWS_DEFAULT_REGION")
    """Part of every signature; servers other than AWS mostly take any."""
    bucket: str = Field(default="finist", validation_alias="FINIST_BUCKET")
    """Where models, checkpoints and data lie."""
    access_key: str | None = Field(default=None, validation_alias="AWS_ACCESS_KEY_ID")
    """None leaves the look-up of credentials to boto3: a mounted file
    (AWS_SHARED_CREDENTIALS_FILE), IRSA (AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE), a role."""
    secret_key: SecretStr | None = Field(default=None, validation_alias="AWS_SECRET_ACCESS_KEY")
    """Belongs to `access_key`."""
    session_token: SecretStr | None = Field(default=None, validation_alias="AWS_SESSION_TOKEN")
    """Belongs to temporary keys, and only to them."""
    addressing_style: Literal["auto", "path", "virtual"] = Field(
        default="auto", validation_alias="FINIST_S3_ADDRESSING_STYLE"
    )
    """Bucket in the path or in the host's name; auto: in the path unless it is AWS itself."""
    ca_bundle: Path | None = Field(default=None, validation_alias="AWS_CA_BUNDLE")
    """PEM file of the authority that signed the server's certificate; None: the usual ones."""
    encryption: Literal["AES256", "aws:kms"] | None = Field(
        default=None, validation_alias="FINIST_S3_SSE"
    )
    """Encryption at rest that is asked for with each object; None: what the bucket has set."""
    kms_key: str | None = Field(default=None, validation_alias="FINIST_S3_KMS_KEY_ID")
    """Key for `aws:kms`; None: the account's own key."""
    attempts: int = Field(default=5, ge=1, validation_alias="AWS_MAX_ATTEMPTS")
    """Tries of a request, or of a range of a download, the first one included."""
    connect_timeout: float = Field(default=5, gt=0, validation_alias="FINIST_S3_CONNECT_TIMEOUT")
    """Seconds for a connection to come about."""
    read_timeout: float = Field(default=60, gt=0, validation_alias="FINIST_S3_READ_TIMEOUT")
    """Seconds without a byte, or with less than 64 KiB each, after which a stream is given up."""
    concurrency: int = Field(default=8, ge=1, le=64, validation_alias="FINIST_S3_CONCURRENCY")
    """Parts on their way at once. An upload holds one part (8 MiB, more for files over 78 GiB)
    for each of them, and one more."""

    @field_validator("*", mode="wrap")
    @classmethod
    def _name_the_variable(
        cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> Any:
        try:
            return handler(value)
        except ValidationError as error:
            alias = cls.model_fields[str(info.field_name)].validation_alias
            name = alias.choices[-1] if isinstance(alias, AliasChoices) else alias
            raise BadInputError(
                f"{name} cannot be {value!r}: {error.errors()[0]['msg']}; set it anew."
            ) from error

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.kms_key and self.encryption != "aws:kms":
            raise BadInputError("FINIST_S3_KMS_KEY_ID needs FINIST_S3_SSE=aws:kms; set both.")
        if (self.access_key is None) != (self.secret_key is None):
            raise BadInputError(
                "Only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set; set both or none."
            )
        return self
