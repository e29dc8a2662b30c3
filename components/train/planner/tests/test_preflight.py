import pytest

from components.core.errors import BadInputError, DoesNotFitError
from components.train.planner.gpus import parse_gpus
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
    with pytest.raises(DoesNotFitError, match=r"zero3 and hardware\.processes to 4"):
        preflight([sft(hardware=plain)], POOL)


def test_what_cannot_fit_says_what_would() -> None:
    with pytest.raises(DoesNotFitError, match="what would fit"):
        preflight([sft(base_model="llama-3.1-405b", hardware=SHARDED)], POOL)


def test_more_processes_than_gpus_are_refused() -> None:
    eight = SHARDED.model_copy(update={"processes": 8})
    with pytest.raises(BadInputError, match="asks for 8 processes"):
        preflight([sft(hardware=eight)], POOL)


def test_what_cannot_be_planned_says_so() -> None:
    assert "not planned" in preflight([sft(base_model="s3://finist/models/own")], POOL)
    assert "No GPUs were named" in preflight([sft()], None)


@pytest.mark.parametrize(
    ("settings", "change"),
    [
        (
            sft(optimizer=OptimizerSettings(batch_size=8), hardware=SHARDED),
            "optimizer.batch_size: 4, optimizer.accumulation: 2",
        ),
        (sft(base_model="llama-3.1-8b"), "hardware.gradient_checkpointing: true"),
        (sft(hardware=HardwareSettings(gradient_checkpointing=True)), "method: qlora"),
    ],
)
def test_after_running_out_of_memory_the_planner_names_a_change(
    settings: SftSettings, change: str
) -> None:
    assert change in after_out_of_memory(settings, GPU)
