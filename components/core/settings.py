"""Settings that come from the environment: where the artifact store is."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class StoreSettings(BaseSettings):
    """The S3 store; the same variables that boto3 and the AWS tools read."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    endpoint_url: str | None = Field(default=None, validation_alias="AWS_ENDPOINT_URL")
    """None means AWS itself."""
    region: str = Field(default="us-east-1", validation_alias="AWS_DEFAULT_REGION")
    bucket: str = Field(default="finist", validation_alias="FINIST_BUCKET")
    access_key: str | None = Field(default=None, validation_alias="AWS_ACCESS_KEY_ID")
    """None leaves the look-up of credentials to boto3 (profile, IRSA, instance role)."""
    secret_key: SecretStr | None = Field(default=None, validation_alias="AWS_SECRET_ACCESS_KEY")
