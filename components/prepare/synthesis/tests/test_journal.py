"""The journal: nothing paid for is lost, a torn line is dropped, two runs do not share one."""

import errno
import resource
import signal
from pathlib import Path

import pytest

from components.core.errors import BadInputError
from components.core.llm import Completion
from components.prepare.synthesis.journal import Journal, Record, TornJournalWarning


def record(key: str, text: str = "да") -> Record:
    completion = Completion(
        text=text,
        finish_reason="stop",
        prompt_tokens=7,
        completion_tokens=1,
        latency_seconds=0.1,
        first_token_seconds=0.1,
        retries=0,
    )
    return Record(key=key, role="teacher", completion=completion)


def filled(path: Path) -> Path:
    with Journal(path) as journal:
        for key in ("a", "b"):
            journal.add(record(key, f"ответ {key}"))
    return path


def test_replies_are_found_after_reopening(tmp_path: Path) -> None:
    with Journal(filled(tmp_path / "deep" / "journal.jsonl")) as journal:
        assert (len(journal), "a" in journal, "c" in journal) == (2, True, False)
        assert journal.get("b") == record("b", "ответ b").completion
        assert journal.get("c") is None
        assert [each.key for each in journal.records()] == ["a", "b"]


@pytest.mark.parametrize("cut", [1, 40])
def test_a_torn_last_line_is_dropped_with_a_warning(cut: int, tmp_path: Path) -> None:
    path = filled(tmp_path / "journal.jsonl")
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.warns(TornJournalWarning, match=r"journal\.jsonl:2"), Journal(path) as journal:
        assert journal.get("b") is None
        journal.add(record("c"))
    with Journal(path) as journal:
        assert [each.key for each in journal.records()] == ["a", "c"]


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = filled(tmp_path / "journal.jsonl")
    path.write_text("мусор\n" + path.read_text("utf-8"), "utf-8")
    with pytest.raises(BadInputError, match=r"journal\.jsonl:1"), Journal(path):
        pass


def test_two_runs_cannot_share_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path), pytest.raises(BadInputError, match="Another run"), Journal(path):
        pass
    with Journal(path) as journal:
        assert len(journal) == 0


def test_without_room_the_journal_stays_whole(tmp_path: Path) -> None:
    path = filled(tmp_path / "journal.jsonl")
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, limits[1]))
        with Journal(path) as journal, pytest.raises(OSError) as caught:
            journal.add(record("c", "длинный ответ " * 100))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, previous)
    assert caught.value.errno == errno.EFBIG
    assert path.read_bytes() == before
