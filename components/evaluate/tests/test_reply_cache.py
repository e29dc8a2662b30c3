"""The cache of replies: what it keeps, what it leaves out, and who may open it."""

from pathlib import Path

import pytest

from components.core.errors import BadInputError
from components.core.journal import TornJournalWarning
from components.core.llm import Completion, Endpoint, Token
from components.evaluate.reply_cache import ReplyCache, cache_file, model_identity


def completion(text: str = "да", finish_reason: str = "stop") -> Completion:
    return Completion(
        text=text,
        finish_reason=finish_reason,
        prompt_tokens=7,
        completion_tokens=1,
        latency_seconds=1.25,
        first_token_seconds=0.5,
        retries=2,
        tokens=(Token(text=text, logprob=-0.5, top=(("да", -0.5), ("нет", -1.0))),),
    )


def test_a_reply_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "replies.jsonl"
    with ReplyCache(path) as cache:
        cache.add("a", completion())
        assert cache.get("a") == completion()
    with ReplyCache(path) as cache:
        assert (len(cache), cache.get("a"), cache.get("b")) == (1, completion(), None)


def test_only_replies_are_kept(tmp_path: Path) -> None:
    ends = ("stop", "length", "blacklist", "content_filter", "unknown", "error", "timeout")
    with ReplyCache(tmp_path / "replies.jsonl") as cache:
        for end in ends:
            cache.add(end, completion(finish_reason=end))
        kept = [end for end in ends if cache.get(end)]
    assert kept == ["stop", "length", "blacklist", "content_filter", "unknown"]


def test_a_torn_line_is_asked_for_again(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    with ReplyCache(path) as cache:
        cache.add("a", completion("первый"))
        cache.add("b", completion("второй"))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.warns(TornJournalWarning, match="the last line is torn"), ReplyCache(path) as cache:
        assert cache.get("a") == completion("первый")
        assert cache.get("b") is None
        cache.add("b", completion("снова"))
    with ReplyCache(path) as cache:
        assert cache.get("b") == completion("снова")


def test_two_processes_cannot_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    with ReplyCache(path), pytest.raises(BadInputError, match="Another run"), ReplyCache(path):
        pass


def test_each_model_has_a_file_wherever_it_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FINIST_HOME", raising=False)
    here, there = (Endpoint(base_url=f"http://{name}/v1", model="m") for name in "ab")
    names = [
        cache_file(model_identity(*which), tmp_path / "answers.jsonl")
        for which in ((here, "w"), (there, "w"), (here, "v"), (here, "w", "s3://x"))
    ]
    assert names[0] == names[1]
    assert len(set(names)) == 3
    assert {name.parent for name in names} == {tmp_path}
    monkeypatch.setenv("FINIST_HOME", str(tmp_path / "home"))
    moved = cache_file(model_identity(here, "w"), tmp_path / "answers.jsonl")
    assert moved == tmp_path / "home" / "cache" / "replies" / names[0].name
