from collections import Counter
from pathlib import Path

import pytest
import torch
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM, AutoTokenizer

from components.core.errors import QuantizationError, RecipeError
from components.core.json_lines import read_jsonl
from components.core.schemas import Dialogue
from components.prepare.subset import Subset, select
from components.quantize.calibration import choose, packed, render
from components.quantize.settings import QuantizeSettings
from components.train.tokenized_dialogues import tokenize

SETTINGS = QuantizeSettings(scheme="w4a16", rows=24)
PART = Subset(intents=("deposit_rate", "deposit_term", "card_fee"), rows_per_fact=4)


def test_rows_are_those_that_training_took_balanced_and_seeded(train: Path) -> None:
    chosen = choose(train, PART, SETTINGS)
    assert chosen == choose(train, PART, SETTINGS)
    assert chosen != choose(train, PART, SETTINGS.model_copy(update={"seed": 1}))
    assert len(chosen) == SETTINGS.rows
    trained_on = select(read_jsonl(train, Dialogue), PART)
    assert {row.dialogue_id for row in chosen} <= {row.dialogue_id for row in trained_on}
    counts = Counter((row.product, row.intent) for row in chosen)
    assert max(counts.values()) - min(counts.values()) <= 1


def test_a_file_without_dialogues_and_a_subset_without_any_are_refused(
    train: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "train.jsonl"
    empty.touch()
    with pytest.raises(QuantizationError, match=r"train\.jsonl holds no dialogue to calibrate on"):
        choose(empty, Subset(), SETTINGS)
    with pytest.raises(RecipeError, match="subset is empty"):
        choose(train, Subset(max_question_characters=1), SETTINGS)


def test_tokens_are_those_of_training(train: Path, tiny_model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    dialogues = read_jsonl(train, Dialogue)
    longest = 48
    rendered = render(dialogues, tokenizer, longest)
    trained = tokenize(dialogues, tokenizer, longest)
    assert rendered.rows == trained.input_ids()
    assert rendered.too_long == trained.too_long > 0


def test_a_tokenizer_that_begins_each_text_with_a_token_adds_none(
    train: Path, tiny_model: Path
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    dialogues = read_jsonl(train, Dialogue)[:4]
    before = render(dialogues, tokenizer, 512).rows
    begin = ("<|im_end|>", tokenizer.eos_token_id)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{begin[0]} $A", special_tokens=[begin]
    )
    assert tokenizer("a")["input_ids"][0] == begin[1]
    assert render(dialogues, tokenizer, 512).rows == before


def test_no_dialogue_that_fits_is_said(train: Path, tiny_model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    with pytest.raises(QuantizationError, match="None of 3 calibration dialogues fits 5 tokens"):
        render(read_jsonl(train, Dialogue)[:3], tokenizer, 5)


@torch.inference_mode()
def test_the_model_sees_in_a_batch_what_it_sees_alone(train: Path, tiny_model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    model.config.use_cache = False  # as llm-compressor calibrates
    rows = render(read_jsonl(train, Dialogue)[:7], tokenizer, 512).rows
    length = 3 * max(map(len, rows))
    batches = list(packed(rows, length))
    assert 1 < len(batches) < len(rows)
    assert all(len(ids) <= length for ids, _ in batches)
    together = [
        model(input_ids=torch.tensor([ids]), position_ids=torch.tensor([positions])).logits[0]
        for ids, positions in batches
    ]
    alone = [model(input_ids=torch.tensor([row])).logits[0] for row in rows]
    torch.testing.assert_close(torch.cat(together), torch.cat(alone), rtol=1e-4, atol=1e-5)
