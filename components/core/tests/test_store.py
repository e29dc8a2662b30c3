import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from components.core import s3_client, store
from components.core.download import download_directory, download_object
from components.core.errors import BadInputError, ConflictError, IntegrityError, StorageError
from components.core.manifest import MANIFEST_NAME, describe_directory
from components.core.settings import StoreSettings
from components.core.upload import upload_directory

BIG = 20 * 1024**2  # over the multipart threshold


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("files")
    (root / "inner").mkdir()
    (root / "inner" / "имя с пробелом.txt").write_text("привет", encoding="utf-8")
    (root / "big.bin").write_bytes(bytes(range(256)) * (BIG // 256))
    (root / "empty").touch()
    return root


def address(settings: StoreSettings, request: pytest.FixtureRequest) -> str:
    return f"s3://{settings.bucket}/tests/{request.node.name}"


def test_what_goes_up_comes_down(
    s3_store: StoreSettings, directory: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    uri = address(s3_store, request)
    manifest = upload_directory(s3_store, directory, uri)
    copy = download_directory(s3_store, uri, tmp_path / "copy")
    assert describe_directory(copy) == manifest == store.read_manifest(s3_store, uri)
    assert (copy / "inner" / "имя с пробелом.txt").read_text(encoding="utf-8") == "привет"
    assert manifest.total_bytes == BIG + len("привет".encode())


def test_second_download_leaves_right_files_alone(
    s3_store: StoreSettings, directory: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    uri = address(s3_store, request)
    upload_directory(s3_store, directory, uri)
    copy = download_directory(s3_store, uri, tmp_path / "copy")
    before = (copy / "big.bin").stat().st_ino
    download_directory(s3_store, uri, copy)
    assert (copy / "big.bin").stat().st_ino == before
    (copy / "big.bin").write_bytes(b"spoilt")
    download_directory(s3_store, uri, copy)
    assert (copy / "big.bin").stat().st_size == BIG


def test_one_flipped_bit_is_caught(
    s3_store: StoreSettings, directory: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    uri = address(s3_store, request)
    upload_directory(s3_store, directory, uri)
    place = store.parse_uri(uri)
    spoilt = bytearray((directory / "big.bin").read_bytes())
    spoilt[BIG // 2] ^= 1
    s3_client.client(s3_store).put_object(
        Bucket=place.bucket, Key=place.key("big.bin"), Body=bytes(spoilt)
    )
    with pytest.raises(IntegrityError, match=r"big\.bin"):
        download_directory(s3_store, uri, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_file_that_went_missing_is_damage(
    s3_store: StoreSettings, directory: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    uri = address(s3_store, request)
    upload_directory(s3_store, directory, uri)
    place = store.parse_uri(uri)
    s3_client.client(s3_store).delete_object(Bucket=place.bucket, Key=place.key("big.bin"))
    with pytest.raises(IntegrityError, match=r"big\.bin is in the manifest but not there"):
        download_directory(s3_store, uri, tmp_path / "copy")


def test_a_directory_is_listed_and_deleted_without_its_namesakes(
    s3_store: StoreSettings, directory: Path, request: pytest.FixtureRequest
) -> None:
    uri = address(s3_store, request)
    assert store.directories(s3_store, uri) == set()
    for name in ("run-1", "run-10"):
        upload_directory(s3_store, directory, f"{uri}/{name}")
    store.put_json(s3_store, f"{uri}/half/one.json", {})
    assert store.directories(s3_store, uri) == {"half", "run-1", "run-10"}
    store.delete_directory(s3_store, f"{uri}/run-1")
    assert store.directories(s3_store, uri) == {"half", "run-10"}
    assert store.read_manifest(s3_store, f"{uri}/run-10") is not None
    store.delete_directory(s3_store, uri)
    assert store.directories(s3_store, uri) == set()


def test_a_deletion_that_was_cut_leaves_no_version(
    s3_store: StoreSettings,
    directory: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uri = address(s3_store, request)
    upload_directory(s3_store, directory, uri)
    s3 = s3_client.client(s3_store)

    def cut(**_: object) -> None:
        if store.read_manifest(s3_store, uri) is None:
            raise KeyboardInterrupt

    s3.meta.events.register("before-call.s3.DeleteObject", cut)
    original = s3_client.client
    clients = iter([s3])
    monkeypatch.setattr(
        s3_client, "client", lambda settings: next(clients, None) or original(settings)
    )
    with pytest.raises(KeyboardInterrupt):
        store.delete_directory(s3_store, uri)
    assert store.read_manifest(s3_store, uri) is None
    left = original(s3_store).list_objects_v2(
        Bucket=s3_store.bucket, Prefix=store.parse_uri(uri).prefix
    )
    assert left["KeyCount"] == 3


def test_a_whole_bucket_is_never_deleted(s3_store: StoreSettings) -> None:
    with pytest.raises(BadInputError, match="whole bucket"):
        store.delete_directory(s3_store, f"s3://{s3_store.bucket}/")


def test_an_upload_without_manifest_does_not_exist(
    s3_store: StoreSettings, directory: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    uri = address(s3_store, request)
    upload_directory(s3_store, directory, uri)
    place = store.parse_uri(uri)
    s3_client.client(s3_store).delete_object(Bucket=place.bucket, Key=place.key(MANIFEST_NAME))
    assert store.read_manifest(s3_store, uri) is None
    with pytest.raises(StorageError, match=MANIFEST_NAME):
        download_directory(s3_store, uri, tmp_path / "copy")


def test_a_download_never_replaces_other_files(
    s3_store: StoreSettings, directory: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    uri = address(s3_store, request)
    upload_directory(s3_store, directory, uri)
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(BadInputError, match="holds other files"):
        download_directory(s3_store, uri, tmp_path)
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_wrong_secret_names_the_key_and_not_the_secret(
    s3_store: StoreSettings, directory: Path
) -> None:
    wrong = s3_store.model_copy(update={"secret_key": SecretStr("not-the-secret")})
    with pytest.raises(StorageError, match="SignatureDoesNotMatch") as caught:
        upload_directory(wrong, directory, f"s3://{s3_store.bucket}/refused")
    assert f"s3://{s3_store.bucket}/refused: " in str(caught.value)
    assert "not-the-secret" not in str(caught.value)


def test_server_away_is_one_sentence() -> None:
    away = StoreSettings(
        endpoint_url="http://127.0.0.1:1", access_key="a", secret_key=SecretStr("b")
    )
    with pytest.raises(StorageError, match="AWS_ENDPOINT_URL"):
        store.ensure_bucket(away)


def test_missing_bucket_is_named(s3_store: StoreSettings, directory: Path) -> None:
    with pytest.raises(StorageError, match="s3://no-such-bucket/x"):
        upload_directory(s3_store, directory, "s3://no-such-bucket/x")


def test_json_round_trip_and_absence(s3_store: StoreSettings) -> None:
    where = f"s3://{s3_store.bucket}/tests/one.json"
    assert store.get_json(s3_store, where) is None
    store.put_json(s3_store, where, {"ключ": 1})
    assert store.get_json(s3_store, where) == {"ключ": 1}


def test_broken_manifest_is_named(s3_store: StoreSettings) -> None:
    uri = f"s3://{s3_store.bucket}/tests/broken"
    for content in ({"files": [{"path": "../up", "size": 1, "sha256": "0" * 64}]}, [1]):
        store.put_json(s3_store, f"{uri}/{MANIFEST_NAME}", content)
        with pytest.raises(IntegrityError, match=uri):
            store.read_manifest(s3_store, uri)


@pytest.mark.parametrize("uri", ["", "bucket/x", "s3://", "s3:///x", "http://b/x"])
def test_bad_addresses_are_refused(uri: str) -> None:
    with pytest.raises(BadInputError, match="s3://bucket/prefix"):
        store.parse_uri(uri)


def test_empty_or_absent_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no files"):
        describe_directory(tmp_path)
    with pytest.raises(BadInputError, match="no files"):
        describe_directory(tmp_path / "absent")


def test_content_hash_depends_on_bytes_and_names_only(tmp_path: Path) -> None:
    for folder, name in (("one", "a"), ("two", "a"), ("three", "b")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(json.dumps(folder == "none"))
    one, two, three = (
        describe_directory(tmp_path / f).content_hash for f in ("one", "two", "three")
    )
    assert one == two != three


def test_one_object_comes_whole_or_not_at_all(s3_store: StoreSettings, tmp_path: Path) -> None:
    uri = f"s3://{s3_store.bucket}/data/вопросы.csv"
    place = store.parse_uri(uri)
    body = "вопрос;ответ".encode("cp1251")
    s3_client.client(s3_store).put_object(Bucket=place.bucket, Key=place.prefix, Body=body)
    assert download_object(s3_store, uri, tmp_path / "new" / "a.csv").read_bytes() == body
    with pytest.raises(StorageError, match=r"other\.csv"):
        download_object(s3_store, f"s3://{s3_store.bucket}/other.csv", tmp_path / "b.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_of_writers_at_once_one_wins_and_the_others_are_told(s3_store: StoreSettings) -> None:
    uri = f"s3://{s3_store.bucket}/tests/swap/pointer.json"
    tag: str | None = None
    for turn in range(3):
        with ThreadPoolExecutor(4) as pool:
            tries = [pool.submit(swapped, s3_store, uri, [turn, i], tag) for i in range(4)]
        won = [new for each in tries if (new := each.result())]
        found = store.get_tagged(s3_store, uri)
        assert found
        assert [found.etag] == won
        assert found.content[0] == turn
        tag = found.etag
    store.delete_directory(s3_store, f"s3://{s3_store.bucket}/tests/swap")
    with pytest.raises(ConflictError, match="pointer"):
        store.swap_json(s3_store, uri, [], tag)  # it is gone: that is a change as well


def swapped(settings: StoreSettings, uri: str, content: object, expected: str | None) -> str | None:
    try:
        return store.swap_json(settings, uri, content, expected)
    except ConflictError as error:
        assert "somebody else" in str(error)
        return None
