"""Transfers through a network that fails: a real S3 server behind a proxy that spoils things."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from components.core import s3_client, store, streams, transfer
from components.core.download import download_directory
from components.core.errors import IntegrityError, StorageError
from components.core.manifest import MANIFEST_NAME, describe_directory
from components.core.settings import StoreSettings
from components.core.tests.fault_proxy import Fault, FaultProxy, proxied
from components.core.transfer import MIB
from components.core.upload import upload_directory
from components.core.verify import verify_directory

PART_BYTES = 5 * MIB
"""The least that S3 takes, not the 8 MiB of earnest, so that there is less to move."""
BIG_PARTS = 5
BIG = (BIG_PARTS - 1) * PART_BYTES + MIB // 2
PART = re.compile(r"PUT \S*partNumber=(\d+)")
COMPLETION = re.compile(r"POST \S*uploadId=")
RANGE = re.compile(r"^Range: bytes=(\d+)-", re.MULTILINE | re.IGNORECASE)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("model")
    (root / "a-config.json").write_text("{}")
    (root / "b-first.safetensors").write_bytes(os.urandom(PART_BYTES + MIB // 2))
    (root / "c-big.safetensors").write_bytes(os.urandom(BIG))
    return root


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PART_BYTES", PART_BYTES)


@pytest.fixture
def proxy(s3_store: StoreSettings) -> Iterator[FaultProxy]:
    with proxied(str(s3_store.endpoint_url)) as running:
        yield running


@pytest.fixture
def through(proxy: FaultProxy, s3_store: StoreSettings) -> StoreSettings:
    """Settings that go through the proxy."""
    return s3_store.model_copy(update={"endpoint_url": proxy.url, "concurrency": 2})


@pytest.fixture
def uri(s3_store: StoreSettings, request: pytest.FixtureRequest) -> Iterator[str]:
    """A place of this test alone, removed afterwards."""
    place = f"s3://{s3_store.bucket}/faults/{request.node.name}"
    yield place
    store.delete_directory(s3_store, place)


def first(times: int, pattern: str, fault: Fault) -> Callable[[str], Fault | None]:
    """Gives the fault to the first requests whose head holds the pattern."""
    left = [fault] * times

    def decide(head: str) -> Fault | None:
        return left.pop() if re.search(pattern, head, re.MULTILINE) and left else None

    return decide


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        (PART.pattern, Fault(status=500)),
        (PART.pattern, Fault(status=503, code="SlowDown")),
        (PART.pattern, Fault(cut_request_at=MIB // 4)),
        ("^PUT", Fault(cut_reply_at=0)),
        (r"^POST \S*uploadId=", Fault(cut_reply_at=0)),
        (r"^PUT \S*manifest.json", Fault(status=500)),
    ],
    ids=["500", "slow-down", "cut", "lost-answer", "lost-completion", "manifest"],
)
def test_an_upload_survives(
    through: StoreSettings, proxy: FaultProxy, model: Path, uri: str, pattern: str, fault: Fault
) -> None:
    proxy.decide = first(2, pattern, fault)
    manifest = upload_directory(through, model, uri)
    assert manifest == describe_directory(model)
    assert len(proxy.asked) > len(proxy.passed) or fault.cut_reply_at == 0
    assert verify_directory(through, uri) == []


def test_an_upload_that_fails_for_good_does_not_exist(
    through: StoreSettings, proxy: FaultProxy, model: Path, uri: str
) -> None:
    proxy.decide = first(99, "partNumber=2", Fault(status=500))
    hasty = through.model_copy(update={"attempts": 2})
    with pytest.raises(StorageError, match=r"b-first\.safetensors: .* InternalError"):
        upload_directory(hasty, model, uri)
    assert store.read_manifest(through, uri) is None
    assert not [head for head in proxy.asked if head.startswith("PUT") and MANIFEST_NAME in head]


def run_apart(code: str, settings: StoreSettings, *words: str) -> subprocess.Popen[bytes]:
    """Starts Python code in a process of its own that talks through the proxy."""
    assert settings.access_key
    assert settings.secret_key
    environment = os.environ | {
        "AWS_ENDPOINT_URL": str(settings.endpoint_url),
        "AWS_ACCESS_KEY_ID": settings.access_key,
        "AWS_SECRET_ACCESS_KEY": settings.secret_key.get_secret_value(),
        "FINIST_S3_CONCURRENCY": str(settings.concurrency),
    }
    head = (
        "import sys; from pathlib import Path; from components.core.settings import StoreSettings; "
        "from components.core.upload import upload_directory; "
        "from components.core.download import download_directory; "
        f"from components.core import transfer; transfer.PART_BYTES = {PART_BYTES}; "
    )
    root = Path(__file__).resolve().parents[3]
    return subprocess.Popen([sys.executable, "-c", head + code, *words], env=environment, cwd=root)


def kill_when(process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> None:
    """`kill -9` once it is time."""
    deadline = time.monotonic() + 60
    while not ready() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert ready(), "it did not come so far"
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def part_keys(proxy: FaultProxy) -> list[str]:
    """File and number of each part that the server took, in order."""
    found = (re.match(r"PUT \S*/([^/?]+)\?\S*partNumber=(\d+)", each.line) for each in proxy.passed)
    return [f"{each[1]} {each[2]}" for each in found if each]


def test_kill_9_at_a_third_of_an_upload_then_resume(
    s3_store: StoreSettings, through: StoreSettings, proxy: FaultProxy, model: Path, uri: str
) -> None:
    total = sum(path.stat().st_size for path in model.iterdir())
    parts: list[str] = []

    def hold_after_three(head: str) -> Fault | None:
        if PART.match(head):
            parts.append(head)
        return Fault(hold=True) if PART.match(head) and len(parts) > 3 else None

    proxy.decide = hold_after_three
    code = "upload_directory(StoreSettings(), Path(sys.argv[1]), sys.argv[2])"
    with run_apart(code, through, str(model), uri) as process:
        kill_when(
            process,
            lambda: (
                proxy.held.is_set()
                and len(part_keys(proxy)) == 3
                and any(
                    each.line.startswith("POST") and "uploadId=" in each.line
                    for each in proxy.passed
                )
            ),
        )
    before, sent = part_keys(proxy), sum(each.body_bytes for each in proxy.passed)
    assert 0.3 < sent / total < 0.45
    assert store.read_manifest(s3_store, uri) is None
    assert verify_refused(s3_store, uri)

    proxy.decide = lambda _: None
    proxy.passed.clear()
    manifest = upload_directory(through, model, uri)
    after = part_keys(proxy)
    assert set(before) & set(after) == set()
    assert len(before) + len(after) == 2 + BIG_PARTS
    again = sum(each.body_bytes for each in proxy.passed if "manifest" not in each.line)
    assert again < total - sent + 10_000  # what goes over is the list of parts in XML
    assert manifest == describe_directory(model) == store.read_manifest(s3_store, uri)
    assert verify_directory(s3_store, uri) == []
    assert store.stale_uploads(s3_store, uri, older_than=timedelta(0)) == []


def verify_refused(settings: StoreSettings, uri: str) -> bool:
    with pytest.raises(StorageError, match=MANIFEST_NAME):
        verify_directory(settings, uri)
    return True


def ranges(heads: list[str]) -> list[int]:
    return [int(found[1]) for head in heads if "c-big" in head and (found := RANGE.search(head))]


def test_kill_9_in_a_download_then_resume(
    s3_store: StoreSettings,
    through: StoreSettings,
    proxy: FaultProxy,
    model: Path,
    uri: str,
    tmp_path: Path,
) -> None:
    upload_directory(s3_store, model, uri)
    proxy.decide = lambda head: Fault(hold=True) if len(ranges([head, *proxy.asked])) > 3 else None
    copy, partial = tmp_path / "copy", tmp_path / ".copy.partial"

    def noted() -> int:
        return sum(len(path.read_text().splitlines()) for path in partial.glob("ranges/*"))

    code = "download_directory(StoreSettings(), sys.argv[1], Path(sys.argv[2]))"
    with run_apart(code, through, uri, str(copy)) as process:
        kill_when(process, lambda: proxy.held.is_set() and noted() >= 5)
    assert not copy.exists()
    arrived = {int(line) for path in partial.glob("ranges/*") for line in path.read_text().split()}
    before = ranges([each.head for each in proxy.passed])
    proxy.decide = lambda _: None
    proxy.asked.clear()
    download_directory(through, uri, copy)
    after = ranges(proxy.asked)
    assert len(set(before) & set(after)) == 0
    assert sorted({*before, *after}) == [number * PART_BYTES for number in range(BIG_PARTS)]
    assert arrived
    assert not any("b-first" in head for head in proxy.asked)
    assert describe_directory(copy) == describe_directory(model)
    assert not partial.exists()


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500),
        Fault(status=503, code="SlowDown"),
        Fault(cut_reply_at=MIB // 3),
        Fault(flip_at=MIB // 3),
    ],
    ids=["500", "slow-down", "cut", "bit-flip"],
)
def test_a_download_survives(
    s3_store: StoreSettings,
    through: StoreSettings,
    proxy: FaultProxy,
    model: Path,
    uri: str,
    tmp_path: Path,
    fault: Fault,
) -> None:
    upload_directory(s3_store, model, uri)
    proxy.decide = first(2, r"^GET \S*c-big", fault)
    copy = download_directory(through, uri, tmp_path / "copy")
    assert describe_directory(copy) == describe_directory(model)
    taken = [each for each in proxy.passed if "b-first" in each.line]
    assert len(taken) == 2  # only what came wrong was fetched again


@pytest.mark.parametrize("pause", [3.0, 0.2], ids=["stalls", "crawls"])
def test_a_slow_stream_is_asked_for_again(
    s3_store: StoreSettings,
    through: StoreSettings,
    proxy: FaultProxy,
    model: Path,
    uri: str,
    tmp_path: Path,
    pause: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    upload_directory(s3_store, model, uri)
    monkeypatch.setattr(streams, "SLOWEST", MIB)
    proxy.decide = first(1, rf"(?s)c-big.*bytes={PART_BYTES}-", Fault(pause=pause))
    impatient = through.model_copy(update={"read_timeout": 1.0})
    copy = download_directory(impatient, uri, tmp_path / "copy")
    assert describe_directory(copy) == describe_directory(model)
    starts = ranges(proxy.asked)
    assert len(starts) > BIG_PARTS
    again = [start for start in starts if start % PART_BYTES]
    assert len(again) == (1 if pause < 1 else 0)  # from where it was, and not from the start


def test_a_stream_that_is_always_cut_is_one_sentence(
    s3_store: StoreSettings,
    through: StoreSettings,
    proxy: FaultProxy,
    model: Path,
    uri: str,
    tmp_path: Path,
) -> None:
    upload_directory(s3_store, model, uri)
    proxy.decide = first(99, r"^GET \S*c-big", Fault(cut_reply_at=MIB // 3))
    with pytest.raises(StorageError, match=r"c-big\.safetensors: the stream was cut 2 times"):
        download_directory(through.model_copy(update={"attempts": 2}), uri, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def spoil(settings: StoreSettings, uri: str, name: str, change: Callable[[bytearray], Any]) -> None:
    place, s3 = store.parse_uri(uri), s3_client.client(settings)
    content = bytearray(s3.get_object(Bucket=place.bucket, Key=place.key(name))["Body"].read())
    change(content)
    s3.put_object(Bucket=place.bucket, Key=place.key(name), Body=bytes(content))


def flip(content: bytearray) -> None:
    content[len(content) // 2] ^= 1


def test_a_bit_flipped_in_the_store_is_caught(
    s3_store: StoreSettings, model: Path, uri: str, tmp_path: Path
) -> None:
    upload_directory(s3_store, model, uri)
    spoil(s3_store, uri, "b-first.safetensors", flip)
    with pytest.raises(IntegrityError, match=r"b-first\.safetensors: twice"):
        download_directory(s3_store, uri, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    (problem,) = verify_directory(s3_store, uri)
    assert re.search(r"b-first\.safetensors has sha256 \w{12}, the manifest says \w{12}", problem)


def test_verifying_names_what_is_missing_short_long_and_strange(
    s3_store: StoreSettings, tmp_path: Path, uri: str
) -> None:
    for name in ("gone", "long", "short", "well"):
        (tmp_path / name).write_text("content")
    upload_directory(s3_store, tmp_path, uri)
    spoil(s3_store, uri, "long", lambda content: content.append(0))
    spoil(s3_store, uri, "short", bytearray.clear)
    place, s3 = store.parse_uri(uri), s3_client.client(s3_store)
    s3.delete_object(Bucket=place.bucket, Key=place.key("gone"))
    s3.put_object(Bucket=place.bucket, Key=place.key("strange"), Body=b"")
    said = [problem.removeprefix(f"{uri}/") for problem in verify_directory(s3_store, uri)]
    assert said == [
        "gone is in the manifest but not there; publish it again.",
        "long has 8 bytes, the manifest says 7; publish it again.",
        "short has fewer bytes, the manifest says 7; publish it again.",
        "strange is not in the manifest; remove it.",
    ]


def test_a_file_that_is_not_what_the_manifest_says_is_not_published(
    s3_store: StoreSettings, tmp_path: Path, uri: str
) -> None:
    for content in (b"small", os.urandom(PART_BYTES + 1)):
        (tmp_path / "file").write_bytes(content)
        manifest = describe_directory(tmp_path)
        (tmp_path / "file").write_bytes(bytes(reversed(content)))
        with pytest.raises(IntegrityError, match="it was changed"):
            upload_directory(s3_store, tmp_path, uri, manifest)
        assert store.read_manifest(s3_store, uri) is None
    (tmp_path / "file").unlink()
    with pytest.raises(IntegrityError, match="is in the manifest but not there"):
        upload_directory(s3_store, tmp_path, uri, manifest)


def test_what_is_there_is_not_sent_again_and_what_changed_is(
    through: StoreSettings, proxy: FaultProxy, model: Path, uri: str, tmp_path: Path
) -> None:
    upload_directory(through, model, uri)
    proxy.passed.clear()
    upload_directory(through, model, uri)
    assert sum(each.body_bytes for each in proxy.passed) < 1000  # the manifest
    changed = tmp_path / "changed"
    changed.mkdir()
    for path in model.iterdir():
        content = bytearray(path.read_bytes())
        if path.name == "b-first.safetensors":
            flip(content)
        (changed / path.name).write_bytes(content)
    proxy.passed.clear()
    assert upload_directory(through, changed, uri) == describe_directory(changed)
    assert sorted(part_keys(proxy)) == ["b-first.safetensors 1", "b-first.safetensors 2"]
    assert verify_directory(through, uri) == []


def test_stale_uploads_are_listed_and_aborted(s3_store: StoreSettings, uri: str) -> None:
    place, s3 = store.parse_uri(uri), s3_client.client(s3_store)
    for prefix in (place.prefix, f"{place.prefix}-namesake"):
        s3.create_multipart_upload(Bucket=place.bucket, Key=f"{prefix}/cut.bin")
    assert store.stale_uploads(s3_store, uri, older_than=timedelta(hours=1)) == []
    (cut,) = store.stale_uploads(s3_store, uri, older_than=timedelta(0))
    assert cut.uri == f"{uri}/cut.bin"
    for _ in range(2):  # somebody else may have been faster
        store.abort_upload(s3_store, cut)
    assert store.stale_uploads(s3_store, uri, older_than=timedelta(0)) == []
    store.delete_directory(s3_store, f"{uri}-namesake")
    bucket = f"s3://{s3_store.bucket}"
    assert not [
        u for u in store.stale_uploads(s3_store, bucket, timedelta(0)) if "namesake" in u.key
    ]
