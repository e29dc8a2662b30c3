"""Formulas against published figures, and what must hold for any model."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import BadInputError, FinistError, RecipeError
from components.train.planner.gpus import GIB, GPUS, GpuPool, parse_gpus
from components.train.planner.memory import (
    base_weights,
    kv_bytes_per_token,
    lora_parameters,
    served_weights,
    serving_memory,
    training_memory,
)
from components.train.planner.model_shape import ModelShape, count_parameters, load_shape
from components.train.planner.settings import Assumptions, Quantization, ServingWork, TrainingWork
from components.train.planner.speed import Server, training_flops, training_speed

ASSUMED = Assumptions()
A100, H100 = GPUS["A100-80GB"], GPUS["H100-80GB"]
PEFT_RUN = TrainingWork(sequence_tokens=2048, micro_batch=8, lora_rank=8, lora_dropout=True)
"""Of PEFT's page "DeepSpeed": Llama-2-70B, packing, all linear maps, dropout 0.1."""


@pytest.fixture(scope="module")
def llama_2_70b() -> ModelShape:
    return load_shape("llama-3.1-70b").model_copy(update={"vocab_size": 32_000})


@pytest.mark.parametrize(
    ("model", "published"),
    [
        ("smollm2-135m", 134_515_008),
        ("llama-3.1-8b", 8_030_261_248),
        ("llama-3.1-70b", 70_553_706_496),
        ("llama-3.1-405b", 405_853_388_800),
    ],
)
def test_parameters_are_those_of_the_published_weights(model: str, published: int) -> None:
    assert count_parameters(load_shape(model)).total == published


def test_weights_have_the_published_sizes() -> None:
    assert base_weights(load_shape("llama-3.1-70b"), "lora") / 1e9 == pytest.approx(141.1, abs=0.1)
    large = load_shape("llama-3.1-405b")
    assert served_weights(large, "w4a16") / GIB == pytest.approx(203, rel=0.01)
    assert kv_bytes_per_token(large) == 504 * 1024
    left = 4 * 0.9 * A100.memory - served_weights(large, "w4a16")
    assert left / kv_bytes_per_token(large) == pytest.approx(177_000, rel=0.02)


def test_lora_with_zero_3_is_within_a_tenth_of_the_published_memory(
    llama_2_70b: ModelShape,
) -> None:
    """8 x H100, 64 GB (80% of the 80 GiB that nvidia-smi shows) on each."""
    memory = training_memory(llama_2_70b, PEFT_RUN, 8, ASSUMED)
    assert memory.total / GIB == pytest.approx(64, rel=0.10)


@pytest.mark.parametrize(
    ("model", "layers", "layout", "h100", "h200", "gib"),
    [
        ("llama-3.1-8b", 32, {"checkpointing": False, "compiled": True}, 15_506, 16_213, 37.0),
        ("llama-3.1-8b", 32, {"checkpointing": True, "compiled": True}, 10_854, 11_221, 21.2),
        ("llama-3.1-8b", 32, {"checkpointing": False}, 11_246, 12_064, 41.9),
        ("llama-3.1-8b", 32, {"checkpointing": True}, 8_095, 8_320, 20.9),
        ("llama-3.1-70b", 8, {"checkpointing": True}, 11_052, 11_413, 22.0),
    ],
)
def test_lora_on_one_gpu_is_within_a_tenth_of_what_was_measured(
    model: str, layers: int, layout: dict[str, bool], h100: float, h200: float, gib: float
) -> None:
    """Tokens a second and memory of `tests/bench/sft_gpu.py`, 2026-11-26."""
    shape = load_shape(model).model_copy(update={"num_hidden_layers": layers})
    row = {"sequence_tokens": 4096, "head_share": 200 / 512, "accumulation": 1}
    work = TrainingWork.model_validate(row | layout)
    assert training_memory(shape, work, 1, ASSUMED).total / GIB == pytest.approx(gib, rel=0.1)
    for gpu, measured in ((H100, h100), (GPUS["H200-141GB"], h200)):
        speed = training_speed(shape, work, GpuPool(gpu, 1), 1, ASSUMED)
        assert speed.tokens_per_second == pytest.approx(measured, rel=0.1)


def test_qlora_with_zero_3_is_within_a_fifth_of_the_published_memory(
    llama_2_70b: ModelShape,
) -> None:
    """Two GPUs, 36.6 GB on each; the page does not say which GB, so both must do."""
    run = PEFT_RUN.model_copy(update={"method": "qlora", "micro_batch": 2})
    memory = training_memory(llama_2_70b, run, 2, ASSUMED)
    assert memory.total / GIB == pytest.approx(36.6, rel=0.20)
    assert memory.total / 1e9 == pytest.approx(36.6, rel=0.20)


def test_a_published_server_is_within_a_factor_of_two_and_a_half() -> None:
    """70B FP8 (weights only) on 4 x A100: 957 tokens/s, 88 ms; so 84 answers were under way."""
    work = ServingWork(quantization="fp8")
    server = Server(load_shape("llama-3.1-70b"), work, A100, 4, ASSUMED)
    rate = 84 * work.answer_tokens / server.answer_seconds(84)
    assert 957 / 2.5 < rate < 957 * 2.5
    assert rate > 957, "a roofline is a bound from above"


def test_arithmetic_of_training_is_counted_by_passes() -> None:
    shape = load_shape("llama-3.1-70b")
    weights = count_parameters(shape).layers + count_parameters(shape).head
    short = {"sequence_tokens": 16, "lora_rank": 1}
    lora = training_flops(shape, TrainingWork.model_validate(short))
    full = training_flops(shape, TrainingWork.model_validate({**short, "method": "full"}))
    assert lora.model / weights == pytest.approx(4, rel=0.01)
    assert lora.hardware / weights == pytest.approx(6, rel=0.01)
    assert full.model / weights == pytest.approx(6, rel=0.01)
    assert full.hardware / weights == pytest.approx(8, rel=0.01)


def test_between_nodes_small_batches_wait_for_the_links() -> None:
    shape, work = load_shape("llama-3.1-70b"), TrainingWork()
    inside = training_speed(shape, work, GpuPool(A100, 8), 8, ASSUMED)
    across = training_speed(shape, work, GpuPool(A100, 16), 16, ASSUMED)
    assert (inside.bound, across.bound) == ("arithmetic", "links")
    assert across.tokens_per_second < 2 * inside.tokens_per_second


def test_decoding_alone_reads_the_weights_once_a_token() -> None:
    work = ServingWork(prompt_tokens=1, answer_tokens=1)
    server = Server(load_shape("llama-3.1-8b"), work, A100, 1, ASSUMED)
    read = 2 * (8_030_261_248 - 128_256 * 4096)
    expected = read / (A100.bandwidth * ASSUMED.bandwidth_share)
    assert server.decode_seconds(1) == pytest.approx(expected, rel=0.001)


shapes = st.sampled_from(["smollm2-135m", "llama-3.1-8b", "llama-3.1-70b", "llama-3.1-405b"]).map(
    load_shape
)
runs = st.builds(
    TrainingWork,
    task=st.sampled_from(["sft", "orpo"]),
    method=st.sampled_from(["lora", "qlora", "full"]),
    sequence_tokens=st.integers(16, 8192),
    micro_batch=st.integers(1, 16),
    lora_rank=st.integers(1, 128),
    lora_dropout=st.booleans(),
    checkpointing=st.booleans(),
)


@given(shapes, runs, st.integers(2, 64), st.integers(2, 64))
def test_more_shards_never_take_more_memory_each(
    shape: ModelShape, work: TrainingWork, one: int, other: int
) -> None:
    few, many = sorted((one, other))
    less = training_memory(shape, work, many, ASSUMED).total
    assert less <= training_memory(shape, work, few, ASSUMED).total


@given(shapes, runs)
def test_a_larger_batch_never_takes_less_and_checkpointing_never_takes_more(
    shape: ModelShape, work: TrainingWork
) -> None:
    def total(**change: object) -> float:
        return training_memory(shape, work.model_copy(update=change), 1, ASSUMED).total

    assert total(micro_batch=work.micro_batch + 1) > total()
    # the inputs that checkpointing keeps are among what a layer keeps without it
    assert total(checkpointing=True) <= total(checkpointing=False)


@given(shapes, runs)
def test_lighter_methods_hold_less_beside_the_activations(
    shape: ModelShape, work: TrainingWork
) -> None:
    def states(method: str) -> float:
        memory = training_memory(shape, work.model_copy(update={"method": method}), 1, ASSUMED)
        return memory.weights + memory.gradients + memory.optimizer

    if lora_parameters(shape, work.lora_rank) < count_parameters(shape).total / 8:
        assert states("qlora") < states("lora") < states("full")


@given(shapes, st.sampled_from([1, 2, 4, 8]), st.sampled_from(list(GPUS.values())))
def test_smaller_weights_leave_more_cache(shape: ModelShape, ways: int, gpu: object) -> None:
    order: list[Quantization] = ["none", "w8a8", "w4a16"]
    assert isinstance(gpu, type(A100))
    caches = [
        serving_memory(shape, ServingWork(quantization=name), gpu, ways, ASSUMED).kv_cache
        for name in order
    ]
    assert caches == sorted(caches)


@given(shapes, st.integers(1, 500), st.integers(1, 4000), st.integers(1, 4000))
def test_an_answer_takes_longer_among_more_and_when_longer(
    shape: ModelShape, answers: int, prompt: int, answer: int
) -> None:
    def server(length: int) -> Server:
        work = ServingWork(prompt_tokens=prompt, answer_tokens=length)
        return Server(shape, work, H100, 1, ASSUMED)

    assert server(answer).answer_seconds(answers) < server(answer).answer_seconds(answers + 1)
    assert server(answer).answer_seconds(answers) < server(answer + 1).answer_seconds(answers)
    assert server(answer + 1).most_in_time() <= server(answer).most_in_time()


def test_a_config_file_is_read_and_its_gaps_are_filled(tmp_path: Path) -> None:
    known = load_shape("smollm2-135m")
    content = {**known.model_dump(exclude={"name", "head_dim"}), "rope_theta": 10_000.0}
    (tmp_path / "config.json").write_text(json.dumps(content), encoding="utf-8")
    from_folder = load_shape(str(tmp_path))
    assert from_folder.model_copy(update={"name": known.name}) == known
    assert load_shape(str(tmp_path / "config.json")).head_dim == 64
    assert load_shape("saiga_llama3.1_70b").hidden_size == 8192


@pytest.mark.parametrize(
    ("content", "error", "sentence"),
    [
        ("{", BadInputError, "cannot be read as JSON"),
        ("[]", BadInputError, "must hold a JSON object"),
        ('{"model_type": "llama"}', RecipeError, "Field required"),
        ('{"model_type": "gpt2"}', RecipeError, "model_type: Input should be 'llama'"),
    ],
)
def test_a_bad_config_file_is_refused(
    tmp_path: Path, content: str, error: type[FinistError], sentence: str
) -> None:
    path = tmp_path / "config.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(error, match=sentence):
        load_shape(str(path))


def test_an_unknown_model_is_refused_with_the_known_names() -> None:
    with pytest.raises(BadInputError, match=r"no model gpt-5.*llama-3\.1-405b"):
        load_shape("gpt-5")


def test_pools_of_gpus_are_read() -> None:
    assert parse_gpus("4xA100-80GB") == GpuPool(A100, 4)
    assert parse_gpus(" 2 x h100-80gb ") == GpuPool(H100, 2)
    assert parse_gpus("H200-141GB").count == 1


@pytest.mark.parametrize(
    "text", ["", "4x", "0xA100-80GB", "4xV100", "9999xA100-80GB", "-1xA100-80GB"]
)
def test_bad_pools_are_refused(text: str) -> None:
    with pytest.raises(BadInputError, match=r"--gpus"):
        parse_gpus(text)
