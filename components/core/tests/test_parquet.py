"""Dialogues as Parquet: what goes in comes out, and other files are refused."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from components.core.errors import SchemaError
from components.core.parquet import read_parquet, write_parquet
from components.core.schemas import Dialogue, Fact, Turn

MOSCOW = timezone(timedelta(hours=3))
TEXT = st.text(st.characters(codec="utf-8"), min_size=1)
TIMES = st.none() | st.datetimes(timezones=st.sampled_from([UTC, MOSCOW]))
FACTS = st.builds(Fact, name=TEXT, value=TEXT, accepted=st.lists(TEXT, max_size=2))


def dialogue(number: int = 1, **changes: object) -> Dialogue:
    content: dict[str, object] = {
        "dialogue_id": f"dlg-{number}",
        "request_id": f"req-{number}",
        "response_id": f"rsp-{number}",
        "user_id": "usr-1",
        "turns": (
            Turn(role="user", content="Какая ставка?", time=datetime(2026, 1, 2, 3, tzinfo=MOSCOW)),
            Turn(role="assistant", content="Ставка 16,5%."),
        ),
        "intent": "deposit_rate",
        "facts": (Fact(name="rate", value="16,5%", accepted=("16.5 %",)),),
        "source": "own:test",
        "licence": "Apache-2.0",
    }
    return Dialogue.model_validate(content | changes)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None
)
@given(
    question=TEXT,
    answer=TEXT,
    time=TIMES,
    facts=st.lists(FACTS, max_size=3),
    score=st.none() | st.floats(1, 5),
)
def test_what_goes_in_comes_out(
    tmp_path: Path,
    question: str,
    answer: str,
    time: datetime | None,
    facts: list[Fact],
    score: float | None,
) -> None:
    turns = (
        Turn(role="user", content=question, time=time),
        Turn(role="assistant", content=answer),
    )
    rows = [dialogue(1, turns=turns, facts=tuple(facts), judge_score=score), dialogue(2)]
    assert write_parquet(tmp_path / "rows.parquet", iter(rows)) == 2
    assert list(read_parquet(tmp_path / "rows.parquet")) == rows


def test_many_rows_make_several_groups(tmp_path: Path) -> None:
    path = tmp_path / "new" / "rows.parquet"
    assert write_parquet(path, (dialogue(number) for number in range(10_001))) == 10_001
    assert parquet.ParquetFile(path).num_row_groups == 2
    assert [row.dialogue_id for row in read_parquet(path)] == [f"dlg-{n}" for n in range(10_001)]


def test_no_row_is_a_file_with_columns(tmp_path: Path) -> None:
    write_parquet(tmp_path / "rows.parquet", [])
    assert list(read_parquet(tmp_path / "rows.parquet")) == []
    assert parquet.read_schema(tmp_path / "rows.parquet").names == list(Dialogue.model_fields)


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    write_parquet(path, [dialogue(1)])

    def failing() -> object:
        yield dialogue(2)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        write_parquet(path, failing())  # type: ignore[arg-type]
    assert [row.dialogue_id for row in read_parquet(path)] == ["dlg-1"]


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_text("no parquet at all")
    for name in ("rows.parquet", "absent.parquet"):
        with pytest.raises(SchemaError, match=rf"{name} cannot be read as Parquet"):
            list(read_parquet(tmp_path / name))


def test_other_columns_are_named(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"text": ["a"], "label": [1]}), tmp_path / "other.parquet")
    with pytest.raises(SchemaError, match=r"other.parquet .*missing columns: dialogue_id.*label"):
        list(read_parquet(tmp_path / "other.parquet"))


def test_a_row_that_does_not_fit_is_named(tmp_path: Path) -> None:
    bad = dialogue(2).model_dump() | {"turns": []}
    rows = pa.Table.from_pylist([dialogue(1).model_dump(), bad])
    parquet.write_table(rows, tmp_path / "bad.parquet")
    with pytest.raises(SchemaError, match=r"bad.parquet, row 2: turns: "):
        list(read_parquet(tmp_path / "bad.parquet"))
