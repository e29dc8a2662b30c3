"""A random-weight Llama that trains in seconds: for tests and for trying the pipeline out."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from components.train.base_model import TEMPLATE

MARKS = ["<|im_start|>", "<|im_end|>"]


def write_tiny_model(target: Path, texts: Sequence[str], seed: int = 0) -> Path:
    """Writes a model of about a million parameters and a tokenizer learned from texts.

    Args:
        target: The folder.
        texts: What the byte-level BPE tokenizer (4,096 pieces at most) learns from.
        seed: Seed of the weights.

    Returns:
        `target`.
    """
    tokenizer = _tokenizer(texts)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(target)
    tokenizer.save_pretrained(target)
    shutil.copyfile(TEMPLATE, target / "chat_template.jinja")
    return target


def _tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    pieces = Tokenizer(models.BPE())
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4096,
        special_tokens=MARKS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    pieces.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=pieces, eos_token=MARKS[1], pad_token=MARKS[1])
