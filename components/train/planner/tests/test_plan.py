"""What fits on which GPUs: the known answers, the refusals, and the command."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import BadInputError, DoesNotFitError
from components.train.planner.gpus import GPUS, GpuPool, parse_gpus
from components.train.planner.model_shape import load_shape
from components.train.planner.plan import (
    ServingPlan,
    TrainingPlan,
    plan_serving,
    plan_training,
    tensor_parallel_ways,
)
from components.train.planner.settings import ServingWork, TrainingWork

README = Path(__file__).parents[1] / "README.md"
EXAMPLES = re.findall(r"```text\n\$ python (-m .+)\n((?:.+\n)+)```", README.read_text("utf-8"))
ROOT = Path(__file__).resolve().parents[4]


def training(model: str, gpus: str, **work: object) -> TrainingPlan:
    run = TrainingWork.model_validate({"sequence_tokens": 4096, **work})
    return plan_training(load_shape(model), parse_gpus(gpus), run)


def serving(model: str, gpus: str, **work: object) -> ServingPlan:
    return plan_serving(load_shape(model), parse_gpus(gpus), ServingWork.model_validate(work))


def test_70b_is_served_in_bf16_by_four_gpus_together() -> None:
    plan = serving("llama-3.1-70b", "4xA100-80GB")
    assert (plan.ways, plan.replicas, plan.parallelism) == (4, 1, "TP4")
    assert plan.memory.weights * 4 / 1e9 == pytest.approx(141, abs=0.5)


def test_405b_is_served_in_four_bits_only() -> None:
    with pytest.raises(DoesNotFitError, match=r"what would fit: --quantization w4a16\."):
        serving("llama-3.1-405b", "4xA100-80GB")
    plan = serving("llama-3.1-405b", "4xA100-80GB", quantization="w4a16")
    assert plan.parallelism == "TP4"
    assert 100_000 < plan.cache_tokens < 177_000, "the published figure is before activations"
    assert plan.speed.answer_seconds <= 120


def test_70b_lora_needs_zero_3_or_qlora() -> None:
    with pytest.raises(DoesNotFitError) as refusal:
        training("llama-3.1-70b", "1xA100-80GB")
    proposal = str(refusal.value).split("what would fit: ")[1]
    assert proposal == "--method qlora, or --gpus 4xA100-80GB."
    assert training("llama-3.1-70b", "4xA100-80GB").parallelism == "ZeRO-3 over 4"
    assert training("llama-3.1-70b", "1xA100-80GB", method="qlora").parallelism == "one GPU"


@pytest.mark.parametrize("count", [1, 2])
def test_70b_in_four_bits_fits_on_one_or_two(count: int) -> None:
    plan = serving("llama-3.1-70b", f"{count}xA100-80GB", quantization="w4a16")
    assert plan.speed.concurrency > 50


def test_70b_qlora_fits_two_gpus_of_40_gb_as_published() -> None:
    work = {"method": "qlora", "micro_batch": 2, "sequence_tokens": 2048, "lora_rank": 8}
    shape = load_shape("llama-3.1-70b").model_copy(update={"vocab_size": 32_000})
    run = TrainingWork.model_validate(work)
    assert plan_training(shape, parse_gpus("2xA100-40GB"), run).parallelism == "ZeRO-3 over 2"
    with pytest.raises(DoesNotFitError):
        plan_training(shape, parse_gpus("1xA100-40GB"), run)


def test_what_is_proposed_does_fit() -> None:
    with pytest.raises(DoesNotFitError) as refusal:
        training("llama-3.1-405b", "1xA100-40GB", method="full", sequence_tokens=2048)
    assert str(refusal.value).endswith("what would fit: --method lora --gpus 64xA100-40GB.")
    assert training("llama-3.1-405b", "64xA100-40GB", sequence_tokens=2048).shards == 64
    with pytest.raises(DoesNotFitError):
        training("llama-3.1-405b", "32xA100-40GB", sequence_tokens=2048)


def test_where_nothing_fits_the_refusal_says_so() -> None:
    huge = load_shape("llama-3.1-405b").model_copy(update={"num_hidden_layers": 5000})
    with pytest.raises(DoesNotFitError, match="nothing does, up to 8 such GPUs"):
        plan_serving(huge, parse_gpus("8xA100-40GB"), ServingWork())


def test_fp8_needs_units_for_it() -> None:
    with pytest.raises(BadInputError, match="A100-80GB has no FP8 units"):
        serving("llama-3.1-70b", "4xA100-80GB", quantization="fp8")
    assert serving("llama-3.1-70b", "4xH100-80GB", quantization="fp8").speed.concurrency > 100


def test_the_window_bounds_rows_and_answers() -> None:
    with pytest.raises(BadInputError, match="sees 8192 tokens at once"):
        training("smollm2-135m", "1xA100-80GB", sequence_tokens=8193)
    with pytest.raises(BadInputError, match="--prompt-tokens and --answer-tokens"):
        serving("smollm2-135m", "1xA100-80GB", prompt_tokens=8000)


def test_tensor_parallelism_divides_the_heads() -> None:
    assert tensor_parallel_ways(load_shape("smollm2-135m"), 4) == [1, 3]
    assert tensor_parallel_ways(load_shape("llama-3.1-70b"), 100) == [1, 2, 4, 8]
    assert "1 of the GPUs idle" in serving("llama-3.1-70b", "5xA100-80GB").parallelism


def test_a_deadline_nobody_meets_gives_no_concurrency() -> None:
    plan = serving("llama-3.1-70b", "4xA100-80GB", deadline_seconds=1)
    assert plan.speed.concurrency == 0
    assert plan.speed.single_answer_seconds > 1


@given(
    st.sampled_from(["smollm2-135m", "llama-3.1-8b", "llama-3.1-70b", "llama-3.1-405b"]),
    st.sampled_from(list(GPUS.values())),
    st.sampled_from(["lora", "qlora", "full"]),
    st.integers(1, 64),
    st.integers(1, 64),
)
def test_more_gpus_never_need_more_memory_each(
    model: str, gpu: object, method: str, one: int, other: int
) -> None:
    assert isinstance(gpu, type(GPUS["A100-80GB"]))
    few, many = sorted((one, other))
    shape, work = load_shape(model), TrainingWork.model_validate({"method": method})
    try:
        smaller = plan_training(shape, GpuPool(gpu, few), work)
    except DoesNotFitError:
        return
    larger = plan_training(shape, GpuPool(gpu, many), work)
    assert larger.memory.total <= smaller.memory.total <= gpu.memory


def command(arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments.split()], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(("arguments", "printed"), EXAMPLES, ids=[a for a, _ in EXAMPLES])
def test_the_readme_shows_what_the_command_prints(arguments: str, printed: str) -> None:
    done = command(arguments)
    assert done.stdout + done.stderr == printed
    assert done.returncode == (2 if "does not fit" in printed or "no FP8" in printed else 0)


def test_the_readme_has_examples() -> None:
    assert len(EXAMPLES) >= 7


def test_the_command_writes_json() -> None:
    done = command(
        "-m components.train.planner --model llama-3.1-8b --gpus 2xH100-80GB --task orpo --json"
    )
    content = json.loads(done.stdout)
    assert (content["parallelism"], content["shards"]) == ("data parallel over 2", 1)
    parts = [size for part, size in content["memory"].items() if part != "total"]
    assert sum(parts) == pytest.approx(content["memory"]["total"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--task sft --quantization w4a16", "4-bit training is --method qlora"),
        ("--task serve --method lora", "--method is for a plan that trains"),
        ("--task sft --micro-batch 0", "micro_batch: Input should be greater"),
        ("--task dance", "Invalid value"),
    ],
)
def test_the_command_refuses_bad_options(options: str, sentence: str) -> None:
    done = command(f"-m components.train.planner --model llama-3.1-8b --gpus A100-80GB {options}")
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
