from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AutoModelForCausalLM, AutoTokenizer

from components.core.errors import TrainingError
from components.core.json_lines import read_jsonl
from components.core.schemas import Dialogue
from components.train import gpu_layers
from components.train.adapted_model import adapt
from components.train.answer_loss import collate_packed, logits_at
from components.train.gpu_layers import PACKED, attend_within_dialogues, speed_up
from components.train.settings import SftSettings
from components.train.tokenized_dialogues import IGNORED, tokenize


def dialogue_by_dialogue(
    query: Tensor, key: Tensor, value: Tensor, begins: Tensor, *others: Any, **options: Any
) -> Tensor:
    """What the kernel, which a CPU has not, is asked to compute."""
    assert options["window_size"] == (-1, 0)
    lengths = begins.diff().tolist()
    parts = zip(*(states.split(lengths) for states in (query, key, value)), strict=True)
    attended = [
        scaled_dot_product_attention(
            query.transpose(0, 1),
            key.transpose(0, 1),
            value.transpose(0, 1),
            is_causal=True,
            scale=options["scale"],
            enable_gqa=options["enable_gqa"],
        )
        for query, key, value in parts
    ]
    return torch.cat([heads.transpose(0, 1) for heads in attended])


def packed_batch(model: Path, dialogues: Path) -> dict[str, Tensor]:
    tokenizer = AutoTokenizer.from_pretrained(model)
    rows = tokenize(read_jsonl(dialogues / "test.jsonl", Dialogue)[:5], tokenizer, 256).rows
    alone: list[dict[str, Any]] = [{**row, "seq_lengths": [len(row["input_ids"])]} for row in rows]  # type: ignore[arg-type]
    return collate_packed(alone)


def on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


def test_attention_within_dialogues_gives_what_the_mask_gives(
    tiny_model: Path, dialogues: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    batch = packed_batch(tiny_model, dialogues)
    chosen = batch["labels"][:, 1:] != IGNORED
    with torch.inference_mode():
        under_mask = logits_at(model, batch, chosen)
        monkeypatch.setattr(gpu_layers, "varlen_attn", dialogue_by_dialogue)
        attend_within_dialogues(model)
        within = logits_at(model, batch, chosen)
    torch.testing.assert_close(within, under_mask, rtol=1e-4, atol=1e-4)


def test_a_gpu_gets_the_kernel_and_the_models_own_linear_layers(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a CPU gets, oneDNN's packed layers, would fail where the Trainer moves the model."""
    on_a_gpu(monkeypatch)
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.bfloat16)
    settings = SftSettings(packing=True)
    adapted = speed_up(adapt(model, settings), settings)
    assert model.config._attn_implementation == PACKED
    layer = adapted.get_base_model().model.layers[0].self_attn.q_proj
    assert "forward" not in vars(layer.base_layer)
    assert layer.cast_input_dtype_enabled is False


def test_a_cpu_keeps_its_attention(tiny_model: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    settings = SftSettings(packing=True, compile_layers=True)
    adapted = speed_up(adapt(model, settings), settings)
    assert model.config._attn_implementation == "sdpa"
    assert adapted.get_base_model().model.layers[0]._compiled_call_impl is None


@pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")  # PyTorch's own import
def test_compiling_asks_for_a_c_compiler(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_gpu(monkeypatch)
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.bfloat16)
    settings = SftSettings(packing=True, compile_layers=True)
    adapted = adapt(model, settings)
    speed_up(adapted, settings)
    assert all(layer._compiled_call_impl for layer in adapted.get_base_model().model.layers)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(TrainingError, match="C compiler"):
        speed_up(adapted, settings)


@pytest.mark.parametrize("other", [{"method": "qlora"}, {"hardware": {"deepspeed": "zero3"}}])
def test_compiling_is_for_plain_lora(other: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="compile_layers is for method: lora"):
        SftSettings.model_validate({"compile_layers": True, **other})
