import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from components.core.settings import StoreSettings
from components.publish.addresses import Version
from components.publish.candidate import upload_candidate
from components.publish.evidence import Evidence
from components.publish.publish import publish_candidate

Publish = Callable[..., Version]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A checkpoint in shape, not in content: publishing never opens the weights."""
    folder = tmp_path / "model"
    folder.mkdir()
    config = {"model_type": "llama", "num_hidden_layers": 2, "vocab_size": 64, "dtype": "bfloat16"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    (folder / "generation_config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(os.urandom(1000))
    return folder


@pytest.fixture
def publish(s3_store: StoreSettings, model: Path) -> Publish:
    """Publishes the model, with other weights where some are given."""

    def publish(name: str, weights: bytes = b"", evidence: Evidence | None = None) -> Version:
        if weights:
            (model / "model.safetensors").write_bytes(weights)
        candidate = upload_candidate(s3_store, model, name)
        return publish_candidate(s3_store, candidate.uri, evidence or Evidence())

    return publish


@pytest.fixture
def environment(s3_store: StoreSettings) -> dict[str, str]:
    """Variables with which another process reaches the store."""
    assert s3_store.endpoint_url and s3_store.access_key and s3_store.secret_key
    return {
        **os.environ,
        "AWS_ENDPOINT_URL": s3_store.endpoint_url,
        "AWS_ACCESS_KEY_ID": s3_store.access_key,
        "AWS_SECRET_ACCESS_KEY": s3_store.secret_key.get_secret_value(),
        "FINIST_BUCKET": s3_store.bucket,
    }
