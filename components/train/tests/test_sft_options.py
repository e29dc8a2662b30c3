"""Packing, early stopping, and recipes that do not fit the model or the machine."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from components.core.errors import MissingModelError, TrainingError
from components.core.json_lines import read_jsonl
from components.core.schemas import Dialogue
from components.prepare.subset import Subset
from components.train.adapted_model import check_adapter
from components.train.answer_loss import collate, collate_packed, logits_at
from components.train.merge import merge
from components.train.settings import LoraSettings, OptimizerSettings, SftSettings
from components.train.sft import fine_tune
from components.train.tests.test_sft import SETTINGS, SUBSET, curve, paths
from components.train.tiny_model import write_tiny_model
from components.train.tokenized_dialogues import IGNORED, tokenize


def changed(**fields: object) -> SftSettings:
    return SftSettings.model_validate(SETTINGS.model_dump() | fields)


def test_packed_dialogues_see_themselves_alone(tiny_model: Path, dialogues: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    rows = tokenize(read_jsonl(dialogues / "test.jsonl", Dialogue)[:5], tokenizer, 256).rows
    lengths = [len(row["input_ids"]) for row in rows]  # type: ignore[arg-type]
    joined = {
        name: [token for row in rows for token in row[name]]  # type: ignore[attr-defined]
        for name in ("input_ids", "labels")
    }
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    apart, packed = collate(rows), collate_packed([{**joined, "seq_lengths": lengths}])
    with torch.inference_mode():
        found = [
            logits_at(model, batch, batch["labels"][:, 1:] != IGNORED) for batch in (apart, packed)
        ]
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-4)


def test_packing_trains_on_fewer_fuller_rows(
    tiny_model: Path, dialogues: Path, tmp_path: Path
) -> None:
    # Packed two by two or so, an update holds more dialogues: the same loss needs fewer of them.
    optimizer = SETTINGS.optimizer.model_copy(update={"updates": 10})
    packed = changed(packing=True, optimizer=optimizer.model_dump())
    summary = fine_tune(packed, paths(tmp_path, tiny_model, dialogues), SUBSET)
    assert summary.train_rows == SUBSET.rows
    assert summary.heldout_loss < summary.base_heldout_loss - 0.1


def test_training_stops_early_and_keeps_the_best(
    tiny_model: Path, dialogues: Path, tmp_path: Path
) -> None:
    # Eight dialogues learned by heart: the held-out loss falls, and then rises.
    greedy = changed(
        optimizer=OptimizerSettings(updates=120, learning_rate=5e-2, warmup_updates=0),
        evaluate_every=5,
        patience=2,
    )
    where = paths(tmp_path, tiny_model, dialogues)
    summary = fine_tune(greedy, where, Subset(rows=8, seed=1))
    heldout = {point.step: point.loss for point in curve(tmp_path) if point.series == "heldout"}
    assert summary.updates < 120
    assert summary.best_update == summary.updates - 2 * 5
    assert summary.heldout_loss == min(heldout.values()) == heldout[summary.best_update]


def test_a_dialogue_that_does_not_fit_is_counted(
    tiny_model: Path, dialogues: Path, tmp_path: Path
) -> None:
    narrow = changed(max_length=40)
    summary = fine_tune(narrow, paths(tmp_path, tiny_model, dialogues), SUBSET)
    assert summary.too_long > 0
    assert summary.train_rows + summary.too_long == SUBSET.rows


def test_an_unknown_target_module_is_named_with_the_known_ones(
    tiny_model: Path, dialogues: Path, tmp_path: Path
) -> None:
    wrong = changed(lora=LoraSettings(target_modules=("q_proj", "query")).model_dump())
    with pytest.raises(TrainingError, match=r"'query'.*down_proj, gate_proj"):
        fine_tune(wrong, paths(tmp_path, tiny_model, dialogues), SUBSET)


@pytest.mark.skipif(torch.cuda.is_available(), reason="QLoRA is possible here")
def test_qlora_without_cuda_is_refused(tiny_model: Path, dialogues: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="needs a CUDA device"):
        fine_tune(changed(method="qlora"), paths(tmp_path, tiny_model, dialogues), SUBSET)


def test_an_adapter_of_another_base_model_is_refused(
    tiny_model: Path, dialogues: Path, tmp_path: Path
) -> None:
    brief = changed(optimizer=OptimizerSettings(updates=2).model_dump(), evaluate_every=2)
    fine_tune(brief, paths(tmp_path, tiny_model, dialogues), SUBSET)
    other = write_tiny_model(tmp_path / "other", ["Какая ставка по вкладу?"], seed=1)
    with pytest.raises(TrainingError, match="trained on another base model"):
        merge(other, tmp_path / "adapter", tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_a_folder_without_an_adapter_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingModelError, match=r"adapter_config\.json"):
        check_adapter(tmp_path, tiny_model)
