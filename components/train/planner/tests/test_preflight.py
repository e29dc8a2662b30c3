import pytest

from components.core.errors import BadInputError, DoesNotFitError
from components.core.settings import StoreSettings
from components.core.store import put_json
from components.train.planner.gpus import parse_gpus
from components.train.planner.model_shape import load_shape
from components.train.planner.preflight import after_out_of_memory, preflight
from components.train.settings import (
    HardwareSettings,
    OptimizerSettings,
    OrpoSettings,
    SftSettings,
)

POOL = parse_gpus("4xA100-80GB")
SHARDED = HardwareSettings(processes=4, deepspeed="zero3", gradient_checkpointing=True)
ONE_ROW = OptimizerSettings(batch_size=1)
GPU = 80 * 2**30


def sft(**changes: object) -> SftSettings:
    fields = {"base_model": "llama-3.1-70b", "optimizer": ONE_ROW, "max_length": 4096}
    return SftSettings.model_validate(fields | changes)


def test_a_sharded_70b_is_planned_for_both_trainings() -> None:
    orpo = OrpoSettings(
        base_model="llama-3.1-70b", optimizer=ONE_ROW, hardware=SHARDED, max_length=2048
    )
    page = preflight([sft(hardware=SHARDED), orpo], POOL)
    assert page.count("ZeRO-3 over 4") == 2
    assert "**sft** of llama-3.1-70b" in page
    assert "**orpo** of llama-3.1-70b" in page


def test_a_recipe_that_does_not_shard_what_must_be_is_refused() -> None:
    plain = HardwareSettings(gradient_checkpointing=True)
    with pytest.raises(DoesNotFitError) as refusal:
        preflight([sft(hardware=plain)], POOL)
    proposal = str(refusal.value).split("what would fit: ")[1]
    assert proposal == "method: qlora, or hardware.processes: 4 and hardware.deepspeed: zero3."


def test_a_recipe_is_planned_on_the_gpus_that_it_asks_for() -> None:
    two = HardwareSettings(processes=2, gradient_checkpointing=True)
    page = preflight([sft(base_model="meta-llama/Llama-3.1-8B-Instruct", hardware=two)], POOL)
    assert "| 2xA100-80GB" in page
    assert "data parallel over 2" in page
    assert "300 updates:" in page


def test_copies_that_do_not_fit_are_refused_though_shards_would() -> None:
    copies = HardwareSettings(processes=4, gradient_checkpointing=True)
    with pytest.raises(DoesNotFitError, match=r"hardware\.deepspeed: zero3, or method: qlora"):
        preflight([sft(hardware=copies)], POOL)


def test_a_base_model_in_the_store_is_planned_by_its_config(
    s3_store: StoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert s3_store.secret_key
    monkeypatch.setenv("AWS_ENDPOINT_URL", str(s3_store.endpoint_url))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", str(s3_store.access_key))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_store.secret_key.get_secret_value())
    address = f"s3://{s3_store.bucket}/models/own"
    assert "not planned" in preflight([sft(base_model=address)], POOL)
    own = load_shape("llama-3.1-8b").model_dump(exclude={"name"})
    put_json(s3_store, f"{address}/config.json", own)
    page = preflight([sft(base_model=address, hardware=SHARDED)], POOL)
    assert "8.030 billion parameters" in page


def test_what_cannot_fit_says_what_would() -> None:
    with pytest.raises(DoesNotFitError, match="what would fit"):
        preflight([sft(base_model="llama-3.1-405b", hardware=SHARDED)], POOL)


def test_more_processes_than_gpus_are_refused() -> None:
    eight = SHARDED.model_copy(update={"processes": 8})
    with pytest.raises(BadInputError, match="asks for 8 processes"):
        preflight([sft(hardware=eight)], POOL)


def test_what_cannot_be_planned_says_so() -> None:
    assert "not planned" in preflight([sft(base_model="own/model")], POOL)
    assert "No GPUs were named" in preflight([sft()], None)


@pytest.mark.parametrize(
    ("settings", "change"),
    [
        (
            sft(optimizer=OptimizerSettings(batch_size=8), hardware=SHARDED),
            "set optimizer.batch_size: 2 and optimizer.accumulation: 4",
        ),
        (sft(base_model="llama-3.1-8b"), "hardware.gradient_checkpointing: true"),
        (sft(hardware=HardwareSettings(gradient_checkpointing=True)), "method: qlora"),
    ],
)
def test_after_running_out_of_memory_the_planner_names_a_change(
    settings: SftSettings, change: str
) -> None:
    assert change in after_out_of_memory(settings, GPU)


def test_where_the_prediction_was_too_low_more_is_given_up() -> None:
    """On an imagined GPU twice as large, the same run would have been predicted to fit."""
    eight = sft(optimizer=OptimizerSettings(batch_size=8), hardware=SHARDED)
    assert "batch_size: 4" in after_out_of_memory(eight, 2 * GPU)


def test_a_model_of_unknown_shape_gets_the_usual_advice() -> None:
    assert "halve optimizer.batch_size" in after_out_of_memory(sft(base_model="own/model"), GPU)
