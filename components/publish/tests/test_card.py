import json
from pathlib import Path
from typing import Any

import pytest

from components.core import store
from components.core.download import download_directory
from components.core.errors import SchemaError
from components.core.settings import StoreSettings
from components.publish.evidence import Evidence, Source, read_evidence
from components.publish.licence import find_licence
from components.publish.lineage import code_version, read_lineage
from components.publish.tests.conftest import Publish

LLAMA_NOTICE = (
    "Llama 3.1 is licensed under the Llama 3.1 Community License, Copyright © Meta Platforms, "
    "Inc. All Rights Reserved.\n"
)


def interval(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - 0.05, "high": mean + 0.05}


def standing(contender: str, accuracy: float, **more: Any) -> dict[str, Any]:
    measures = {
        "contender": contender,
        "questions": 120,
        "accuracy": interval(accuracy),
        "latency_p95": 1.5,
        "within_limit": 1.0,
        "geval": {"judge": "small", "rubric": "r.v1", "overall": interval(4.0)},
    }
    return {"measures": measures, "facts": None, **more}


BOARD = {
    "baseline": "gigachat",
    "candidate": "quantized",
    "standings": [
        standing(
            "quantized", 0.9, facts={"difference": interval(0.5), "verdict": "better", "wins": 60}
        ),
        standing("gigachat", 0.4),
    ],
    "heldout_loss_base": 2.6,
    "heldout_loss_tuned": 0.25,
    "agreement": {
        "judge": "small",
        "overall": {"rows": 400, "spearman": {"value": 0.62, "low": 0.57, "high": 0.67}},
    },
    "benchmarks": [
        {"benchmark": "general", "n": 60, "base": 50.0, "candidate": 51.0, "difference": None},
    ],
    "gates": [
        {
            "gate": {"name": "Answers in time"},
            "shown": "1.5 s",
            "bound": "at most 120.0 s",
            "passed": True,
        },
    ],
}
RECOVERY = {
    "metrics": [
        {"metric": "accuracy", "n": 120, "before": 0.92, "after": 0.9, "recovery": interval(0.978)}
    ],
    "missing": {"geval": "nobody judged"},
    "speeds": [
        {
            "before": {"concurrency": 8, "output_tokens": 100, "seconds": 10.0},
            "after": {"concurrency": 8, "output_tokens": 100, "seconds": 20.0},
        }
    ],
    "after": {"machine": "2 cores"},
    "quantization": {
        "settings": {"scheme": "w8a8", "algorithm": "gptq"},
        "calibration": {"rows": 64, "tokens": 2000},
        "quantized_layers": 210,
        "left_alone": [{"layer": "lm_head", "why": "shared with the embeddings"}],
        "bytes_before": {"linear layers": 200_000_000},
        "bytes_after": {"linear layers": 100_000_000},
    },
}
DATA = {
    "name": "finist",
    "seed": 7,
    "recipe": {},
    "dataset": {
        "train": 10_000,
        "test": 700,
        "sources": [
            {"name": "bank", "licence": "Apache-2.0", "train": 10_000, "test": 700, "title": ""}
        ],
    },
    "dialogues_masked": 3,
    "leakage": {"questions": 700, "offending": 0, "max_share": 0.0},
    "syntheses": [{"source": "synthetic:teacher", "note": "The teacher is a small stand-in."}],
}


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    given = {"board": BOARD, "recovery": RECOVERY, "data_card": DATA}
    paths = {}
    for name, content in given.items():
        paths[name] = str(tmp_path / name)
        Path(paths[name]).write_text(json.dumps(content))
    return read_evidence(
        "smollm2-135m-instruct",
        {"sft": {"learning_rate": 0.001}},
        "run-17",
        paths,
        emulated_baseline=True,
        judge_described="a small model of ours",
    )


def card_of(settings: StoreSettings, uri: str, folder: Path) -> str:
    copy = download_directory(settings, uri, folder)
    return (copy / "README.md").read_text(encoding="utf-8")


def test_the_card_tells_figures_limits_data_origin_and_licence(
    s3_store: StoreSettings,
    publish: Publish,
    evidence: Evidence,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FINIST_GIT_COMMIT", "1a2b3c-dirty")
    published = publish("carded", evidence=evidence)
    card = card_of(s3_store, published.uri, tmp_path / "copy")
    for words in (
        "---\nlanguage:\n- ru\nlicense: apache-2.0\nbase_model: smollm2-135m-instruct\n",
        f"# carded {published.version}",
        "| layers | 2 |",
        "| **quantized** | 120 | 90.0% (85.0 to 95.0) | 4.00 (3.95 to 4.05) | 1.50 s | 100.0% |",
        "| +50.0 (+45.0 to +55.0) points: better |",
        "| gigachat | 120 | 40.0% (35.0 to 45.0) |",
        "(Spearman) 0.62 (0.57 to 0.67)",
        "2.600 before training, 0.250 after it",
        "| Answers in time | 1.5 s | at most 120.0 s | passed |",
        "| general | 60 | 50.0 | 51.0 | not measured |",
        "### Quantization: W8A8 by GPTQ",
        "- 1 left alone: shared with the embeddings",
        "| accuracy | 120 | 92.0% -> 90.0% | 97.8% (92.8 to 102.8) |",
        "| geval | | not measured | nobody judged |",
        "| 8 | 10.0 | 5.0 |",
        "**no GigaChat**",
        "The judge is a small model of ours",
        "**fictional bank**",
        "synthetic:teacher: The teacher is a small stand-in.",
        "10,000 training and 700 test dialogues, seed 7",
        f"sha256 `{evidence.data_digest}`",
        "commit `1a2b3c`, with changes that were not committed",
        "pipeline run: `run-17`",
        "learning_rate: 0.001",
        "Apache License 2.0 (`apache-2.0`)",
    ):
        assert words in card
    assert "\n\n\n\n" not in card
    assert (tmp_path / "copy" / "board.json").read_text() == json.dumps(BOARD)
    assert (tmp_path / "copy" / "recovery.json").read_text() == json.dumps(RECOVERY)
    lineage = read_lineage(s3_store, published.uri)
    assert lineage and lineage.data
    assert (lineage.data.train_rows, lineage.data.card_sha256) == (10_000, evidence.data_digest)
    assert (lineage.git_commit, lineage.git_dirty, lineage.run) == ("1a2b3c", True, "run-17")


def test_what_is_not_known_is_called_so(
    s3_store: StoreSettings, publish: Publish, tmp_path: Path
) -> None:
    published = publish("unknown-origin")
    card = card_of(s3_store, published.uri, tmp_path / "copy")
    assert "license: unknown" in card and "**Unknown.**" in card
    assert "Nothing was measured of this model when it was published." in card
    assert "base model: not recorded" in card and "none; published by hand" in card
    assert not (tmp_path / "copy" / "NOTICE").exists()


def test_a_llama_carries_its_notice_and_is_told_that_its_name_is_wrong(
    s3_store: StoreSettings, publish: Publish, model: Path, tmp_path: Path
) -> None:
    (model / "LICENSE").write_text("LLAMA 3.1 COMMUNITY LICENSE AGREEMENT\n...")
    (model / "USE_POLICY.md").write_text("policy")
    wrong = publish("finist-llama", evidence=Evidence(base_model="/models/base"))
    card = card_of(s3_store, wrong.uri, tmp_path / "wrong")
    assert "**Built with Llama**" in card
    assert "The name `finist-llama` does not begin with “Llama”." in card
    assert (tmp_path / "wrong" / "NOTICE").read_text(encoding="utf-8") == LLAMA_NOTICE
    assert (tmp_path / "wrong" / "USE_POLICY.md").read_text() == "policy"
    right = publish("llama-finist", evidence=Evidence(base_model="/models/base"))
    assert "does not begin with" not in card_of(s3_store, right.uri, tmp_path / "right")
    assert right.version == wrong.version  # licence texts do not make another model


def test_a_notice_of_the_base_model_is_kept_beside_ours(
    s3_store: StoreSettings, publish: Publish, model: Path, tmp_path: Path
) -> None:
    (model / "NOTICE").write_text("theirs")
    published = publish("noticed", evidence=Evidence(base_model="SmolLM2-360M-Instruct"))
    copy = download_directory(s3_store, published.uri, tmp_path / "copy")
    assert (copy / "NOTICE").read_text() == "theirs"
    assert "Apache License" in (copy / "NOTICE.finist").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "licence"),
    [
        ("saiga_llama3.1_70b", "llama3.1"),
        ("meta-llama/Llama-3.1-8B-Instruct", "llama3.1"),
        ("HuggingFaceTB/SmolLM2-360M-Instruct", "apache-2.0"),
        ("meta-llama/Llama-3.2-1B", None),
        ("llama-31b", None),
    ],
)
def test_a_name_tells_the_licence(name: str, licence: str | None) -> None:
    found = find_licence("", [], [name])
    assert (found.id if found else None) == licence


def test_the_hubs_word_comes_before_a_text_and_a_text_before_a_name() -> None:
    apache = ["Apache License\n   Version 2.0"]
    found = find_licence("", apache, ["llama-3.1-8b"])
    assert found and found.id == "apache-2.0"
    found = find_licence("llama3.1", apache, ["smollm2"])
    assert found and found.id == "llama3.1"
    assert find_licence("gemma", apache, ["smollm2"]) is None


def test_a_base_model_of_the_store_hands_down_origin_and_licence(
    s3_store: StoreSettings, publish: Publish, tmp_path: Path
) -> None:
    source = Source(hub="http://hub", hub_id="owner/Llama", commit="5" * 40, licence="llama3.1")
    base = publish("mirrored", b"base", Evidence(source=source))
    child = publish("child", b"child", Evidence(base_model=base.uri))
    lineage = read_lineage(s3_store, child.uri)
    assert lineage and lineage.base_model
    assert lineage.licence == "llama3.1"
    assert lineage.base_model.model_dump() == {
        "name": "mirrored",
        "address": base.uri,
        "version": base.version,
        "licence": "llama3.1",
        "source": source.model_dump(),
    }
    assert "which is owner/Llama, commit" in card_of(s3_store, child.uri, tmp_path / "child")
    folder = download_directory(s3_store, base.uri, tmp_path / "base")
    (tmp_path / "lineage.json").write_text('{"of": "somebody else"}')
    stranger = publish("stranger", b"stranger", Evidence(base_model=str(tmp_path)))
    lineage = read_lineage(s3_store, stranger.uri)
    assert lineage and lineage.base_model and lineage.base_model.name == tmp_path.name
    other = publish("grandchild", b"other", Evidence(base_model=str(folder)))
    lineage = read_lineage(s3_store, other.uri)
    assert lineage and lineage.base_model and lineage.base_model.version == base.version


def test_evidence_that_is_something_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "board").write_text("{}")
    with pytest.raises(SchemaError, match=r"board holds no Board \(baseline: Field required\)"):
        read_evidence("", {}, "", {"board": str(tmp_path / "board")})
    with pytest.raises(SchemaError, match="absent cannot be read"):
        read_evidence("", {}, "", {"board": str(tmp_path / "absent")})


def test_the_code_is_named_by_the_image_or_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINIST_GIT_COMMIT", "1a2b3c")
    assert code_version() == ("1a2b3c", False)
    monkeypatch.delenv("FINIST_GIT_COMMIT")
    assert len(code_version()[0]) in (len("unknown"), 40)
    monkeypatch.setenv("PATH", "")
    assert code_version() == ("unknown", False)


def test_figures_are_the_leaderboards_own(s3_store: StoreSettings, publish: Publish) -> None:
    """What stands beside the weights is what was given, byte for byte."""
    kept = {"board.json": json.dumps(BOARD).encode()}
    published = publish("kept-figures", evidence=Evidence(files=kept))
    assert store.get_json(s3_store, f"{published.uri}/board.json") == BOARD
