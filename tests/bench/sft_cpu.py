"""How fast LoRA SFT runs on this CPU: stock TRL beside Finist's trainer, in one run.

All rows are 187 tokens of which the last 80 are the answer, batch 8, r=16 on all linear layers,
SmolLM2-135M's shape with random weights (speed does not depend on their values).

    .venv/bin/python tests/bench/sft_cpu.py [updates]
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar

ROWS, LENGTH, ANSWER, BATCH, LAYERS = 64, 187, 80, 8, 30
SETTINGS = {
    "stock": "TRL as it comes: bf16 autocast, gradient checkpointing, its own loss",
    "stock-float32": "TRL told float32 and no checkpointing",
    "finist": "Finist, every layer adapted",
    "finist-last-10": "Finist as the laptop recipe has it: the last 10 of 30 layers adapted",
}


def main() -> None:
    """Measures each setting in a process of its own and prints a table."""
    if len(sys.argv) > 2:
        print(tokens_per_second(sys.argv[1], int(sys.argv[2])))
        return
    updates = sys.argv[1] if len(sys.argv) > 1 else "2"
    print("| setting | tokens/s | of stock |\n|---|---|---|", flush=True)
    stock = None
    for name, meaning in SETTINGS.items():
        # Emulated bfloat16 takes minutes an update where the processor has none.
        speed = in_own_process(name, "1" if name == "stock" else updates)
        stock = stock or speed
        print(f"| {meaning} | {speed:.0f} | {speed / stock:.1f} x |", flush=True)


def in_own_process(name: str, updates: str) -> float:
    """Measures one setting apart: allocator and threads are set before Python starts."""
    from pipelines.local.demo import ALLOCATOR, THREADS

    extra = ALLOCATOR | THREADS if name.startswith("finist") else {}
    command = [sys.executable, __file__, name, updates]
    done = subprocess.run(
        command, env=os.environ | extra, check=True, stdout=subprocess.PIPE, text=True
    )
    return float(done.stdout.split()[-1])


def tokens_per_second(name: str, updates: int) -> float:
    """Trains some updates and gives tokens per second after the first, which warms up."""
    first = LAYERS - 10 if name.endswith("last-10") else 0
    with tempfile.TemporaryDirectory() as folder:
        trainer, clock = make_trainer(name, updates, first, Path(folder))
        began = time.perf_counter()
        if first:
            keep_lower_layers(trainer, first)
        # The frozen layers' share is counted as if each row were used in one update only.
        once = (time.perf_counter() - began) / ROWS * BATCH
        trainer.train()
    per_update = (clock.ends[-1] - clock.ends[0]) / updates
    return float(BATCH * LENGTH / (per_update + once))


def make_trainer(name: str, updates: int, first: int, folder: Path) -> tuple[Any, Any]:
    """Gives the trainer of a setting, and the clock that it winds."""
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import SFTTrainer

    from components.train.answer_loss import AnswerLossTrainer, collate
    from components.train.frozen_linear import pack_frozen_linears
    from components.train.tiny_model import write_tiny_model

    ours = name.startswith("finist")
    write_tiny_model(folder / "tokenizer", ["Какая ставка по вкладу?"])
    model, clock = adapted_model(first), make_clock()
    trainer = (AnswerLossTrainer if ours else SFTTrainer)(
        model=model,
        args=arguments(folder, updates, name),
        train_dataset=Dataset.from_list(random_rows()),
        data_collator=collate if ours else None,
        processing_class=AutoTokenizer.from_pretrained(folder / "tokenizer"),
        callbacks=[clock],
    )
    if ours:
        pack_frozen_linears(model)
    return trainer, clock


def adapted_model(first: int) -> Any:
    """Gives SmolLM2-135M's shape with an adapter from layer `first` on."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    shape = LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=LAYERS,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
    )
    below = "|".join(str(layer) for layer in range(first))
    lora = LoraConfig(
        r=16,
        lora_alpha=32,
        target_modules="all-linear",
        exclude_modules=rf".*layers\.({below})\..*" if first else None,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(LlamaForCausalLM(shape), lora)


def arguments(folder: Path, updates: int, name: str) -> Any:
    """Gives TRL's arguments; those of stock leave everything about speed to TRL."""
    from trl import SFTConfig

    own = {} if name == "stock" else {"bf16": False, "gradient_checkpointing": False}
    return SFTConfig(
        output_dir=str(folder),
        max_steps=updates + 1,
        per_device_train_batch_size=BATCH,
        report_to="none",
        disable_tqdm=True,
        logging_steps=10_000,
        save_strategy="no",
        remove_unused_columns=not name.startswith("finist"),
        dataset_kwargs={"skip_prepare_dataset": True},
        dataloader_pin_memory=False,
        use_cpu=True,  # without it, TRL's own bf16 is refused where there is no GPU
        **own,
    )


def make_clock() -> Any:
    """Gives a callback that notes when each update ended."""
    from transformers import TrainerCallback

    class Clock(TrainerCallback):  # type: ignore[misc]
        ends: ClassVar[list[float]] = []

        def on_step_end(self, *args: object, **kwargs: object) -> None:
            self.ends.append(time.perf_counter())

    return Clock()


def keep_lower_layers(trainer: Any, first: int) -> None:
    """Computes the frozen layers' outputs, once for each row."""
    from components.train.frozen_layers import lower_outputs

    ids = [row["input_ids"] for row in random_rows()]
    transformer = trainer.model.get_base_model().model
    trainer.first_layer, trainer.lower = first, lower_outputs(transformer, ids, first)


def random_rows() -> list[dict[str, Any]]:
    """Makes rows of random tokens, labels on the last `ANSWER` of them."""
    draw = random.Random(0)
    rows: list[dict[str, Any]] = []
    for index in range(ROWS):
        ids = [draw.randrange(10, 49152) for _ in range(LENGTH)]
        labels = [-100] * (LENGTH - ANSWER) + ids[LENGTH - ANSWER :]
        rows.append({"input_ids": ids, "labels": labels, "index": index})
    return rows


if __name__ == "__main__":
    main()
