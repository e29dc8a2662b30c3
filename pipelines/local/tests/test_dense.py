"""4-bit weights on a processor whose vLLM has no kernel for them."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from components.core.json_lines import write_jsonl
from components.prepare.generate import generate
from components.prepare.load import load_bank
from components.quantize.quantize import quantize
from components.quantize.settings import QuantizeSettings
from components.train.tiny_model import write_tiny_model
from pipelines.local.dense import servable
from pipelines.local.vllm import Cpu

AVX2 = Cpu(frozenset({"avx2"}), (0, 1))
AVX512 = Cpu(frozenset({"avx2", "avx512f"}), (0, 1))


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed")
    rows = generate(load_bank(), train_rows=200, test_rows=40, seed=1).train
    write_jsonl(folder / "train.jsonl", rows)
    base = write_tiny_model(folder / "base", [f"{row.question} {row.answer}" for row in rows])
    settings = QuantizeSettings(scheme="w4a16", algorithm="rtn", group_size=32)
    quantize(base, folder / "train.jsonl", settings, folder / "w4a16")
    return folder / "w4a16"


@pytest.mark.slow
def test_they_are_served_dequantized_and_made_once(packed: Path, tmp_path: Path) -> None:
    dense, note = servable(packed, AVX2, tmp_path)
    assert dense.parent == tmp_path
    assert "dequantized" in note
    weights = AutoModelForCausalLM.from_pretrained(dense, dtype=torch.float32).state_dict()
    rounded = weights["model.layers.0.mlp.up_proj.weight"].reshape(-1, 32)
    levels = [len(group.unique()) for group in rounded]
    assert max(levels) <= 16  # what 4 bits can tell apart within a group
    made = (dense / "model.safetensors").stat().st_mtime_ns
    assert servable(packed, AVX2, tmp_path) == (dense, note)
    assert (dense / "model.safetensors").stat().st_mtime_ns == made


@pytest.mark.slow
def test_a_processor_with_the_kernel_serves_them_as_they_are(packed: Path, tmp_path: Path) -> None:
    assert servable(packed, AVX512, tmp_path) == (packed, "")
    assert list(tmp_path.iterdir()) == []


def test_other_formats_are_served_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    assert servable(tmp_path, AVX2, tmp_path / "kept") == (tmp_path, "")
