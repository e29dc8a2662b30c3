import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from components.core.errors import TrainingError
from components.train.launch import environment, launch, needs_processes
from components.train.settings import HardwareSettings, SftSettings

TWO = HardwareSettings(processes=2)


@pytest.mark.parametrize(
    ("hardware", "expected"),
    [
        (HardwareSettings(), False),
        (TWO, True),
        (HardwareSettings(deepspeed="zero3"), True),
        (HardwareSettings(nodes=2, deepspeed="zero3"), True),
    ],
)
def test_a_recipe_says_whether_it_needs_processes(
    hardware: HardwareSettings, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert needs_processes(hardware) is expected
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "this is one of them")
    assert not needs_processes(hardware)


def test_several_nodes_are_refused_with_the_command_for_them() -> None:
    with pytest.raises(TrainingError, match=r"components\.train trainjob"):
        launch("run_sft", {}, HardwareSettings(nodes=2, deepspeed="zero3"))


def test_processes_share_out_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert environment(TWO)["OMP_NUM_THREADS"] == "4"
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert "OMP_NUM_THREADS" not in environment(TWO)


@pytest.mark.skipif(torch.cuda.is_available(), reason="of a machine without CUDA")
def test_accelerate_is_told_to_stay_on_the_cpu_but_not_with_deepspeed() -> None:
    """Told so with DeepSpeed, it would leave DeepSpeed out."""
    assert environment(TWO)["ACCELERATE_USE_CPU"] == "true"
    sharded = environment(HardwareSettings(processes=2, deepspeed="zero3"))
    assert "ACCELERATE_USE_CPU" not in sharded
    assert sharded["DS_ACCELERATOR"] == "cpu"


@pytest.mark.slow
def test_the_sentence_of_a_process_is_said_once(
    tiny_model: Path, dialogues: Path, tmp_path: Path
) -> None:
    recipe = SftSettings(max_length=16, hardware=TWO)
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe.model_dump(mode="json")))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "components.train", "sft"),
            *("--recipe", tmp_path / "recipe.yaml", "--base", tiny_model),
            *("--train", dialogues / "train.jsonl", "--test", dialogues / "test.jsonl"),
            *("--out", tmp_path / "out"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("raise max_length") == 1
    assert "Traceback" not in done.stderr
