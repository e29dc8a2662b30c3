import subprocess
import sys

import pytest

from components.core import store
from components.core.errors import BadInputError, ConflictError, MissingModelError
from components.core.model_pointers import Pointer, fixed, read_pointer
from components.core.settings import StoreSettings
from components.publish import pointers
from components.publish.pins import pin, read_pins, unpin
from components.publish.tests.conftest import Publish

RACER = "components.publish.tests.racer"


def current(settings: StoreSettings, name: str, pointer: str) -> Pointer:
    found = read_pointer(settings, settings.bucket, name, pointer)
    assert found
    return found


def test_of_two_processes_that_race_for_a_pointer_one_is_told(
    s3_store: StoreSettings, publish: Publish, environment: dict[str, str]
) -> None:
    """Both have read the pointer before either moves it, which is what a race is."""
    versions = [publish("raced", weights).version for weights in (b"a", b"b")]
    racers = [
        subprocess.Popen(
            [sys.executable, "-m", RACER, "raced", version],
            env={**environment, "USER": f"racer-{version}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for version in versions
    ]
    for racer in racers:
        assert racer.stdout and racer.stdout.readline() == "looked\n"
    for racer in racers:
        assert racer.stdin
        racer.stdin.write("go\n")
        racer.stdin.flush()
    said = [racer.communicate(timeout=60)[1] for racer in racers]
    codes = [racer.returncode for racer in racers]
    assert sorted(codes) == [0, 2], said
    won, lost = codes.index(0), codes.index(2)
    assert said[won] == ""
    sentence = said[lost]
    assert sentence.startswith(f"finist: production of raced was not moved to {versions[lost]}: ")
    assert f"racer-{versions[won]}@" in sentence and f"moved it to {versions[won]}" in sentence
    assert current(s3_store, "raced", "production").version == versions[won]


def test_a_pointer_moves_on_and_back(s3_store: StoreSettings, publish: Publish) -> None:
    first, second = (publish("moved", weights).version for weights in (b"1", b"2"))
    with pytest.raises(BadInputError, match="stood for no other version"):
        pointers.move_back(s3_store, "moved", "production")
    pointers.promote(s3_store, "moved", first, "production")
    assert pointers.promote(s3_store, "moved", second, "production").previous == first
    seen = current(s3_store, "moved", "production")
    assert pointers.promote(s3_store, "moved", second, "production") == seen
    assert pointers.move_back(s3_store, "moved", "production").version == first
    assert current(s3_store, "moved", "production").previous == second


def test_only_what_is_whole_is_promoted(s3_store: StoreSettings, publish: Publish) -> None:
    """A version without a manifest does not exist."""
    version = publish("whole-only").version
    uri = f"s3://{s3_store.bucket}/models/whole-only/0123456789ab"
    store.put_json(s3_store, f"{uri}/config.json", {})
    with pytest.raises(MissingModelError, match="is no published version"):
        pointers.promote(s3_store, "whole-only", "0123456789ab", "production")
    with pytest.raises(BadInputError, match="no pointer 'staging'"):
        pointers.promote(s3_store, "whole-only", version, "staging")


def test_the_younger_of_two_publishers_keeps_latest(
    s3_store: StoreSettings, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each moves `latest` between the other's look and its move."""
    older, younger = (publish("latest-race", weights).version for weights in (b"1", b"2"))
    look = pointers.look

    def interrupted(settings: StoreSettings, name: str, pointer: str) -> pointers.Seen:
        seen = look(settings, name, pointer)
        monkeypatch.setattr(pointers, "look", look)
        pointers.move(settings, seen, other, "another")
        return seen

    for ours in (older, younger):
        other = younger if ours == older else older
        pointers.promote(s3_store, "latest-race", publish("latest-race", b"0").version, "latest")
        monkeypatch.setattr(pointers, "look", interrupted)
        assert pointers.move_latest(s3_store, "latest-race", ours, "us").version == younger
        assert current(s3_store, "latest-race", "latest").version == younger


def test_a_moving_name_means_the_version_that_it_stands_for(
    s3_store: StoreSettings, publish: Publish
) -> None:
    first = publish("named", b"1")
    base = f"s3://{s3_store.bucket}/models/named"
    assert fixed(s3_store, f"{base}/latest") == first.uri
    with pytest.raises(MissingModelError, match="stands for no version yet"):
        fixed(s3_store, f"{base}/production")
    second = publish("named", b"2")
    assert fixed(s3_store, f"{base}/latest") == second.uri
    for same in (first.uri, "smollm2", "/a/folder", "s3://elsewhere/weights/latest"):
        assert fixed(s3_store, same) == same


def test_pins_of_two_people_both_count(s3_store: StoreSettings, publish: Publish) -> None:
    first, second = (publish("pinned", weights).version for weights in (b"1", b"2"))
    pin(s3_store, "pinned", first, "audit")
    pin(s3_store, "pinned", second, "exhibit")
    assert {key: one.reason for key, one in read_pins(s3_store, "pinned").items()} == {
        first: "audit",
        second: "exhibit",
    }
    unpin(s3_store, "pinned", first)
    assert set(read_pins(s3_store, "pinned")) == {second}
    with pytest.raises(BadInputError, match="is not pinned"):
        unpin(s3_store, "pinned", first)
    with pytest.raises(MissingModelError, match="is no published version"):
        pin(s3_store, "pinned", "0123456789ab", "nothing")


def test_what_was_read_must_still_stand(s3_store: StoreSettings, publish: Publish) -> None:
    first, second = (publish("stale", weights).version for weights in (b"1", b"2"))
    seen = pointers.look(s3_store, "stale", "canary")
    pointers.move(s3_store, seen, first, "anna@bank")
    with pytest.raises(ConflictError, match=f"anna@bank moved it to {first}"):
        pointers.move(s3_store, seen, second)
