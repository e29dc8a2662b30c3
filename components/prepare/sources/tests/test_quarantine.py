"""The quarantine: every row with its reason, counted, whole or not at all."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.schemas import QuarantinedRow
from components.prepare.sources.quarantine import Quarantine, RowError, quarantined

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
    max_leaves=8,
)


def bad(kind: str, line: int = 1) -> QuarantinedRow:
    return quarantined("own.csv", line, RowError(kind, "Empty; write it."), {"question": "Да?"})


def test_rows_are_written_and_counted_and_the_others_pass(tmp_path: Path) -> None:
    path = tmp_path / "new" / "quarantine.jsonl"
    with Quarantine(path) as quarantine:
        kept = list(quarantine.kept(["a", bad("empty-answer"), "b", bad("encoding", 2)]))
        quarantine.add(bad("encoding", 3))
        assert not path.exists()
    assert kept == ["a", "b"]
    assert quarantine.counts == {"encoding": 2, "empty-answer": 1}
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [(row["file"], row["line"], row["kind"]) for row in rows] == [
        ("own.csv", 1, "empty-answer"),
        ("own.csv", 2, "encoding"),
        ("own.csv", 3, "encoding"),
    ]


def test_none_leaves_an_empty_file(tmp_path: Path) -> None:
    with Quarantine(tmp_path / "quarantine.jsonl"):
        pass
    assert (tmp_path / "quarantine.jsonl").read_bytes() == b""


def test_a_failed_run_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "quarantine.jsonl"
    path.write_text("earlier")
    with pytest.raises(KeyboardInterrupt), Quarantine(path) as quarantine:
        quarantine.add(bad("encoding"))
        raise KeyboardInterrupt
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(path.name, "earlier")]


@given(row=ANY)
def test_whatever_was_read_can_be_written(row: object) -> None:
    written = quarantined("f\udc80", 1, RowError("k", "r\ud800"), row).model_dump_json()
    assert json.loads(written)["kind"] == "k"
    written.encode()


def test_long_and_deep_rows_are_cut() -> None:
    deep: list[object] = []
    for _ in range(500):
        deep = [deep]
    row = {"answer": "ы" * 1_000_000, "many": list(range(100_000)), "deep": deep, "big": 10**5000}
    written = quarantined("f", 1, RowError("k", "r"), row).model_dump_json()
    assert len(written) < 2_000
    assert "(1000000 characters)" in written
