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
from typing import ClassVar

ROWS, LENGTH, ANSWER, BATCH = 64, 187, 80, 8
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "34359738368",
    "MALLOC_TOP_PAD_": "536870912",
}
SETTINGS = {
    "stock": "TRL as it comes: its own bf16 autocast and gradient checkpointing",
    "stock-float32": "TRL told float32 and no checkpointing",
    "finist": "Finist, every layer adapted",
    "finist-last-10": "Finist as the laptop recipe has it: the last 10 of 30 layers adapted",
}


def main() -> None:
    """Measures each setting in a process of its own and prints a table."""
    if len(sys.argv) > 2:
        print(measure(sys.argv[1], int(sys.argv[2])))
        return
    updates = sys.argv[1] if len(sys.argv) > 1 else "5"
    print("| setting | tokens/s | of stock |\n|---|---|---|")
    stock = None
    for name, meaning in SETTINGS.items():
        extra = ALLOCATOR if name.startswith("finist") else {}
        command = [sys.executable, __file__, name, updates]
        done = subprocess.run(
            command, env=os.environ | extra, check=True, stdout=subprocess.PIPE, text=True
        )
        speed = float(done.stdout.split()[-1])
        stock = stock or speed
        print(f"| {meaning} | {speed:.0f} | {speed / stock:.1f} x |", flush=True)


def measure(name: str, updates: int) -> float:
    """Trains some updates and gives tokens per second after the first, which warms up."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from components.train.answer_loss import AnswerLossTrainer, collate
    from components.train.frozen_layers import lower_outputs
    from components.train.frozen_linear import pack_frozen_linears
    from components.train.tiny_model import write_tiny_model

    torch.manual_seed(0)
    shape = LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(shape)
    ours, first = name.startswith("finist"), 20 if name.endswith("last-10") else 0
    below = "|".join(str(layer) for layer in range(first))
    lora = LoraConfig(
        r=16,
        lora_alpha=32,
        target_modules="all-linear",
        exclude_modules=rf".*layers\.({below})\..*" if first else None,
        task_type="CAUSAL_LM",
    )

    class Clock(TrainerCallback):  # type: ignore[misc]
        ends: ClassVar[list[float]] = []

        def on_step_end(self, *args: object, **kwargs: object) -> None:
            self.ends.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        from transformers import AutoTokenizer

        write_tiny_model(Path(folder) / "t", ["Какая ставка по вкладу?"])
        tokenizer = AutoTokenizer.from_pretrained(Path(folder) / "t")
        own = {} if name == "stock" else {"bf16": False, "gradient_checkpointing": False}
        arguments = SFTConfig(
            output_dir=folder,
            max_steps=updates + 1,
            per_device_train_batch_size=BATCH,
            report_to="none",
            disable_tqdm=True,
            logging_steps=10_000,
            remove_unused_columns=not ours,
            dataset_kwargs={"skip_prepare_dataset": True},
            dataloader_pin_memory=False,
            **own,
        )
        rows = random_rows()
        adapted = get_peft_model(model, lora)
        trainer = (AnswerLossTrainer if ours else SFTTrainer)(
            model=adapted,
            args=arguments,
            train_dataset=Dataset.from_list(rows),
            data_collator=collate if ours else None,
            processing_class=tokenizer,
            callbacks=[Clock()],
        )
        if ours:
            pack_frozen_linears(adapted)
        began = time.perf_counter()
        if ours:
            trainer.first_layer = first
            if first:
                ids = [row["input_ids"] for row in rows]
                trainer.lower = lower_outputs(model.model, ids, first)  # type: ignore[arg-type]
        once = (time.perf_counter() - began) / len(rows) * BATCH if first else 0.0
        trainer.train()
    per_update = (Clock.ends[-1] - Clock.ends[0]) / updates
    # The frozen layers' share is counted as if each row were used in one update only.
    return BATCH * LENGTH / (per_update + once)


def random_rows() -> list[dict[str, object]]:
    """Makes rows of random tokens, labels on the last `ANSWER` of them."""
    draw = random.Random(0)
    rows: list[dict[str, object]] = []
    for index in range(ROWS):
        ids = [draw.randrange(10, 49152) for _ in range(LENGTH)]
        labels = [-100] * (LENGTH - ANSWER) + ids[LENGTH - ANSWER :]
        rows.append({"input_ids": ids, "labels": labels, "index": index})
    return rows


if __name__ == "__main__":
    main()
