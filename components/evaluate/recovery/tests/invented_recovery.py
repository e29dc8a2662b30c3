"""Invented figures of a model before and after quantization: nothing was quantized or served."""

import random
from pathlib import Path

from components.core.json_lines import write_jsonl
from components.core.schemas import Answer
from components.core.whole_files import write_text
from components.evaluate.recovery.quantization import Quantization
from components.evaluate.recovery.report import RecoveryInputs
from components.evaluate.recovery.served_figures import DialogueLoss, Load, ServedFigures
from components.evaluate.tests import invented

BEFORE, AFTER = "tuned", "quantized"


def load(concurrency: int, tokens_per_second: float) -> Load:
    requests = max(4, 2 * concurrency)
    return Load(
        concurrency=concurrency,
        requests=requests,
        output_tokens=64 * requests,
        seconds=64 * requests / tokens_per_second,
        first_token_p50=0.05 * concurrency**0.5,
        first_token_p95=0.09 * concurrency**0.5,
        token_p50=concurrency / tokens_per_second,
        latency_p50=64 * concurrency / tokens_per_second,
        latency_p95=70 * concurrency / tokens_per_second,
    )


def figures(model: str, nats: float, speed: float, dialogues: int = 60) -> ServedFigures:
    """Losses that differ by dialogue around `nats` a token, and speeds in proportion."""
    rng = random.Random(7)
    losses = [
        DialogueLoss(
            dialogue_id=f"d{n}", nats=nats * (30 + n % 9) * rng.uniform(0.8, 1.2), tokens=30 + n % 9
        )
        for n in range(dialogues)
    ]
    return ServedFigures(
        model=model,
        weights=f"s3://{model}",
        served=f"/models/{model}",
        machine="2 invented cores",
        dialogues=tuple(losses),
        too_long=0,
        answer_tokens=64,
        loads=tuple(load(n, speed * n**0.8) for n in (1, 8, 32)),
    )


def quantization() -> Quantization:
    """The small model of 30 layers, its output layer left alone."""
    return Quantization.model_validate(
        {
            "settings": {"scheme": "w4a16", "algorithm": "gptq", "group_size": 64},
            "calibration": {"rows": 256, "tokens": 28_000, "digest": "0"},
            "quantized_layers": 210,
            "left_alone": [
                {
                    "layer": "lm_head",
                    "why": "output layer: its errors go into the logits unchanged",
                },
            ],
            "bytes_before": {
                "linear layers": 212_000_000,
                "embeddings": 56_600_000,
                "norms": 70_000,
            },
            "bytes_after": {
                "linear layers": 53_000_000,
                "scales": 3_300_000,
                "embeddings": 56_600_000,
                "norms": 70_000,
            },
            "errors": [],
        }
    )


def answers(contender: str, wrong: int, score: float) -> list[Answer]:
    """Judged answers to 200 questions, the first of them wrong."""
    rows = [invented.answer(n, contender, n >= wrong) for n in range(200)]
    return [
        invented.judged(row, dict.fromkeys(invented.WEIGHTS, score - (n % 5) / 20))
        for n, row in enumerate(rows)
    ]


def write_inputs(folder: Path) -> RecoveryInputs:
    """Writes everything that a report is made from."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, wrong, score, nats, speed, general in (
        (BEFORE, 10, 4.6, 0.21, 31, 0.5),
        (AFTER, 15, 4.5, 0.214, 43, 0.45),
    ):
        write_jsonl(folder / f"{name}.jsonl", answers(name, wrong, score))
        write_text(folder / f"{name}.json", figures(name, nats, speed).model_dump_json())
        written = invented.benchmarks(general, name).model_dump_json()
        write_text(folder / f"{name}-benchmarks.json", written)
    write_text(folder / "quantization.json", quantization().model_dump_json())
    return RecoveryInputs(
        answers=(folder / f"{BEFORE}.jsonl", folder / f"{AFTER}.jsonl"),
        figures=(folder / f"{BEFORE}.json", folder / f"{AFTER}.json"),
        quantization=folder / "quantization.json",
        benchmarks=(folder / f"{BEFORE}-benchmarks.json", folder / f"{AFTER}-benchmarks.json"),
    )
