"""A boto3 client for the store, and what it raises turned into one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, SSLError

from components.core.errors import BadInputError, StorageError
from components.core.settings import StoreSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NOT_FOUND = {"404", "NoSuchKey", "NoSuchBucket", "NotFound"}


def client(settings: StoreSettings) -> "S3Client":
    """A boto3 S3 client; without keys in the settings boto3 looks for credentials itself.

    Raises:
        BadInputError: when the CA bundle is no file.
    """
    secret, token = settings.secret_key, settings.session_token
    return boto3.client(
        "s3",
        endpoint_url=settings.endpoint_url,
        region_name=settings.region,
        verify=_ca_bundle(settings),
        aws_access_key_id=settings.access_key,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
        aws_session_token=token.get_secret_value() if token and secret else None,
        config=_config(settings),
    )


def _config(settings: StoreSettings) -> Config:
    style = settings.addressing_style
    if style == "auto" and settings.endpoint_url:
        style = "path"
    return Config(
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
        retries={"mode": "standard", "total_max_attempts": settings.attempts},
        max_pool_connections=settings.concurrency + 2,
        s3={"addressing_style": style},
        # servers other than AWS need not know the CRC headers
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


def _ca_bundle(settings: StoreSettings) -> str | None:
    if settings.ca_bundle and not settings.ca_bundle.is_file():
        raise BadInputError(
            f"AWS_CA_BUNDLE names {settings.ca_bundle}, which is no file; "
            "give the PEM file of the authority that signed the S3 server's certificate."
        )
    return str(settings.ca_bundle) if settings.ca_bundle else None


def encryption(settings: StoreSettings) -> dict[str, str]:
    """The arguments that ask for encryption at rest, for whatever makes an object."""
    if settings.encryption is None:
        return {}
    key = {"SSEKMSKeyId": settings.kms_key} if settings.kms_key else {}
    return {"ServerSideEncryption": settings.encryption, **key}


def code(error: ClientError) -> str:
    """The S3 error code of an answer, such as `NoSuchKey`."""
    return str(error.response.get("Error", {}).get("Code", "?"))


@contextmanager
def naming(place: str) -> Iterator[None]:
    """Turn what boto3 raises into a StorageError that names `place`."""
    try:
        yield
    except ClientError as error:
        message = error.response.get("Error", {}).get("Message") or "no message"
        raise StorageError(
            f"{place}: the S3 server answered {code(error)} "
            f"({message}); check the bucket, the key and the rights."
        ) from error
    except SSLError as error:
        raise StorageError(
            f"{place}: the S3 server's certificate is not trusted ({error}); put the PEM file of "
            "the authority that signed it into AWS_CA_BUNDLE."
        ) from error
    except (BotoCoreError, Boto3Error) as error:
        raise StorageError(
            f"{place}: the S3 server cannot be used ({error}); "
            "check AWS_ENDPOINT_URL and the AWS credentials."
        ) from error
