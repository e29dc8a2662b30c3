import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from components.core.errors import MissingModelError, TrainingError
from components.core.json_lines import read_jsonl, write_jsonl
from components.core.schemas import LossPoint, PreferencePair, Turn
from components.prepare.preferences.preference_step import run_preferences
from components.train.adapted_model import adapt, load_base, name_base
from components.train.answer_loss import AnswerTokens
from components.train.odds_ratio import log_odds, mean_log_probabilities, orpo_loss
from components.train.orpo import align
from components.train.orpo_trainer import OrpoTrainer
from components.train.settings import (
    HardwareSettings,
    LoraSettings,
    OptimizerSettings,
    OrpoSettings,
    SftSettings,
)
from components.train.sft import fine_tune
from components.train.tiny_model import write_tiny_model
from components.train.tokenized_dialogues import IGNORED
from components.train.tokenized_pairs import collate_pairs, tokenize_pairs
from components.train.training_run import TrainingPaths, arguments
from components.train.training_step import run_orpo

GOLDEN = Path(__file__).parent / "golden_orpo_curve.jsonl"
"""The curve of `SETTINGS` on the tiny model, float32."""
SETTINGS = OrpoSettings(
    lora=LoraSettings(rank=8, alpha=16),
    optimizer=OptimizerSettings(updates=20, batch_size=4, warmup_updates=2, learning_rate=2e-2),
    odds_weight=0.5,
    heldout_rows=16,
    evaluate_every=10,
    hardware=HardwareSettings(dtype="float32"),
    max_length=256,
)


@pytest.fixture(scope="session")
def pairs(dialogues: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `train.jsonl` and `test.jsonl` of preference pairs."""
    folder = tmp_path_factory.mktemp("pairs")
    files = {"out": "train.jsonl", "test_out": "test.jsonl", "quarantine": "quarantine.jsonl"}
    figures = run_preferences(
        {"subset": {"rows": 64, "seed": 1}},
        str(dialogues / "train.jsonl"),
        str(dialogues / "test.jsonl"),
        {name: str(folder / file) for name, file in files.items()},
    )
    assert figures["train_pairs"] == figures["test_pairs"] == 64
    assert sum(n for name, n in figures.items() if name.startswith("train_pairs.")) == 64
    return folder


def paths(folder: Path, base: Path, pairs: Path) -> TrainingPaths:
    return TrainingPaths(
        base=base,
        train=pairs / "train.jsonl",
        test=pairs / "test.jsonl",
        adapter=folder / "adapter",
        losses=folder / "losses.jsonl",
        home=folder,
        tensorboard=folder / "tensorboard",
    )


def values(points: list[LossPoint]) -> list[float]:
    """Every figure of a curve, in order."""
    rows = [(p.loss, p.preference_accuracy, p.preference_margin) for p in points]
    return [value for row in rows for value in row if value is not None]


def same_curve(found: Path, expected: Path) -> None:
    ours, golden = (read_jsonl(path, LossPoint) for path in (found, expected))
    assert [(p.series, p.step) for p in ours] == [(p.series, p.step) for p in golden]
    assert values(ours) == pytest.approx(values(golden), rel=2e-3, abs=1e-3)


def test_golden_curve(tiny_model: Path, pairs: Path, tmp_path: Path) -> None:
    summary = align(SETTINGS, paths(tmp_path, tiny_model, pairs))
    same_curve(tmp_path / "losses.jsonl", GOLDEN)
    assert summary.training.heldout_loss < summary.training.base_heldout_loss
    assert summary.gain.margin.low > 0
    assert summary.gain.margin.mean == pytest.approx(
        summary.after.margin.mean - summary.before.margin.mean
    )
    assert list((tmp_path / "tensorboard").iterdir())


def test_an_interrupted_run_goes_on_to_the_same_curve(
    tiny_model: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = paths(tmp_path, tiny_model, pairs)
    original = OrpoTrainer.compute_loss

    def cut(self: OrpoTrainer, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step >= 14:
            raise KeyboardInterrupt
        return original(self, *args, **kwargs)

    monkeypatch.setattr(OrpoTrainer, "compute_loss", cut)
    with pytest.raises(KeyboardInterrupt):
        align(SETTINGS, where)
    assert not where.adapter.exists()
    monkeypatch.undo()
    summary = align(SETTINGS, where)
    same_curve(where.losses, GOLDEN)
    assert summary.gain.margin.low > 0  # the margins from before the interruption are known
    assert not list(where.home.glob("checkpoints/*/*"))


def test_the_loss_by_hand() -> None:
    """A chosen answer of two tokens (1/2, 1/8), so 1/4 a token; a rejected one of 1/5."""
    probabilities = torch.tensor([[0.5, 0.5], [0.125, 0.875], [0.8, 0.2]])
    found = AnswerTokens(
        probabilities.log(), targets=torch.tensor([0, 0, 1]), rows=torch.tensor([0, 0, 1])
    )
    chosen, rejected = mean_log_probabilities(found, 2)[:, None]
    assert chosen.item() == pytest.approx(math.log(0.25))
    assert log_odds(chosen).item() == pytest.approx(math.log(1 / 3))
    odds_ratio = (1 / 3) / (1 / 4)
    by_hand = -math.log(0.25) + 0.1 * math.log(1 + 1 / odds_ratio)
    assert orpo_loss(chosen, rejected, 0.1).item() == pytest.approx(by_hand)


@pytest.mark.parametrize("value", [0.0, -1e-9, -1e-4, -0.6931472, -1.0, -50.0, -1e4])
def test_odds_and_their_gradient_are_finite(value: float) -> None:
    log_probability = torch.tensor([value], requires_grad=True)
    odds = log_odds(log_probability)
    odds.backward()
    assert torch.isfinite(odds).all()
    assert log_probability.grad is not None
    assert torch.isfinite(log_probability.grad).all()
    if -1e3 < value < -1e-5:
        exact = value - math.log(-math.expm1(value))
        assert odds.item() == pytest.approx(exact, rel=1e-4, abs=1e-6)


def test_the_loss_is_the_one_of_trl(
    tiny_model: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the whole logits of the same model, by TRL's own functions."""
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    from trl.experimental.orpo import ORPOTrainer

    batch = a_batch(tiny_model, pairs, 6)
    ours = a_trainer(tiny_model, pairs, tmp_path)
    loss, margins = ours.compute_loss(ours.model, batch, return_outputs=True)
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    logits = model(input_ids=batch["input_ids"]).logits
    means = ORPOTrainer.get_batch_logps(logits, batch["labels"], average_log_prob=True)
    theirs = ORPOTrainer.__new__(ORPOTrainer)  # its loss needs two attributes, not a whole trainer
    theirs.beta, theirs.accelerator = SETTINGS.odds_weight, ours.accelerator
    ratios, *_, log_odds_ratio = theirs.odds_ratio_loss(*means.chunk(2))
    expected = (-means.chunk(2)[0] - ratios).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert margins.mean().item() == pytest.approx(log_odds_ratio.item(), rel=1e-3, abs=1e-5)


def test_accumulated_batches_are_one_batch(tiny_model: Path, pairs: Path, tmp_path: Path) -> None:
    """Each pair counts the same: 2 batches of 2 pairs give the gradient of one batch of 4."""
    found = []
    for batch_size, accumulation in ((4, 1), (2, 2)):
        settings = changed(updates=5, batch_size=batch_size, accumulation=accumulation)
        folder = tmp_path / str(batch_size)
        align(settings, paths(folder, tiny_model, pairs))
        found.append(read_jsonl(folder / "losses.jsonl", LossPoint))
    one, two = found
    assert values(two) == pytest.approx(values(one), rel=2e-3, abs=1e-3)


def test_skipping_frozen_layers_changes_nothing(
    tiny_model: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lora = LoraSettings(rank=8, alpha=16, last_layers=2)
    part = changed(updates=5).model_copy(update={"lora": lora})
    kept = align(part, paths(tmp_path / "kept", tiny_model, pairs))

    def run_all(self: OrpoTrainer, transformer: Any, inputs: dict[str, Tensor]) -> Tensor:
        from components.train.frozen_layers import run_layers

        return run_layers(transformer, transformer.embed_tokens(inputs["input_ids"]), slice(None))

    monkeypatch.setattr(OrpoTrainer, "_upper", run_all)
    whole = align(part, paths(tmp_path / "whole", tiny_model, pairs))
    assert kept.training.heldout_loss == pytest.approx(whole.training.heldout_loss, rel=1e-4)
    assert kept.after.margin.mean == pytest.approx(whole.after.margin.mean, rel=1e-3, abs=1e-4)


def test_it_goes_on_from_the_adapter_of_sft(
    tiny_model: Path, dialogues: Path, pairs: Path, tmp_path: Path
) -> None:
    sft = SftSettings(
        lora=SETTINGS.lora,
        optimizer=SETTINGS.optimizer,
        heldout_rows=16,
        evaluate_every=20,
        hardware=SETTINGS.hardware,
        max_length=256,
    )
    first = paths(tmp_path / "sft", tiny_model, dialogues)
    fine_tune(sft, first)
    short = changed(updates=5)
    new = align(short, paths(tmp_path / "new", tiny_model, pairs))
    further = align(short, paths(tmp_path / "further", tiny_model, pairs), first.adapter)
    assert further.training.base_heldout_loss < new.training.base_heldout_loss - 0.1


def test_only_the_last_answer_carries_loss(tiny_model: Path, pairs: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    pair = read_jsonl(pairs / "train.jsonl", PreferencePair)[0]
    earlier = (Turn(role="user", content="Здравствуйте"), Turn(role="assistant", content="Добрый"))
    longer = pair.model_copy(update={"prompt": (*earlier, *pair.prompt)})
    found = tokenize_pairs([longer, pair, pair], tokenizer, 256, first_index=5)
    for name in ("chosen", "rejected"):
        row = found.pairs[0][name]
        learned = [token for token in row["labels"] if token != IGNORED]
        assert tokenizer.decode(learned) == f"{getattr(pair, name)}<|im_end|>"
    assert len(found.rows) == 4  # the second pair stands there twice
    assert [both["rejected"]["index"] for both in found.pairs] == [6, 8, 8]


def test_a_pair_that_does_not_fit_is_counted(tiny_model: Path, pairs: Path, tmp_path: Path) -> None:
    rows = read_jsonl(pairs / "train.jsonl", PreferencePair)
    long = rows[0].model_copy(update={"rejected": "Ставка вклада — 5%. " * 60})
    folder = tmp_path / "pairs"
    write_jsonl(folder / "train.jsonl", [long, *rows[1:8]])
    write_jsonl(folder / "test.jsonl", rows[8:16])
    short = changed(updates=5)
    summary = align(short, paths(tmp_path, tiny_model, folder))
    assert (summary.training.too_long, summary.train_pairs, summary.heldout_pairs) == (1, 7, 8)
    with pytest.raises(TrainingError, match="None of 8 preference pairs fits 16 tokens"):
        align(short.model_copy(update={"max_length": 16}), paths(tmp_path, tiny_model, folder))


def test_no_pairs_is_a_clear_error(tiny_model: Path, pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").touch()
    (tmp_path / "test.jsonl").write_bytes((pairs / "test.jsonl").read_bytes())
    with pytest.raises(TrainingError, match=r"holds no preference pairs; make some with"):
        align(SETTINGS, paths(tmp_path, tiny_model, tmp_path))


@pytest.mark.parametrize(
    ("lora", "sentence"),
    [
        (LoraSettings(rank=4, alpha=16), "lora.rank comes to 4, but the adapter .* has 8"),
        (LoraSettings(rank=8, alpha=8), "lora.alpha comes to 8, but the adapter .* has 16"),
        (LoraSettings(rank=8, alpha=16, last_layers=2), "lora.last_layers comes to 2, .* has 4"),
        (
            LoraSettings(rank=8, alpha=16, target_modules=("q_proj",)),
            r"lora.target_modules comes to \['q_proj'\]",
        ),
    ],
    ids=["rank", "alpha", "layers", "modules"],
)
def test_a_recipe_of_another_adapter_is_named(
    tiny_model: Path, pairs: Path, tmp_path: Path, lora: LoraSettings, sentence: str
) -> None:
    adapter = an_adapter(tiny_model, tmp_path)
    other = SETTINGS.model_copy(update={"lora": lora})
    with pytest.raises(TrainingError, match=sentence):
        align(other, paths(tmp_path, tiny_model, pairs), adapter)


def test_an_adapter_of_another_base_model_is_refused(
    tiny_model: Path, pairs: Path, tmp_path: Path
) -> None:
    other = write_tiny_model(tmp_path / "other", ["Вклад «Сокол»"], seed=1)
    adapter = an_adapter(other, tmp_path)
    name_base(adapter, other)
    with pytest.raises(TrainingError, match="trained on another base model"):
        align(SETTINGS, paths(tmp_path, tiny_model, pairs), adapter)
    with pytest.raises(MissingModelError, match="holds no adapter_config"):
        align(SETTINGS, paths(tmp_path, tiny_model, pairs), tmp_path / "none")


def test_the_step_writes_curve_and_figures(
    tiny_model: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINIST_HOME", str(tmp_path / "home"))
    names = {"base": tiny_model, "train": pairs / "train.jsonl", "test": pairs / "test.jsonl"}
    names |= {name: tmp_path / name for name in ("adapter", "losses", "tensorboard")}
    figures = run_orpo(
        json.loads(changed(updates=5).model_dump_json()),
        {name: str(path) for name, path in names.items()},
        str(tmp_path / "curve.html"),
        str(an_adapter(tiny_model, tmp_path / "start")),
    )
    for name in ("preference_accuracy", "preference_margin"):
        for kind in (name, f"base_{name}", f"{name}_gain"):
            assert figures[f"{kind}_low"] <= figures[kind] <= figures[f"{kind}_high"]
    assert figures["train_pairs"] == 64
    assert figures["heldout_pairs"] == 16
    assert "<svg" in (tmp_path / "curve.html").read_text()


def changed(**optimizer: int) -> OrpoSettings:
    """The recipe with another optimizer, measured at the end only."""
    other = SETTINGS.optimizer.model_copy(update=optimizer)
    update = {"optimizer": other, "evaluate_every": other.updates}
    return SETTINGS.model_copy(update=update)


def an_adapter(base: Path, folder: Path) -> Path:
    """A fresh adapter of the recipe's shape."""
    adapt(load_base(SETTINGS, base), SETTINGS).save_pretrained(folder / "start")
    return folder / "start"


def a_batch(base: Path, pairs: Path, size: int) -> dict[str, Tensor]:
    rows = read_jsonl(pairs / "test.jsonl", PreferencePair)[:size]
    return collate_pairs(tokenize_pairs(rows, AutoTokenizer.from_pretrained(base), 256).pairs)


def a_trainer(base: Path, pairs: Path, folder: Path) -> OrpoTrainer:
    tokenizer = AutoTokenizer.from_pretrained(base)
    rows = tokenize_pairs(read_jsonl(pairs / "test.jsonl", PreferencePair)[:6], tokenizer, 256)
    trainer = OrpoTrainer(
        model=adapt(load_base(SETTINGS, base), SETTINGS),
        args=arguments(SETTINGS, folder),
        train_dataset=Dataset.from_list(rows.pairs),
        eval_dataset=Dataset.from_list(rows.pairs),
        data_collator=collate_pairs,
        processing_class=tokenizer,
    )
    trainer.odds_weight = SETTINGS.odds_weight
    return trainer
