import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed
from trl import SFTConfig, SFTTrainer

from components.core.errors import RecipeError, TrainingError
from components.core.json_lines import read_jsonl
from components.core.schemas import Dialogue, LossPoint
from components.prepare.subset import Subset
from components.train.answer_loss import AnswerLossTrainer, collate
from components.train.merge import merge
from components.train.settings import HardwareSettings, LoraSettings, OptimizerSettings, SftSettings
from components.train.sft import fine_tune
from components.train.tokenized_dialogues import IGNORED, tokenize
from components.train.training_run import TrainingPaths, TrainingSummary, warn_of_harm
from components.train.training_step import run_sft

GOLDEN = Path(__file__).parent / "golden_loss_curve.jsonl"
"""The curve of `SETTINGS` on the tiny model, float32: written by the first run when absent."""
SETTINGS = SftSettings(
    lora=LoraSettings(rank=8, alpha=16),
    optimizer=OptimizerSettings(updates=20, batch_size=4, warmup_updates=2, learning_rate=2e-2),
    heldout_rows=16,
    evaluate_every=10,
    hardware=HardwareSettings(dtype="float32"),
    max_length=256,
)

SUBSET = Subset(rows=64, seed=1)


def paths(folder: Path, base: Path, dialogues: Path) -> TrainingPaths:
    return TrainingPaths(
        base=base,
        train=dialogues / "train.jsonl",
        test=dialogues / "test.jsonl",
        adapter=folder / "adapter",
        losses=folder / "losses.jsonl",
        home=folder,
        tensorboard=folder / "tensorboard",
    )


def curve(folder: Path) -> list[LossPoint]:
    return read_jsonl(folder / "losses.jsonl", LossPoint)


def test_golden_loss_curve(tiny_model: Path, dialogues: Path, tmp_path: Path) -> None:
    summary = fine_tune(SETTINGS, paths(tmp_path, tiny_model, dialogues), SUBSET)
    assert summary.heldout_loss < summary.base_heldout_loss - 0.2
    golden = read_jsonl(GOLDEN, LossPoint)
    found = curve(tmp_path)
    assert [(p.series, p.step) for p in found] == [(p.series, p.step) for p in golden]
    assert [p.loss for p in found] == pytest.approx([p.loss for p in golden], rel=2e-3)


def test_skipping_frozen_layers_changes_nothing(
    tiny_model: Path, dialogues: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kept outputs of the frozen layers give the curve that running every layer gives."""
    part = SETTINGS.model_copy(update={"lora": LoraSettings(rank=8, alpha=16, last_layers=2)})
    kept = fine_tune(part, paths(tmp_path / "kept", tiny_model, dialogues), SUBSET)

    def run_all(self: AnswerLossTrainer, transformer: torch.nn.Module, inputs: dict) -> object:  # type: ignore[type-arg]
        from components.train.frozen_layers import run_layers

        hidden = transformer.embed_tokens(inputs["input_ids"])  # type: ignore[operator]
        return run_layers(transformer, hidden, slice(None))

    monkeypatch.setattr(AnswerLossTrainer, "_upper", run_all)
    whole = fine_tune(part, paths(tmp_path / "whole", tiny_model, dialogues), SUBSET)
    assert kept.heldout_loss == pytest.approx(whole.heldout_loss, rel=1e-4)
    assert kept.train_loss == pytest.approx(whole.train_loss, rel=1e-3)


def test_the_loss_is_the_one_of_stock_trl(
    tiny_model: Path, dialogues: Path, tmp_path: Path
) -> None:
    """The head runs on the answer's positions only; the figure is that of the whole head."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    rows = tokenize(read_jsonl(dialogues / "test.jsonl", Dialogue)[:8], tokenizer, 256).rows
    batch = collate(rows)
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    ours = loss_of(AnswerLossTrainer, model, tokenizer, rows, batch, tmp_path)
    stock = {**batch, "attention_mask": torch.ones_like(batch["input_ids"])}
    stock.pop("index")
    theirs = loss_of(SFTTrainer, model, tokenizer, rows, stock, tmp_path)
    assert ours == pytest.approx(theirs, rel=1e-5)


def loss_of(kind: Any, model: Any, tokenizer: Any, rows: Any, batch: Any, folder: Path) -> float:
    from datasets import Dataset
    from peft import LoraConfig

    set_seed(0)
    trainer = kind(
        model=model,
        args=SFTConfig(
            output_dir=str(folder),
            report_to="none",
            bf16=False,
            gradient_checkpointing=False,
            remove_unused_columns=False,
            dataset_kwargs={"skip_prepare_dataset": True},
        ),
        train_dataset=Dataset.from_list(rows),
        data_collator=collate,
        processing_class=tokenizer,
        peft_config=LoraConfig(r=4, target_modules=["q_proj"]),
    )
    loss = trainer.compute_loss(trainer.model, dict(batch))
    trainer.model.unload()
    return float(loss.detach())


def test_only_answers_carry_loss(tiny_model: Path, dialogues: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    dialogue = read_jsonl(dialogues / "test.jsonl", Dialogue)[0]
    row = tokenize([dialogue], tokenizer, 256).rows[0]
    learned = [token for token in row["labels"] if token != IGNORED]  # type: ignore[attr-defined]
    assert tokenizer.decode(learned) == f"{dialogue.answer}<|im_end|>"


def test_an_interrupted_run_goes_on_to_the_same_curve(
    tiny_model: Path, dialogues: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = paths(tmp_path / "cut", tiny_model, dialogues)
    interrupt_after(14, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        fine_tune(SETTINGS, where, SUBSET)
    assert not where.adapter.exists()
    assert list(where.home.glob("checkpoints/*/checkpoint-10"))
    monkeypatch.undo()
    fine_tune(SETTINGS, where, SUBSET)
    golden = read_jsonl(GOLDEN, LossPoint)
    assert [p.loss for p in curve(tmp_path / "cut")] == pytest.approx(
        [p.loss for p in golden], rel=2e-3
    )
    assert not list(where.home.glob("checkpoints/*/*"))


def interrupt_after(updates: int, monkeypatch: pytest.MonkeyPatch) -> None:
    original = AnswerLossTrainer.compute_loss

    def cut(self: AnswerLossTrainer, *args: object, **kwargs: object) -> object:
        if self.state.global_step >= updates:
            raise KeyboardInterrupt
        return original(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(AnswerLossTrainer, "compute_loss", cut)


def test_merged_weights_answer_like_adapter_on_base(
    tiny_model: Path, dialogues: Path, tmp_path: Path
) -> None:
    fine_tune(SETTINGS, paths(tmp_path, tiny_model, dialogues), SUBSET)
    assert merge(tiny_model, tmp_path / "adapter", tmp_path / "merged") < 1e-4
    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    adapted = PeftModel.from_pretrained(base, str(tmp_path / "adapter"))
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    ids = torch.arange(40).reshape(2, 20)
    with torch.inference_mode():
        torch.testing.assert_close(
            merged(input_ids=ids).logits, adapted(input_ids=ids).logits, rtol=0.05, atol=0.05
        )
    assert (tmp_path / "merged" / "chat_template.jinja").exists()


def test_a_loss_that_is_not_a_number_stops_with_a_sentence(
    tiny_model: Path, dialogues: Path, tmp_path: Path
) -> None:
    wild = SETTINGS.model_copy(
        update={"optimizer": OptimizerSettings(updates=20, learning_rate=1e30, warmup_updates=0)}
    )
    with pytest.raises(TrainingError, match=r"learning_rate.*bad_batch_\d+\.json"):
        fine_tune(wild, paths(tmp_path, tiny_model, dialogues), SUBSET)
    (kept,) = tmp_path.glob("checkpoints/*/bad_batch_*.json")
    assert {"update", "input_ids", "labels"} <= set(json.loads(kept.read_text()))


@pytest.mark.parametrize(("later", "harmed"), [((1.9, 2.0), False), ((2.4, 2.2), True)])
def test_a_training_that_only_harms_says_so(
    later: tuple[float, float], harmed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    start = LossPoint(series="heldout_base", step=0, loss=2.1)
    after = [LossPoint(series="heldout", step=step, loss=loss) for step, loss in enumerate(later)]
    warn_of_harm([start, *after])
    assert ("worse than the model it began with" in caplog.text) == harmed


def test_a_wrong_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"optimizer\.learning_rte"):
        run_sft({"optimizer": {"learning_rte": 1}}, {}, "curve.html")


def test_too_many_layers_is_a_clear_error(
    tiny_model: Path, dialogues: Path, tmp_path: Path
) -> None:
    deep = SETTINGS.model_copy(update={"lora": LoraSettings(last_layers=30)})
    with pytest.raises(TrainingError, match="has 4 layers"):
        fine_tune(deep, paths(tmp_path, tiny_model, dialogues), SUBSET)


def test_the_step_writes_curve_and_figures(
    tiny_model: Path, dialogues: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINIST_HOME", str(tmp_path / "home"))
    names = {"base": str(tiny_model), "adapter": str(tmp_path / "adapter")}
    names |= {part: str(dialogues / f"{part}.jsonl") for part in ("train", "test")}
    recipe = json.loads(SETTINGS.model_dump_json())
    figures = run_sft(
        recipe,
        names | {"losses": str(tmp_path / "l.jsonl"), "tensorboard": str(tmp_path / "events")},
        str(tmp_path / "c"),
        SUBSET.model_dump(),
    )
    assert set(figures) == set(TrainingSummary.__dataclass_fields__)
    assert "<svg" in (tmp_path / "c").read_text()
