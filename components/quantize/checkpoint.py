"""Checkpoints on disk: what is written beside quantized weights, and how large the parts are."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import torch
from compressed_tensors import ModelCompressor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.utils.quantization_config import CompressedTensorsConfig

from components.core.licence_files import LICENCE_FILES

KEPT = (
    *("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt"),
    *("chat_template.jinja", "generation_config.json"),
    *LICENCE_FILES,
)
"""What goes along with the weights, byte for byte."""
READABLE = 0o644
"""safetensors writes files that nobody else may read; the next step is often another user."""
SHARD = "5GB"


def write_checkpoint(model: PreTrainedModel, source: Path, out: Path) -> None:
    """Writes a model that llm-compressor has quantized.

    Args:
        model: The model; it is packed in place.
        source: The folder of the checkpoint that it was.
        out: Where the checkpoint goes; it appears whole or not at all.
    """
    # First packed, then cast: integers that were found with float32 scales stay what they are.
    ModelCompressor.from_pretrained_model(model).compress_model(model)
    stored = AutoConfig.from_pretrained(source).dtype or torch.bfloat16
    if model.dtype != stored:
        model.to(stored)
    with _whole_folder(source, out) as partial:
        model.save_pretrained(partial, save_compressed=True, max_shard_size=SHARD)
        # llm-compressor's own record names classes of ours; quantization.json says more.
        (partial / "recipe.yaml").unlink(missing_ok=True)


def decompress(source: Path, out: Path) -> None:
    """Writes the weights of a quantized checkpoint as plain numbers.

    They are float32: a product of a 4-bit integer and a bfloat16 scale does not fit bfloat16.
    Activations, which W8A8 rounds too, are not rounded by the result.

    Args:
        source: The folder of a compressed-tensors checkpoint.
        out: Where the dense checkpoint goes; it appears whole or not at all.
    """
    config = AutoConfig.from_pretrained(source)
    kind = config.quantization_config["format"]
    with torch.device("meta"):
        names = AutoModelForCausalLM.from_config(config).state_dict().keys()
    model = AutoModelForCausalLM.from_pretrained(
        source,
        dtype=torch.float32,
        quantization_config=CompressedTensorsConfig(dequantize=True),
    )
    # Packing left shapes behind, which a dense model has no place for.
    weights = {name: tensor for name, tensor in model.state_dict().items() if name in names}
    with _whole_folder(source, out) as partial:
        model.save_pretrained(partial, state_dict=weights, max_shard_size=SHARD)
        (partial / "README.md").write_text(
            f"The weights of a quantized checkpoint ({kind}), dequantized to "
            "float32: for machines whose vLLM has no kernel for that format. Answers are those of "
            "the quantized weights; size and speed are not.\n",
            encoding="utf-8",
        )


def tensor_bytes(folder: Path) -> dict[str, int]:
    """Adds up a checkpoint's tensors.

    Args:
        folder: The folder, with safetensors files.

    Returns:
        Bytes by kind: linear layers, scales, norms, embeddings and output layer.
    """
    sizes: Counter[str] = Counter()
    for path in sorted(folder.glob("*.safetensors")):
        for name, size in _sizes(path):
            sizes[_kind(name)] += size
    return dict(sizes)


def versions() -> dict[str, str]:
    """Gives the versions of the libraries that decide the result."""
    names = ("llmcompressor", "compressed-tensors", "transformers", "torch")
    return {name: version(name) for name in names}


@contextmanager
def _whole_folder(source: Path, out: Path) -> Iterator[Path]:
    """Gives a folder to write weights to; with the rest of the source it then becomes `out`."""
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        for path in (path for pattern in KEPT for path in source.glob(pattern)):
            shutil.copyfile(path, partial / path.name)
        for path in partial.iterdir():
            path.chmod(READABLE)
        shutil.rmtree(out, ignore_errors=True)
        os.replace(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _sizes(path: Path) -> Iterator[tuple[str, int]]:
    """Names and bytes of a safetensors file's tensors: 8 bytes of length, then JSON, then data."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    header.pop("__metadata__", None)
    for name, tensor in header.items():
        begin, end = tensor["data_offsets"]
        yield name, end - begin


def _kind(name: str) -> str:
    if name.endswith(("_scale", "_zero_point", "_shape", "_g_idx")):
        return "scales"
    if "norm" in name:
        return "norms"
    if "embed" in name or name.startswith("lm_head"):
        return "embeddings and output layer"
    return "linear layers"
