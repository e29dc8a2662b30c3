"""The laptop's own JSON files: read with one sentence for what is wrong, replaced whole."""

from collections.abc import Callable
from pathlib import Path

import pytest

from components.core.errors import BadInputError
from pipelines.local.credentials import load_or_create
from pipelines.local.release import Release, read_release, write_release
from pipelines.local.state import Desired, read_desired, read_state, replace_text, write_desired


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("state.json", read_state),
        ("desired.json", read_desired),
        ("last_release.json", read_release),
        ("credentials.json", load_or_create),
    ],
)
def test_a_torn_file_is_named_with_its_remedy(
    tmp_path: Path, name: str, read: Callable[[Path], object]
) -> None:
    (tmp_path / name).write_bytes(b'{"s3_access_key": "\xd0')
    with pytest.raises(BadInputError, match=r"(delete it|run `make demo` again)") as caught:
        read(tmp_path)
    assert str(tmp_path / name) in str(caught.value)


def test_absent_files_mean_nothing_was_started(tmp_path: Path) -> None:
    assert read_state(tmp_path) is None
    assert read_release(tmp_path) is None
    assert read_desired(tmp_path) == Desired()


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    desired = Desired(services=("s3",), ports={"s3": 9000})
    write_desired(tmp_path, desired)
    assert read_desired(tmp_path) == desired
    write_release(tmp_path, Release(model_uri="s3://finist/models/x/1"))
    assert read_release(tmp_path) == Release(model_uri="s3://finist/models/x/1")


def test_keys_are_made_once_and_for_their_owner_only(tmp_path: Path) -> None:
    assert load_or_create(tmp_path) == load_or_create(tmp_path)
    assert (tmp_path / "credentials.json").stat().st_mode & 0o777 == 0o600


def test_a_write_that_fails_keeps_the_old_file_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    replace_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        replace_text(path, "half \ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
