"""ZeRO-3 for real: two processes on this machine's CPU, by gloo, started from the command line."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from components.core.json_lines import read_jsonl
from components.core.schemas import LossPoint
from components.train.settings import SftSettings
from components.train.training_step import run_sft

pytestmark = pytest.mark.slow
UPDATES, EVALUATE = 15, 5
SUBSET = {"rows": 64, "seed": 1}
WAIT_SECONDS = 400


def settings(processes: int, deepspeed: str = "none") -> SftSettings:
    """The same run, dealt out: four rows an update, over however many processes."""
    return SftSettings.model_validate(
        {
            "lora": {"rank": 8, "alpha": 16},
            "optimizer": {
                "learning_rate": 5e-3,
                "updates": UPDATES,
                "batch_size": 4 // processes,
                "warmup_updates": 2,
            },
            "hardware": {"dtype": "float32", "processes": processes, "deepspeed": deepspeed},
            "max_length": 256,
            "heldout_rows": 16,
            "evaluate_every": EVALUATE,
        }
    )


@pytest.fixture(scope="module")
def one_process(
    tiny_model: Path, dialogues: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[LossPoint]:
    """The curve of the run in one process, without DeepSpeed."""
    folder = tmp_path_factory.mktemp("one")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINIST_HOME", str(folder / "home"))
        read = {"base": tiny_model, "train": dialogues / "train.jsonl"}
        written = {name: folder / name for name in ("adapter", "losses", "tensorboard")}
        paths = read | {"test": dialogues / "test.jsonl"} | written
        given = {name: str(path) for name, path in paths.items()}
        run_sft(settings(1).model_dump(mode="json"), given, str(folder / "curve.html"), SUBSET)
    return read_jsonl(folder / "losses", LossPoint)


def start(
    folder: Path, base: Path, dialogues: Path, recipe: SftSettings
) -> "subprocess.Popen[str]":
    """Starts `python -m components.train sft` in a session of its own."""
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    (folder / "subset.yaml").write_text(yaml.safe_dump(SUBSET))
    options = {
        "recipe": folder / "recipe.yaml",
        "subset": folder / "subset.yaml",
        "base": base,
        "train": dialogues / "train.jsonl",
        "test": dialogues / "test.jsonl",
        "out": folder / "out",
    }
    flags = [part for name, path in options.items() for part in (f"--{name}", str(path))]
    return subprocess.Popen(
        [sys.executable, "-m", "components.train", "sft", *flags],
        env={**os.environ, "FINIST_HOME": str(folder / "home")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command that has time to end."""
    with process:
        try:
            out, errors = process.communicate(timeout=WAIT_SECONDS)
        finally:
            process.kill()
    return process.returncode, out, errors


def rank(process: "subprocess.Popen[str]", number: int) -> psutil.Process:
    """One of the processes that a launcher started."""
    children = psutil.Process(process.pid).children(recursive=True)
    return next(child for child in children if child.environ().get("RANK") == str(number))


def assert_same_curve(found: list[LossPoint], expected: list[LossPoint]) -> None:
    assert [(p.series, p.step) for p in found] == [(p.series, p.step) for p in expected]
    assert [p.loss for p in found] == pytest.approx([p.loss for p in expected], rel=1e-3)


def test_two_processes_give_the_curve_of_one(
    tiny_model: Path, dialogues: Path, tmp_path: Path, one_process: list[LossPoint]
) -> None:
    recipe = settings(2, "zero3")
    code, out, errors = ended(start(tmp_path, tiny_model, dialogues, recipe))
    assert code == 0, errors[-3000:]
    assert_same_curve(read_jsonl(tmp_path / "out" / "losses.jsonl", LossPoint), one_process)
    assert out.count("best_update") == 1, "the figures are printed once"
    assert (tmp_path / "out" / "adapter" / "adapter_model.safetensors").stat().st_size > 100_000
    assert (tmp_path / "out" / "curve.html").exists()


def test_a_killed_process_ends_the_run_which_goes_on_to_the_same_curve(
    tiny_model: Path, dialogues: Path, tmp_path: Path, one_process: list[LossPoint]
) -> None:
    recipe = settings(2, "zero3")
    first = start(tmp_path, tiny_model, dialogues, recipe)
    wait_for_checkpoint(tmp_path, first)
    ranks = [rank(first, 0), rank(first, 1)]
    ranks[1].send_signal(signal.SIGKILL)
    code, _, errors = ended(first)
    assert code == 2
    assert errors.count("finist: ") == 1
    assert "finist: Process 1 of the training was ended by SIGKILL" in errors
    assert "goes on at the last checkpoint" in errors
    assert psutil.wait_procs(ranks, timeout=5)[1] == []
    assert not (tmp_path / "out" / "adapter").exists()

    code, out, errors = ended(start(tmp_path, tiny_model, dialogues, recipe))
    assert code == 0, errors[-3000:]
    assert (out + errors).count("eval_loss") < UPDATES / EVALUATE + 1, "it began anew"
    assert_same_curve(read_jsonl(tmp_path / "out" / "losses.jsonl", LossPoint), one_process)


def wait_for_checkpoint(folder: Path, process: "subprocess.Popen[str]") -> None:
    """Waits until the first checkpoint is whole."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if list(folder.glob(f"home/checkpoints/*/checkpoint-{EVALUATE}/manifest.json")):
            return
        time.sleep(0.02)
    process.kill()
    pytest.fail(f"no checkpoint came:\n{process.communicate()[1][-3000:]}")
