"""How the store is reached: settings from the environment, TLS, credentials, encryption."""

import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from components.core import s3_client, store
from components.core.download import download_directory
from components.core.errors import BadInputError, StorageError
from components.core.settings import StoreSettings
from components.core.store_copy import copy_directory
from components.core.tests.fault_proxy import Fault, FaultProxy, proxied
from components.core.transfer import PART_BYTES
from components.core.upload import upload_directory
from pipelines.local import s3
from pipelines.local.credentials import load_or_create
from pipelines.local.ports import free_ports

AWS = re.compile(r"AWS_|FINIST_S3_|FINIST_BUCKET")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No variable of a store, and a boto3 that has seen none."""
    for name in [name for name in os.environ if AWS.match(name)]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    return monkeypatch


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"AWS_MAX_ATTEMPTS": "many"}, "AWS_MAX_ATTEMPTS cannot be 'many'"),
        ({"FINIST_S3_CONCURRENCY": "0"}, "FINIST_S3_CONCURRENCY cannot be '0'"),
        ({"FINIST_S3_SSE": "des"}, "FINIST_S3_SSE cannot be 'des'"),
        ({"FINIST_S3_ADDRESSING_STYLE": "dns"}, "FINIST_S3_ADDRESSING_STYLE cannot be 'dns'"),
        ({"FINIST_S3_KMS_KEY_ID": "k"}, "needs FINIST_S3_SSE=aws:kms"),
        ({"AWS_ACCESS_KEY_ID": "k"}, "Only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_bad_setting_is_one_sentence(
    bare: pytest.MonkeyPatch, variables: dict[str, str], sentence: str
) -> None:
    for name, value in variables.items():
        bare.setenv(name, value)
    with pytest.raises(BadInputError, match=re.escape(sentence)):
        StoreSettings()


def test_empty_variables_are_as_good_as_none(bare: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_CA_BUNDLE", "FINIST_S3_SSE", "AWS_MAX_ATTEMPTS"):
        bare.setenv(name, "")
    assert StoreSettings() == StoreSettings(attempts=5, endpoint_url=None)


@pytest.mark.parametrize(
    ("endpoint", "style", "host"),
    [
        (None, "auto", "models.s3.amazonaws.com/"),
        (None, "path", "s3.amazonaws.com/models/"),
        ("https://s3.bank.ru", "auto", "s3.bank.ru/models/"),
        ("https://s3.bank.ru", "virtual", "models.s3.bank.ru/"),
    ],
)
def test_where_the_bucket_stands(
    bare: pytest.MonkeyPatch, endpoint: str | None, style: str, host: str
) -> None:
    bare.setenv("FINIST_S3_ADDRESSING_STYLE", style)
    bare.setenv("AWS_ACCESS_KEY_ID", "key")
    bare.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    if endpoint:
        bare.setenv("AWS_ENDPOINT_URL", endpoint)
    request = {"Bucket": "models", "Key": "a"}
    url = s3_client.client(StoreSettings()).generate_presigned_url("get_object", Params=request)
    assert url.startswith(f"https://{host}a?")


def self_signed(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is its own authority, and its key, as PEM files."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    here = x509.IPAddress(ip_address("127.0.0.1"))
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder(who, who, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([here]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


@contextmanager
def secure_server(home: Path, certificate: Path, key: Path) -> Iterator[StoreSettings]:
    """A SeaweedFS that speaks TLS; gives settings that trust its certificate."""
    keys = load_or_create(home)
    launch = s3.s3_launch(home, free_ports(1)[0], keys)
    argv = [*launch.argv, f"-s3.cert.file={certificate}", f"-s3.key.file={key}"]
    settings = s3.store_settings(launch.url.replace("http:", "https:"), keys).model_copy(
        update={"ca_bundle": certificate}
    )
    with (home / "weed.log").open("wb") as log:
        process = subprocess.Popen(
            argv, env={**os.environ, **launch.environment}, stdout=log, stderr=log
        )
    try:
        wait_for_bucket(settings)
        yield settings
    finally:
        process.kill()
        process.wait()
        s3.sweep_sockets(launch.argv)


def wait_for_bucket(settings: StoreSettings) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            return store.ensure_bucket(settings)
        except StorageError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def test_tls_with_an_authority_of_the_bank(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "bank")
    stranger, _ = self_signed(tmp_path, "stranger")
    files = tmp_path / "files"
    files.mkdir()
    (files / "big").write_bytes(os.urandom(PART_BYTES + 1))
    with secure_server(tmp_path, certificate, key) as settings:
        uri = f"s3://{settings.bucket}/secure"
        manifest = upload_directory(settings, files, uri)
        copy = download_directory(settings, uri, tmp_path / "copy")
        assert (copy / "big").read_bytes() == (files / "big").read_bytes()
        for untrusted in (stranger, None):
            wrong = settings.model_copy(update={"ca_bundle": untrusted, "attempts": 1})
            with pytest.raises(StorageError, match=r"certificate is not trusted .* AWS_CA_BUNDLE"):
                store.read_manifest(wrong, uri)
        bare.setenv("AWS_CA_BUNDLE", str(certificate))
        assert StoreSettings().ca_bundle == certificate
        assert store.read_manifest(settings, uri) == manifest


def test_a_ca_bundle_that_is_no_file_is_one_sentence(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("AWS_CA_BUNDLE", "/no/such.pem")
    with pytest.raises(BadInputError, match=r"AWS_CA_BUNDLE names /no/such\.pem, which is no file"):
        store.get_json(StoreSettings(), "s3://bucket/key")


def test_credentials_from_a_mounted_secret(
    s3_store: StoreSettings, bare: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert s3_store.secret_key
    secret = s3_store.secret_key.get_secret_value()
    mounted = tmp_path / "credentials"
    mounted.write_text(
        f"[default]\naws_access_key_id={s3_store.access_key}\naws_secret_access_key={secret}\n"
    )
    bare.setenv("AWS_SHARED_CREDENTIALS_FILE", str(mounted))
    bare.setenv("AWS_ENDPOINT_URL", str(s3_store.endpoint_url))
    settings = StoreSettings()
    assert settings.access_key is None
    where = f"s3://{s3_store.bucket}/tests/mounted.json"
    store.put_json(settings, where, 1)
    assert store.get_json(s3_store, where) == 1


def test_no_credentials_at_all_is_one_sentence(
    s3_store: StoreSettings, bare: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bare.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    bare.setenv("AWS_ENDPOINT_URL", str(s3_store.endpoint_url))
    with pytest.raises(StorageError, match=r"Unable to locate credentials.*AWS credentials"):
        store.get_json(StoreSettings(), f"s3://{s3_store.bucket}/a.json")


class TokenService(BaseHTTPRequestHandler):
    """STS as far as IRSA needs it: a web identity token for temporary keys.

    Simulated: it believes every token, and its keys are known to no S3 server.
    """

    asked: ClassVar[list[dict[str, list[str]]]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.asked.append(parse_qs(body))
        until = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        reply = (
            '<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
            "<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>TEMPORARY</AccessKeyId>"
            "<SecretAccessKey>temporary</SecretAccessKey><SessionToken>session</SessionToken>"
            f"<Expiration>{until}</Expiration></Credentials></AssumeRoleWithWebIdentityResult>"
            "</AssumeRoleWithWebIdentityResponse>"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def token_service() -> Iterator[tuple[str, list[dict[str, list[str]]]]]:
    class Handler(TokenService):
        asked: ClassVar[list[dict[str, list[str]]]] = []

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", Handler.asked
        server.shutdown()
        thread.join()


def test_irsa_signs_with_the_keys_of_the_role(
    s3_store: StoreSettings, bare: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The role's keys come from a simulated STS, so a proxy answers in the S3 server's place."""
    (tmp_path / "token").write_text("the pod's token")
    role = "arn:aws:iam::123456789012:role/finist"
    with token_service() as (sts, asked), proxied(str(s3_store.endpoint_url)) as proxy:
        proxy.decide = lambda _: Fault(status=404, code="NoSuchKey")
        bare.setenv("AWS_ROLE_ARN", role)
        bare.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
        bare.setenv("AWS_ENDPOINT_URL_STS", sts)
        bare.setenv("AWS_ENDPOINT_URL", proxy.url)
        bare.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        assert store.get_json(StoreSettings(), f"s3://{s3_store.bucket}/a.json") is None
    assert asked[0]["RoleArn"] == [role]
    assert asked[0]["WebIdentityToken"] == ["the pod's token"]
    (head,) = proxy.asked
    assert "Credential=TEMPORARY/" in head
    assert "x-amz-security-token: session" in head.lower()


def test_a_session_token_goes_along_with_temporary_keys(
    bare: pytest.MonkeyPatch, s3_store: StoreSettings
) -> None:
    with proxied(str(s3_store.endpoint_url)) as proxy:
        proxy.decide = lambda _: Fault(status=404, code="NoSuchKey")
        bare.setenv("AWS_ENDPOINT_URL", proxy.url)
        bare.setenv("AWS_ACCESS_KEY_ID", "TEMPORARY")
        bare.setenv("AWS_SECRET_ACCESS_KEY", "temporary")
        bare.setenv("AWS_SESSION_TOKEN", "session")
        settings = StoreSettings()
        store.get_json(settings, f"s3://{s3_store.bucket}/a.json")
        assert "session" not in repr(settings.session_token)
    assert "x-amz-security-token: session" in proxy.asked[0].lower()


def test_encryption_is_asked_for_with_every_object(s3_store: StoreSettings, tmp_path: Path) -> None:
    (tmp_path / "small").write_text("x")
    (tmp_path / "big").write_bytes(os.urandom(PART_BYTES + 1))
    encrypted = s3_store.model_copy(update={"encryption": "AES256"})
    uri = f"s3://{s3_store.bucket}/tests/encrypted"
    upload_directory(encrypted, tmp_path, f"{uri}/first")
    copy_directory(encrypted, f"{uri}/first", f"{uri}/second")
    place, s3 = store.parse_uri(uri), s3_client.client(s3_store)
    for name in store.stored_objects(s3, place):
        head = s3.head_object(Bucket=place.bucket, Key=place.key(name))
        assert head["ServerSideEncryption"] == "AES256", name
    assert len(store.stored_objects(s3, place)) == 6
    copy = download_directory(s3_store, f"{uri}/second", tmp_path / "copy")
    assert (copy / "big").read_bytes() == (tmp_path / "big").read_bytes()
    store.delete_directory(s3_store, uri)


def asked_with_kms(proxy: FaultProxy, settings: StoreSettings, directory: Path) -> list[str]:
    """Heads of the requests that an upload with a KMS key starts with; nothing is stored."""
    proxy.decide = lambda head: None if head.startswith("GET") else Fault(status=501)
    with pytest.raises(StorageError, match="InternalError"):
        upload_directory(settings, directory, f"s3://{settings.bucket}/tests/kms")
    return [head.lower() for head in proxy.asked if not head.startswith("GET")]


def test_a_kms_key_is_named_with_objects_and_parts(s3_store: StoreSettings, tmp_path: Path) -> None:
    """This SeaweedFS has no KMS, so what it would be asked is looked at."""
    for size in (1, PART_BYTES + 1):
        (tmp_path / "file").write_bytes(bytes(size))
        with proxied(str(s3_store.endpoint_url)) as proxy:
            update = {"endpoint_url": proxy.url, "encryption": "aws:kms", "kms_key": "key-1"}
            heads = asked_with_kms(proxy, s3_store.model_copy(update=update), tmp_path)
        assert heads
        assert heads[0].startswith("put /" if size == 1 else "post /")
        for head in heads:
            assert "x-amz-server-side-encryption: aws:kms" in head
            assert "x-amz-server-side-encryption-aws-kms-key-id: key-1" in head
