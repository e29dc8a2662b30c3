"""A boto3 client for the store, and what it raises turned into one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from components.core.errors import StorageError
from components.core.settings import StoreSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NOT_FOUND = {"404", "NoSuchKey", "NoSuchBucket", "NotFound"}


def client(settings: StoreSettings) -> "S3Client":
    """A boto3 S3 client; without keys in the settings boto3 looks for credentials itself."""
    secret = settings.secret_key.get_secret_value() if settings.secret_key else None
    return boto3.client(
        "s3",
        endpoint_url=settings.endpoint_url,
        region_name=settings.region,
        aws_access_key_id=settings.access_key,
        aws_secret_access_key=secret,
        config=Config(
            connect_timeout=5,
            read_timeout=60,
            retries={"mode": "standard", "max_attempts": 4},
            s3={"addressing_style": "path" if settings.endpoint_url else "auto"},
            # servers other than AWS need not know the CRC headers
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


@contextmanager
def naming(place: str) -> Iterator[None]:
    """Turn what boto3 raises into a StorageError that names `place`."""
    try:
        yield
    except ClientError as error:
        reply = error.response.get("Error", {})
        raise StorageError(
            f"{place}: the S3 server answered {reply.get('Code', '?')} "
            f"({reply.get('Message') or 'no message'}); check the bucket, the key and the rights."
        ) from error
    except (BotoCoreError, Boto3Error) as error:
        raise StorageError(
            f"{place}: the S3 server cannot be used ({error}); "
            "check AWS_ENDPOINT_URL and the AWS credentials."
        ) from error
