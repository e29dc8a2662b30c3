"""Whether an adapter that training goes on from is the one that the recipe describes."""

import re
from pathlib import Path

from peft import PeftConfig
from safetensors import safe_open

from components.core.errors import TrainingError
from components.train.adapted_model import first_adapted_layer
from components.train.settings import LoraSettings

LAYER = re.compile(r"\.layers\.(\d+)\.")


def check_shape(adapter: Path, lora: LoraSettings, layers: int) -> None:
    """Refuses a recipe whose `lora` section is not what the adapter was made with.

    Training would go on with the adapter's own values, against what the recipe says.

    Args:
        adapter: The adapter's folder.
        lora: The recipe's section.
        layers: Layers of the base model.

    Raises:
        TrainingError: They differ.
    """
    config = PeftConfig.from_pretrained(str(adapter))
    pairs = {
        "lora.rank": (lora.rank, config.r),
        "lora.alpha": (lora.alpha, config.lora_alpha),
        "lora.target_modules": (sorted(lora.target_modules), sorted(config.target_modules)),
        "lora.last_layers": (
            layers - first_adapted_layer(lora, layers),
            layers - _first_layer(adapter),
        ),
    }
    for name, (asked, has) in pairs.items():
        if asked != has:
            raise TrainingError(
                f"The recipe's {name} comes to {asked}, but the adapter {adapter}, from which "
                f"training goes on, has {has}; write {has}, or begin a new adapter."
            )


def _first_layer(adapter: Path) -> int:
    with safe_open(adapter / "adapter_model.safetensors", framework="pt") as tensors:
        names = tensors.keys()
    return min(int(found[1]) for name in names if (found := LAYER.search(name)))
