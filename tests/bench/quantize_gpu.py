"""How long quantizing takes on this GPU, and how much of its memory, beside what memory.py says.

Random weights of Llama-3.1-8B's shape with a few of its layers go through `components/quantize` and
llm-compressor, block by block, as all of them would; rows are the built-in bank's. Time and memory
of a block do not depend on the weights' values, and the blocks are alike. Without CUDA nothing is
measured.

    PYTHONPATH=. .venv-quantize/bin/python tests/bench/quantize_gpu.py [--layers N] [--rows N]
    PYTHONPATH=. .venv-quantize/bin/python tests/bench/quantize_gpu.py --tiny  # on a CPU, a trial
"""

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from components.core.json_lines import write_jsonl
from components.prepare.generate import generate
from components.prepare.load import load_bank
from components.quantize.memory import GIB, needs
from components.quantize.settings import QuantizeSettings
from components.train.planner.model_shape import ModelShape, load_shape

CASES: dict[str, dict[str, Any]] = {
    "W4A16, GPTQ": {"scheme": "w4a16", "algorithm": "gptq"},
    "W4A16, AWQ": {"scheme": "w4a16", "algorithm": "awq"},
    "W8A8, SmoothQuant and GPTQ": {"scheme": "w8a8", "algorithm": "gptq"},
}
TINY = {"tiny": {"scheme": "w4a16", "algorithm": "gptq", "group_size": 64}}
NOT_BLOCKS = ("load", "save")
"""Phases whose time is not the blocks'."""


@dataclass(frozen=True)
class Measured:
    """What a case came to."""

    seconds: float
    """For all blocks."""
    save_seconds: float
    peak_bytes: float
    """Of the whole GPU, CUDA's own share with it."""
    tokens: int


def main() -> None:
    """Quantizes a model in each way, in a process of its own, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--rows", type=int, default=512, help="dialogues to calibrate on")
    parser.add_argument("--tiny", action="store_true", help="run the code on a CPU; no figures")
    parser.add_argument("--case", choices=[*CASES, *TINY], help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(asdict(measure(options.model, settings(options.case, options.rows)))))
    elif options.tiny or has_cuda():
        shape = load_shape("smollm2-135m" if options.tiny else "llama-3.1-8b")
        shape = shape.model_copy(update={"num_hidden_layers": options.layers})
        print_table(shape, list(TINY if options.tiny else CASES), options.rows)
    else:
        print("There is no CUDA device here, so nothing was measured.")


def has_cuda() -> bool:
    """Whether there is a GPU to measure."""
    import torch

    return bool(torch.cuda.is_available())


def settings(case: str, rows: int) -> QuantizeSettings:
    """Gives a case's settings."""
    return QuantizeSettings.model_validate({**CASES, **TINY}[case] | {"rows": rows})


def print_table(shape: ModelShape, cases: list[str], rows: int) -> None:
    """Prints measured figures beside the predicted memory."""
    with tempfile.TemporaryDirectory() as name:
        # In a process that ends: what it holds of the GPU would count.
        model = Path(name) / "model"
        writer = multiprocessing.get_context("spawn").Process(
            target=write_model, args=(shape, model, rows)
        )
        writer.start()
        writer.join()
        print(
            "| case | tokens | s a block | s to save | GiB | memory.py |\n|---|---|---|---|---|---|"
        )
        for case in cases:
            print(line(case, model, rows, shape.num_hidden_layers), flush=True)


def line(case: str, model: Path, rows: int, layers: int) -> str:
    """Measures a case and gives its row of the table."""
    command = [sys.executable, __file__, "--case", case, "--rows", str(rows), "--model", str(model)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = Measured(**json.loads(done.stdout.splitlines()[-1]))
    config = json.loads((model / "config.json").read_text())
    predicted = needs(config, settings(case, rows), found.tokens).gpu / GIB
    figures = (found.seconds / layers, found.save_seconds, found.peak_bytes / GIB, predicted)
    shown = " | ".join(f"{figure:.1f}" for figure in figures)
    return f"| {case} | {found.tokens:,} | {shown} |"


def measure(model: Path, chosen: QuantizeSettings) -> Measured:
    """Quantizes a model once."""
    from components.quantize.compress import compress

    done = compress(model, model / "rows.jsonl", chosen, model.parent / "quantized")
    seconds = sum(took for name, took in done.seconds.items() if name not in NOT_BLOCKS)
    tokens = done.calibration.tokens if done.calibration else 0
    return Measured(seconds, done.seconds["save"], peak(), tokens)


def peak() -> float:
    """Gives bytes at the peak: PyTorch's, and what CUDA takes beside it; 0 without a GPU."""
    import torch

    if not torch.cuda.is_available():
        return 0.0
    free, total = torch.cuda.mem_get_info()
    beside = total - free - torch.cuda.memory_reserved()
    return torch.cuda.max_memory_reserved() + beside


def write_model(shape: ModelShape, model: Path, rows: int) -> None:
    """Writes a checkpoint with random weights and a small tokenizer, and dialogues beside it."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from components.train.tiny_model import write_tiny_model

    dialogues = generate(load_bank(), train_rows=rows, test_rows=40, seed=1).train
    write_tiny_model(model, [f"{row.question} {row.answer}" for row in dialogues])
    write_jsonl(model / "rows.jsonl", dialogues)
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        weights = LlamaForCausalLM(LlamaConfig(**shape.model_dump(exclude={"name"})))
    torch.set_default_dtype(torch.float32)
    weights.save_pretrained(model)


if __name__ == "__main__":
    main()
