"""How fast LoRA SFT runs on this GPU, and how much memory it takes, beside what the planner says.

Random weights of Llama-3.1-8B's shape, and of the 70B's with fewer layers, scaled to all of them;
rows of 4,096 tokens packed with dialogues of 512, r=16 on all linear layers, bfloat16. Speed and
memory do not depend on the weights' values. MFU counts what LoRA needs: 4 operations for each
weight and token (frozen weights have no gradient), attention within dialogues, the head on the
answers, and nothing twice. Without CUDA nothing is measured.

    .venv/bin/python tests/bench/sft_gpu.py [--updates N]
    .venv/bin/python tests/bench/sft_gpu.py --tiny   # tries the code on a CPU, without meaning
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from components.train.planner.gpus import GIB, GPUS, Gpu, GpuPool
from components.train.planner.memory import training_memory
from components.train.planner.model_shape import ModelShape, load_shape
from components.train.planner.plan import DEFAULTS
from components.train.planner.settings import TrainingWork
from components.train.planner.speed import training_flops, training_speed
from components.train.settings import SftSettings

WARM_UP = 2
"""Updates before the clock starts: kernels are chosen, the allocator grows."""
DIALOGUE, ANSWER = 512, 200
"""Tokens of each packed dialogue, and how many of them carry loss."""


@dataclass(frozen=True)
class Case:
    """A shape to train."""

    model: str
    layers: int | None = None
    """Fewer than the model has; its figures are then scaled to all."""
    row: int = 4096
    checkpointing: bool = False
    """Whether layers are computed again for the backward pass."""
    compiled: bool = False

    def shape(self) -> ModelShape:
        """Gives the shape that is trained."""
        whole = load_shape(self.model)
        return whole.model_copy(update={"num_hidden_layers": self.layers}) if self.layers else whole


@dataclass(frozen=True)
class Measured:
    """What a case came to."""

    tokens_per_second: float
    peak_bytes: float
    """Of the whole GPU, CUDA's own share with it; on a CPU, of the process."""
    device: str


CASES = {
    "8b": Case("llama-3.1-8b", compiled=True),
    "8b-checkpointed": Case("llama-3.1-8b", checkpointing=True, compiled=True),
    "8b-not-compiled": Case("llama-3.1-8b"),
    "8b-checkpointed-not-compiled": Case("llama-3.1-8b", checkpointing=True),
    "70b-8-layers": Case("llama-3.1-70b", layers=8, checkpointing=True),
}
TINY = {"tiny": Case("smollm2-135m", layers=2, row=1024, checkpointing=True)}


def main() -> None:
    """Measures each case in a process of its own and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--updates", type=int, default=10)
    parser.add_argument("--tiny", action="store_true", help="run the code on a CPU; no figures")
    parser.add_argument("--case", choices=[*CASES, *TINY], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(asdict(measure({**CASES, **TINY}[options.case], options.updates))))
    elif options.tiny or has_cuda():
        print_table(TINY if options.tiny else CASES, options.updates)
    else:
        print("There is no CUDA device here, so nothing was measured.")


def has_cuda() -> bool:
    """Whether there is a GPU to measure."""
    import torch

    return bool(torch.cuda.is_available())


def print_table(cases: dict[str, Case], updates: int) -> None:
    """Prints measured figures beside the planner's."""
    print("| case | tokens/s | planner | MFU | GiB | planner |\n|---|---|---|---|---|---|")
    for name, case in cases.items():
        command = [sys.executable, __file__, "--case", name, "--updates", str(updates)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        measured = Measured(**json.loads(done.stdout.splitlines()[-1]))
        gpu = known_gpu(measured.device)
        print(line(name, case, measured, gpu), flush=True)
        if case.layers:
            print(line(f"{name}, scaled to all", case, measured, gpu, scaled=True), flush=True)
    print(f"\nDevice: {measured.device}; the planner takes it for {gpu.name}.")


def line(name: str, case: Case, measured: Measured, gpu: Gpu, scaled: bool = False) -> str:
    """Gives a row of the table; scaled to all layers by the operations for each token."""
    shape, work, pool = case.shape(), planned_work(case), GpuPool(gpu, 1)
    rate, peak = measured.tokens_per_second, f"{measured.peak_bytes / GIB:.1f}"
    if scaled:
        whole = load_shape(case.model)
        rate *= training_flops(shape, work).hardware / training_flops(whole, work).hardware
        shape, peak = whole, "-"
    mfu = rate * training_flops(shape, work).model / gpu.bf16
    predicted = training_speed(shape, work, pool, 1, DEFAULTS).tokens_per_second
    memory = training_memory(shape, work, 1, DEFAULTS).total / GIB
    return f"| {name} | {rate:,.0f} | {predicted:,.0f} | {mfu:.0%} | {peak} | {memory:.1f} |"


def planned_work(case: Case) -> TrainingWork:
    """Gives the run as the planner sees it."""
    share = ANSWER / DIALOGUE
    return TrainingWork(
        sequence_tokens=case.row,
        dialogue_tokens=DIALOGUE,
        micro_batch=1,
        accumulation=1,
        lora_rank=16,
        checkpointing=case.checkpointing,
        compiled=case.compiled,
        head_share=share,
    )


def known_gpu(device: str) -> Gpu:
    """Finds the planner's GPU for a device, as `NVIDIA A100-SXM4-80GB, 79.3 GiB`."""
    kinds = [gpu for gpu in GPUS.values() if gpu.name.split("-")[0] in device]
    memory = float(device.split()[-2]) * GIB
    return min(kinds or GPUS.values(), key=lambda gpu: abs(gpu.memory - memory))


def measure(case: Case, updates: int) -> Measured:
    """Trains some updates and gives tokens a second after the first ones, and the peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        trainer, clock = make_trainer(case, updates, Path(folder))
        trainer.train()
    seconds = clock.ended - clock.began
    return Measured(updates * case.row / seconds, *peak())


def peak() -> tuple[float, str]:
    """Gives bytes at the peak, and where: PyTorch keeps what it has had, so what is taken is it."""
    import torch

    if not torch.cuda.is_available():
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return used, f"CPU, {used / GIB:.1f} GiB"
    free, total = torch.cuda.mem_get_info()
    return total - free, f"{torch.cuda.get_device_name()}, {total / GIB:.1f} GiB"


def make_trainer(case: Case, updates: int, folder: Path) -> tuple[Any, Any]:
    """Gives Finist's trainer on random weights and rows, and the clock that it winds."""
    from datasets import Dataset
    from transformers import AutoTokenizer

    from components.train.adapted_model import adapt
    from components.train.answer_loss import AnswerLossTrainer, collate_packed
    from components.train.gpu_layers import speed_up
    from components.train.tiny_model import write_tiny_model

    write_tiny_model(folder / "tokenizer", ["Какая ставка по вкладу?"])
    settings = SftSettings.model_validate(
        {"lora": {"rank": 16}, "packing": True, "compile_layers": case.compiled}
    )
    clock = make_clock(WARM_UP + updates)
    trainer = AnswerLossTrainer(
        model=speed_up(adapt(random_model(case.shape()), settings), settings),
        args=arguments(case, folder, updates),
        train_dataset=Dataset.from_list(random_rows(case, WARM_UP + updates)),
        data_collator=collate_packed,
        processing_class=AutoTokenizer.from_pretrained(folder / "tokenizer"),
        callbacks=[clock],
    )
    return trainer, clock


def random_model(shape: ModelShape) -> Any:
    """Makes a Llama of a shape, on the GPU in bfloat16 where there is one."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    cuda = torch.cuda.is_available()
    kinds = (torch.get_default_dtype(), torch.bfloat16 if cuda else torch.float32)
    torch.manual_seed(0)
    torch.set_default_dtype(kinds[1])
    try:
        with torch.device("cuda" if cuda else "cpu"):
            return LlamaForCausalLM(LlamaConfig(**shape.model_dump(exclude={"name"})))
    finally:
        torch.set_default_dtype(kinds[0])


def arguments(case: Case, folder: Path, updates: int) -> Any:
    """Gives the Trainer's arguments, as `components/train/training_run.py` sets them."""
    import torch
    from trl import SFTConfig

    cuda = torch.cuda.is_available()
    return SFTConfig(
        output_dir=str(folder),
        max_steps=WARM_UP + updates,
        per_device_train_batch_size=1,
        bf16=cuda,
        use_cpu=not cuda,
        gradient_checkpointing=case.checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False},
        report_to="none",
        disable_tqdm=True,
        logging_steps=10_000,
        logging_nan_inf_filter=False,
        save_strategy="no",
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        dataloader_pin_memory=cuda,
    )


def make_clock(last: int) -> Any:
    """Gives a callback that notes when the warm-up ended, and the last update.

    It waits for the GPU there only, since training does not wait after each update either.
    """
    import torch
    from transformers import TrainerCallback

    class Clock(TrainerCallback):  # type: ignore[misc]
        began = ended = 0.0

        def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            if state.global_step not in (WARM_UP, last):
                return
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.began, self.ended = self.ended, time.perf_counter()

    return Clock()


def random_rows(case: Case, count: int) -> list[dict[str, Any]]:
    """Makes rows of random tokens: dialogues end to end, labels on the end of each."""
    draw = random.Random(0)
    words = case.shape().vocab_size
    rows = []
    for _ in range(count):
        ids = [draw.randrange(10, words) for _ in range(case.row)]
        labels = [
            token if position % DIALOGUE >= DIALOGUE - ANSWER else -100
            for position, token in enumerate(ids)
        ]
        rows.append(
            {"input_ids": ids, "labels": labels, "seq_lengths": [DIALOGUE] * (case.row // DIALOGUE)}
        )
    return rows


if __name__ == "__main__":
    main()
