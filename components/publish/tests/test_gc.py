from collections.abc import Collection
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from components.core import s3_client, store
from components.core.errors import MissingModelError
from components.core.settings import StoreSettings
from components.core.verify import verify_directory
from components.publish import pointers
from components.publish.addresses import require_version
from components.publish.gc import Decision, Rules, carry_out, plan
from components.publish.pins import pin
from components.publish.tests.conftest import Publish

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NO_AGE = timedelta(0)


def rules(served: Collection[str] = (), keep: int = 0) -> Rules:
    """Nothing stays for its age."""
    return Rules(served, keep, NO_AGE)


def by_uri(decisions: Collection[Decision], kind: str = "version") -> dict[str, Decision]:
    return {each.uri: each for each in decisions if each.kind == kind}


def why(decisions: Collection[Decision], uri: str) -> str:
    decision = by_uri(decisions)[uri]
    return "" if decision.goes else decision.why


def test_each_reason_keeps_a_version(s3_store: StoreSettings, publish: Publish) -> None:
    name = "collected"
    made = [publish(name, str(number).encode()) for number in range(7)]
    before, production, canary, pinned, served, unneeded, newest = made
    for version in (before, production):
        pointers.promote(s3_store, name, version.version, "production")
    pointers.promote(s3_store, name, canary.version, "canary")
    pin(s3_store, name, pinned.version, "audit")
    # latest stood for `unneeded` before it stood for the newest: moved twice, it did not
    pointers.promote(s3_store, name, production.version, "latest")
    pointers.promote(s3_store, name, newest.version, "latest")
    found = plan(s3_store, name, rules(served=[f"{served.uri}/"]))
    assert why(found, production.uri) == "production stands for it"
    assert why(found, canary.uri) == "canary stands for it"
    assert why(found, newest.uri) == "latest stands for it"
    assert why(found, pinned.uri).startswith("pinned: audit (")
    assert why(found, served.uri) == "a model server was started from it"
    assert why(found, before.uri) == "production stood for it before (promote --back)"
    assert why(found, unneeded.uri) == ""
    assert store.read_manifest(s3_store, unneeded.uri) is not None  # a plan deletes nothing
    done = carry_out(s3_store, name, found, rules(served=[served.uri]))
    assert [each.uri for each in done if each.goes and each.kind == "version"] == [unneeded.uri]
    left = store.directories(s3_store, f"s3://{s3_store.bucket}/models/{name}")
    assert left == {version.version for version in made} - {unneeded.version}
    assert store.directories(s3_store, f"s3://{s3_store.bucket}/candidates/{name}") == set()


def test_the_newest_and_the_young_stay(s3_store: StoreSettings, publish: Publish) -> None:
    made = [publish("aged", str(number).encode()) for number in range(3)]
    pointers.promote(s3_store, "aged", made[0].version, "latest")
    pointers.promote(s3_store, "aged", made[1].version, "latest")
    kept = plan(s3_store, "aged", rules(keep=3))
    assert all(not each.goes for each in by_uri(kept).values())
    assert why(kept, made[2].uri) == "one of the 3 newest"
    young = plan(s3_store, "aged", Rules((), keep=0))
    assert why(young, made[2].uri) == "only 0 min old"
    assert not any(each.goes for each in young)


def test_what_was_cut_off_goes_once_it_is_old(s3_store: StoreSettings, publish: Publish) -> None:
    """A version without a manifest does not count, not even among the newest."""
    whole = publish("cut", b"1")
    half = f"s3://{s3_store.bucket}/models/cut/0123456789ab"
    store.put_json(s3_store, f"{half}/config.json", {})
    key = "candidates/cut/0123456789ab/model.safetensors"
    s3 = s3_client.client(s3_store)
    s3.create_multipart_upload(Bucket=s3_store.bucket, Key=key)
    found = plan(s3_store, "cut", rules(keep=1))
    assert by_uri(found)[half].why.startswith("has no manifest, so it does not exist")
    assert why(found, whole.uri) == "latest stands for it"
    (upload,) = by_uri(found, "cut upload").values()
    assert upload.uri == f"s3://{s3_store.bucket}/{key}" and upload.goes
    assert not by_uri(plan(s3_store, "cut", Rules(())), "cut upload")
    carry_out(s3_store, "cut", found, rules(keep=1))
    again = plan(s3_store, "cut", rules(keep=1))
    assert [each.uri for each in again] == [whole.uri]


def test_a_candidate_stays_while_it_is_served(s3_store: StoreSettings, publish: Publish) -> None:
    publish("tried", b"1")
    (uri,) = by_uri(plan(s3_store, "tried", rules()), "candidate")
    kept = by_uri(plan(s3_store, "tried", rules(served=[uri])), "candidate")
    assert not kept[uri].goes and kept[uri].why == "a model server was started from it"
    assert by_uri(plan(s3_store, "tried", rules()), "candidate")[uri].goes


def test_a_version_promoted_after_the_plan_stays(s3_store: StoreSettings, publish: Publish) -> None:
    old, new = (publish("promoted-late", weights) for weights in (b"1", b"2"))
    for each in (new, old, new, publish("promoted-late", b"3"), new):
        pointers.promote(s3_store, "promoted-late", each.version, "latest")
    planned = plan(s3_store, "promoted-late", rules())
    assert by_uri(planned)[old.uri].goes
    pointers.promote(s3_store, "promoted-late", old.version, "production")
    done = carry_out(s3_store, "promoted-late", planned, rules())
    assert why(done, old.uri) == "production stands for it"
    assert store.read_manifest(s3_store, old.uri) is not None


def test_a_version_promoted_while_it_is_deleted_is_put_back(
    s3_store: StoreSettings, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = (publish("put-back", weights) for weights in (b"1", b"2"))
    for each in (new, publish("put-back", b"3"), new):
        pointers.promote(s3_store, "put-back", each.version, "latest")
    planned = [one for one in plan(s3_store, "put-back", rules()) if one.uri == old.uri]
    seen = pointers.look(s3_store, "put-back", "production")
    delete = store.delete_manifest

    def interrupted(s3: "S3Client", place: store.Location) -> None:
        """The manifest goes between the look for it and the move of the one who promotes."""

        def late(settings: StoreSettings, name: str, version: str) -> str:
            found = require_version(settings, name, version)
            monkeypatch.setattr(pointers, "require_version", require_version)
            delete(s3, place)
            return found

        monkeypatch.setattr(pointers, "require_version", late)
        with pytest.raises(MissingModelError, match="is no published version"):
            pointers.move(s3_store, seen, old.version)

    monkeypatch.setattr(store, "delete_manifest", interrupted)
    (done,) = carry_out(s3_store, "put-back", planned, rules())
    assert done.why == "production stands for it" and not done.goes
    assert verify_directory(s3_store, old.uri) == []
