"""The journal: no reply is lost, a torn line is dropped, two runs do not share one."""

import errno
import resource
import signal
from pathlib import Path

import pytest

from components.core.errors import BadInputError
from components.core.journal import Entry, Journal, TornJournalWarning, request_key
from components.core.llm import Asking, Completion
from components.core.schemas import Turn


def entry(key: str, text: str = "да") -> Entry:
    completion = Completion(
        text=text,
        finish_reason="stop",
        prompt_tokens=7,
        completion_tokens=1,
        latency_seconds=0.1,
        first_token_seconds=0.1,
        retries=0,
    )
    return Entry(key=key, completion=completion)


def filled(path: Path) -> Path:
    with Journal(path, Entry) as journal:
        for key in ("a", "b"):
            journal.add(entry(key, f"ответ {key}"))
    return path


def test_replies_are_found_after_reopening(tmp_path: Path) -> None:
    with Journal(filled(tmp_path / "deep" / "journal.jsonl"), Entry) as journal:
        assert (len(journal), "a" in journal, "c" in journal) == (2, True, False)
        assert journal.get("b") == entry("b", "ответ b").completion
        assert journal.get("c") is None
        assert [each.key for each in journal.entries()] == ["a", "b"]


@pytest.mark.parametrize("cut", [1, 40])
def test_a_torn_last_line_is_dropped_with_a_warning(cut: int, tmp_path: Path) -> None:
    path = filled(tmp_path / "journal.jsonl")
    path.write_bytes(path.read_bytes()[:-cut])
    with (
        pytest.warns(TornJournalWarning, match=r"journal\.jsonl:2"),
        Journal(path, Entry) as journal,
    ):
        assert journal.get("b") is None
        journal.add(entry("c"))
    with Journal(path, Entry) as journal:
        assert [each.key for each in journal.entries()] == ["a", "c"]


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = filled(tmp_path / "journal.jsonl")
    path.write_text("мусор\n" + path.read_text("utf-8"), "utf-8")
    with pytest.raises(BadInputError, match=r"journal\.jsonl:1"), Journal(path, Entry):
        pass


def test_two_runs_cannot_share_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with (
        Journal(path, Entry),
        pytest.raises(BadInputError, match="Another run"),
        Journal(path, Entry),
    ):
        pass
    with Journal(path, Entry) as journal:
        assert len(journal) == 0


def test_without_room_the_journal_stays_whole(tmp_path: Path) -> None:
    path = filled(tmp_path / "journal.jsonl")
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, limits[1]))
        with Journal(path, Entry) as journal, pytest.raises(OSError) as caught:
            journal.add(entry("c", "длинный ответ " * 100))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, previous)
    assert caught.value.errno == errno.EFBIG
    assert path.read_bytes() == before


def test_a_key_is_all_that_decides_a_reply_and_nothing_else() -> None:
    said = (Turn(role="user", content="Ставка?"),)
    plain = request_key("m", said, Asking())
    calm = Asking(concurrency=3, retries=0, deadline_seconds=5, progress="p")
    assert request_key("m", said, calm) == plain
    others = [
        request_key("n", said, Asking()),
        request_key("m", (Turn(role="system", content="Ставка?"),), Asking()),
        request_key("m", (Turn(role="user", content="Срок?"),), Asking()),
        request_key("m", said, Asking(max_tokens=1)),
        request_key("m", said, Asking(temperature=1)),
        request_key("m", said, Asking(top_logprobs=5)),
        request_key("m", said, Asking(reply_schema={"type": "object"})),
        request_key("m", said, Asking(extra={"ignore_eos": True})),
        request_key("m", said, Asking(), "1"),
        request_key("m", said, Asking(), role="judge"),
    ]
    assert len({plain, *others}) == len(others) + 1


def test_keys_of_older_journals_still_hold() -> None:
    said = (Turn(role="user", content="Ставка?"),)
    key = request_key("gpt", said, Asking(max_tokens=700, temperature=0.9), "0:1", "teacher")
    assert key == "b0e72f92a11489d8024cac36d204146b01da55574d0eeca1d01480d9dc5a474f"
