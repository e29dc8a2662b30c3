"""A base model with a LoRA adapter, ready to train on the hardware that there is."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from peft import (
    LoraConfig,
    PeftConfig,
    PeftModel,
    get_peft_model,
    prepare_model_for_kbit_training,
)
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from components.core.errors import MissingModelError, TrainingError
from components.core.whole_files import write_text
from components.train.frozen_linear import pack_frozen_linears
from components.train.precision import training_dtype
from components.train.settings import LoraSettings, TrainingSettings

BASE_NAME = "finist_base.json"
"""Lies in an adapter's folder and says which base model it belongs to."""
EDGE = 2**20
"""Bytes from either end of a weight file that tell one model from another."""


def load_tokenizer(base: Path) -> PreTrainedTokenizerBase:
    """Reads a model's tokenizer.

    Raises:
        MissingModelError: There is no model in the folder.
    """
    if not (base / "config.json").exists():
        raise MissingModelError(f"There is no base model in {base} (no config.json there).")
    return AutoTokenizer.from_pretrained(base)


def load_base(settings: TrainingSettings, base: Path) -> PreTrainedModel:
    """Reads the weights that stay frozen.

    Args:
        settings: Their type, attention and, for `qlora`, 4-bit storage.
        base: A model in the Hugging Face layout.

    Raises:
        TrainingError: `qlora` where there is no CUDA device.
    """
    options: dict[str, Any] = {"attn_implementation": settings.hardware.attention}
    dtype = training_dtype(settings.hardware.dtype)
    if settings.method == "qlora":
        options["quantization_config"] = _four_bits(dtype)
    return AutoModelForCausalLM.from_pretrained(base, dtype=dtype, **options)


def _four_bits(dtype: torch.dtype) -> BitsAndBytesConfig:
    if not torch.cuda.is_available():
        raise TrainingError(
            "method: qlora needs a CUDA device, and there is none here; take method: lora."
        )
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        bnb_4bit_quant_storage=dtype,  # one storage type, which ZeRO-3 can shard
    )


def adapt(
    model: PreTrainedModel, settings: TrainingSettings, adapter: Path | None = None
) -> PeftModel:
    """Puts an adapter on a base model.

    Args:
        model: The base model; changed in place.
        settings: Rank, layers and modules of a new adapter.
        adapter: An adapter to go on with; None begins a new one.

    Returns:
        The model; where there is no GPU, to which the Trainer would move it, its frozen linear
        layers are packed.

    Raises:
        TrainingError: A target module or layer is not in the model, or the adapter does not fit.
    """
    if settings.method == "qlora":
        model = prepare_model_for_kbit_training(
            model, use_gradient_checkpointing=settings.hardware.gradient_checkpointing
        )
    # float32 adapters under autocast are for GPUs: autocast costs time on a CPU, and ZeRO-3 gathers
    # parameters of one type only (its optimizer has a float32 copy).
    own = torch.cuda.is_available() and settings.hardware.deepspeed == "none"
    if adapter is None:
        adapted = get_peft_model(model, _new(model, settings.lora), autocast_adapter_dtype=own)
    else:
        adapted = _continued(model, adapter, own)
    if not torch.cuda.is_available() and settings.hardware.deepspeed == "none":
        pack_frozen_linears(adapted)
    return adapted


def first_adapted_layer(lora: LoraSettings, layers: int) -> int:
    """Gives the lowest layer that learns.

    Args:
        lora: The recipe's adapter.
        layers: Layers of the base model.

    Raises:
        TrainingError: The model has fewer layers than are to be adapted.
    """
    if lora.last_layers is None:
        return 0
    if lora.last_layers > layers:
        raise TrainingError(
            f"lora.last_layers is {lora.last_layers}, but the base model has {layers} layers."
        )
    return layers - lora.last_layers


def _new(model: PreTrainedModel, lora: LoraSettings) -> LoraConfig:
    names = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    unknown = sorted(set(lora.target_modules) - names)
    if unknown:
        linears = {
            name.rpartition(".")[2]
            for name, module in model.named_modules()
            if isinstance(module, torch.nn.Linear)
        }
        raise TrainingError(
            f"The base model has no module {unknown[0]!r} that lora.target_modules names; its "
            f"linear modules are {', '.join(sorted(linears))}."
        )
    first = first_adapted_layer(lora, model.config.num_hidden_layers)
    frozen = "|".join(str(number) for number in range(first))
    below = {"exclude_modules": rf".*layers\.({frozen})\..*"}
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        target_modules=list(lora.target_modules),
        task_type="CAUSAL_LM",
        **(below if first else {}),
    )


def _continued(model: PreTrainedModel, adapter: Path, own: bool) -> PeftModel:
    check_adapter(adapter, Path(model.config.name_or_path))
    return PeftModel.from_pretrained(
        model, str(adapter), is_trainable=True, autocast_adapter_dtype=own
    )


def load_adapted(base: Path, adapter: Path, dtype: torch.dtype) -> PeftModel:
    """Reads a base model and its adapter, to be run or merged.

    Raises:
        MissingModelError: A folder is not a model or an adapter.
        TrainingError: The adapter belongs to another base model.
    """
    load_tokenizer(base)
    check_adapter(adapter, base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    try:
        return PeftModel.from_pretrained(model, str(adapter))
    except RuntimeError as error:  # PyTorch's word for tensors of other shapes
        raise TrainingError(
            f"The adapter {adapter} does not fit the base model {base}: its matrices have other "
            "shapes. Give the base model that it was trained on."
        ) from error


def check_adapter(adapter: Path, base: Path) -> None:
    """Refuses an adapter of another base model.

    Args:
        adapter: An adapter's folder; one that Finist wrote names its base.
        base: The base model's folder.

    Raises:
        MissingModelError: There is no adapter in the folder.
        TrainingError: It was trained on another base model.
    """
    if not (adapter / "adapter_config.json").exists():
        raise MissingModelError(
            f"{adapter} holds no adapter_config.json; give an adapter's folder."
        )
    named = adapter / BASE_NAME
    if named.exists() and json.loads(named.read_text())["fingerprint"] != fingerprint(base):
        config = PeftConfig.from_pretrained(str(adapter))
        raise TrainingError(
            f"The adapter {adapter} was trained on another base model "
            f"({config.base_model_name_or_path}) than {base}; give that one, or train anew."
        )


def name_base(adapter: Path, base: Path) -> None:
    """Writes into an adapter's folder which base model it belongs to."""
    write_text(adapter / BASE_NAME, json.dumps({"fingerprint": fingerprint(base)}))


def fingerprint(base: Path) -> str:
    """Tells base models apart without reading hundreds of gigabytes.

    Args:
        base: A model's folder.

    Returns:
        The sha256 in hex over the name, size, first and last MiB of each weight file.
    """
    digest = hashlib.sha256()
    for path in sorted(base.glob("*.safetensors")):
        size = path.stat().st_size
        digest.update(f"{path.name} {size} ".encode())
        with path.open("rb") as file:
            digest.update(file.read(EDGE))
            file.seek(max(size - EDGE, 0))
            digest.update(file.read(EDGE))
    return digest.hexdigest()
