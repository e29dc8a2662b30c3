import json
import os
import subprocess
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from components.core.errors import DoesNotFitError, MissingModelError, QuantizationError
from components.prepare.subset import Subset
from components.quantize.environment import quantize_python, run_job
from components.quantize.job import FAILURE, JOB, RESULT, Failure, Job
from components.quantize.quantize import decompress, quantize
from components.quantize.quantize_step import run_quantize
from components.quantize.results import Quantization
from components.quantize.settings import QuantizeSettings

W4A16 = QuantizeSettings(scheme="w4a16", group_size=64, rows=12, max_length=256)
W8A8 = QuantizeSettings(scheme="w8a8", rows=12, max_length=256)
SEVERAL = "import sys; from pathlib import Path; from components.quantize.worker import main\n"
SEVERAL += "for folder in sys.argv[1:]: main(Path(folder))"
"""Importing llm-compressor takes ten seconds: one process does the jobs of all tests."""
LAYERS = 4 * 7
DOWN = "re:.*down_proj"


@dataclass(frozen=True)
class Made:
    """What a job of a test left behind."""

    out: Path
    folder: Path

    @property
    def result(self) -> Quantization:
        return Quantization.model_validate_json((self.folder / RESULT).read_bytes())

    @property
    def failure(self) -> Failure:
        assert not self.out.exists()
        return Failure.model_validate_json((self.folder / FAILURE).read_bytes())


@dataclass(frozen=True)
class Step:
    """What the pipeline step left behind."""

    paths: dict[str, str]
    figures: dict[str, float]

    @property
    def out(self) -> Path:
        return Path(self.paths["quantized"])

    @property
    def result(self) -> Quantization:
        return Quantization.model_validate_json(Path(self.paths["quantization"]).read_bytes())


@pytest.fixture(scope="module")
def step(tiny_model: Path, train: Path, tmp_path_factory: pytest.TempPathFactory) -> Step:
    """W4A16 by the pipeline's step, in a process of its own."""
    folder = tmp_path_factory.mktemp("step")
    names = ("quantized", "quantization", "report")
    paths = {"model": str(tiny_model), "train": str(train)}
    paths |= {name: str(folder / name) for name in names}
    return Step(paths, run_quantize(W4A16.model_dump(mode="json"), {}, paths))


@pytest.fixture(scope="module")
def made(
    step: Step, tiny_model: Path, train: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Made]:
    """Jobs done by one process of the quantize environment, by name."""
    top = tmp_path_factory.mktemp("jobs")
    rows = top / "rows.jsonl"
    rows.write_text("".join(train.read_text().splitlines(keepends=True)[: W8A8.rows]))
    wide = {"group_size": 128}
    asked = {
        "w4a16": (tiny_model, W4A16.model_copy(update={"seed": 1}), rows),
        "again": (tiny_model, W4A16.model_copy(update={"seed": 1}), rows),
        "w8a8": (tiny_model, W8A8, rows),
        "awq": (tiny_model, W4A16.model_copy(update={"algorithm": "awq"}), rows),
        "wide": (tiny_model, W4A16.model_copy(update={"group_size": 96}), rows),
        "down": (tiny_model, W4A16.model_copy(update=wide | {"ignore": ("lm_head", DOWN)}), rows),
        "typo": (tiny_model, W4A16.model_copy(update={"ignore": ("lm_heads",)}), rows),
        "short": (tiny_model, W4A16.model_copy(update={"max_length": 4}), rows),
        "dense": (step.out, None, None),
    }
    found = {name: Made(top / name / "out", top / name / "job") for name in asked}
    for name, (model, settings, path) in asked.items():
        found[name].folder.mkdir(parents=True)
        job = Job(model=model, out=found[name].out, settings=settings, rows=path)
        (found[name].folder / JOB).write_text(job.model_dump_json())
    folders = [str(each.folder) for each in found.values()]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    subprocess.run([str(quantize_python()), "-c", SEVERAL, *folders], env=environment, check=True)
    return found


def config(out: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((out / "config.json").read_text())
    return found


def digests(out: Path) -> dict[str, str]:
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in out.iterdir()}


@pytest.mark.slow
def test_w4a16_is_what_vllm_reads(step: Step, tiny_model: Path) -> None:
    said = config(step.out)["quantization_config"]
    assert isinstance(said, dict)
    assert (said["quant_method"], said["format"]) == ("compressed-tensors", "pack-quantized")
    assert said["ignore"] == ["lm_head"]
    weights = said["config_groups"]["group_0"]["weights"]
    assert (weights["num_bits"], weights["group_size"], weights["symmetric"]) == (4, 64, True)
    assert config(step.out)["dtype"] == "bfloat16"
    tensors = load_file(step.out / "model.safetensors")
    before = load_file(tiny_model / "model.safetensors")
    assert "lm_head.weight" not in tensors  # tied: vLLM takes the embeddings
    for name in ("model.embed_tokens.weight", "model.norm.weight"):
        assert torch.equal(tensors[name], before[name])
    packed = [name for name in tensors if name.endswith("weight_packed")]
    assert len(packed) == LAYERS


@pytest.mark.slow
def test_what_belongs_to_the_weights_goes_along_byte_for_byte(step: Step, tiny_model: Path) -> None:
    for name in (
        *("chat_template.jinja", "tokenizer.json", "tokenizer_config.json"),
        *("generation_config.json", "LICENSE"),
    ):
        assert (step.out / name).read_bytes() == (tiny_model / name).read_bytes()
    assert not (step.out / "recipe.yaml").exists()
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in step.out.iterdir())
    assert not step.out.with_name(step.out.name + ".partial").exists()


@pytest.mark.slow
def test_the_artifact_says_what_was_done(step: Step) -> None:
    result = step.result
    assert result.settings == W4A16
    assert result.calibration
    assert result.calibration.rows == W4A16.rows
    assert result.quantized_layers == len(result.errors) == LAYERS
    assert [each.layer for each in result.left_alone] == ["lm_head"]
    assert result.left_alone[0].why.startswith("output layer")
    assert "input embeddings too" in result.left_alone[0].why
    assert all(0 < each.error < 0.1 for each in result.errors)
    assert result.rounded_to_nearest == ()
    before, after = result.bytes_before, result.bytes_after
    assert after["embeddings and output layer"] == before["embeddings and output layer"]
    assert after["linear layers"] * 4 == before["linear layers"]
    assert after["scales"] * 64 == before["linear layers"] + 64 * LAYERS * 16  # and shapes
    assert result.versions["llmcompressor"]
    assert step.figures["compression"] == pytest.approx(result.compression)
    page = Path(step.paths["report"]).read_text()
    assert "28 linear layers quantized, 1 left alone" in page


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(made: dict[str, Made]) -> None:
    assert digests(made["again"].out) == digests(made["w4a16"].out)


@pytest.mark.slow
@torch.inference_mode()
def test_w8a8_is_what_vllm_reads_and_answers_nearly_as_before(
    made: dict[str, Made], tiny_model: Path
) -> None:
    out = made["w8a8"].out
    said = config(out)["quantization_config"]
    assert isinstance(said, dict)
    assert said["format"] == "int-quantized"
    group = said["config_groups"]["group_0"]
    assert (group["weights"]["num_bits"], group["weights"]["strategy"]) == (8, "channel")
    activations = group["input_activations"]
    assert (activations["num_bits"], activations["strategy"]) == (8, "token")
    assert activations["dynamic"] is True
    tensors = load_file(out / "model.safetensors")
    integers = {name for name, tensor in tensors.items() if tensor.dtype == torch.int8}
    assert len(integers) == LAYERS
    dense = {
        name: tensor.float() * tensors[f"{name}_scale"].float() if name in integers else tensor
        for name, tensor in tensors.items()
        if not name.endswith("_scale")
    }
    assert relative_difference(tiny_model, dense) < 0.02


@pytest.mark.slow
def test_dequantized_weights_are_those_of_the_quantized_model(
    step: Step, made: dict[str, Made], tiny_model: Path
) -> None:
    dense = load_file(made["dense"].out / "model.safetensors")
    packed = load_file(step.out / "model.safetensors")
    before = load_file(tiny_model / "model.safetensors")
    assert "quantization_config" not in config(made["dense"].out)
    for name in (name for name in packed if name.endswith("weight_packed")):
        layer = name.removesuffix("_packed")
        scale = packed[f"{layer}_scale"].float().repeat_interleave(64, dim=1)
        integers = dense[layer] / scale
        assert torch.equal(integers.round() * scale, dense[layer])
        assert torch.equal(integers.round().int() + 8, nibbles(packed[name]))
        assert (dense[layer] - before[layer]).norm() < 0.2 * before[layer].norm()
    assert dense.keys() == before.keys()
    assert "dequantized" in (made["dense"].out / "README.md").read_text()
    assert (made["dense"].out / "chat_template.jinja").exists()


def nibbles(packed: torch.Tensor) -> torch.Tensor:
    """Eight 4-bit numbers of each 32-bit one, the lowest bits first."""
    shifts = torch.arange(0, 32, 4, dtype=torch.int32)
    return ((packed.unsqueeze(-1) >> shifts) & 0xF).flatten(1)


def relative_difference(model: Path, tensors: dict[str, torch.Tensor]) -> float:
    """Largest difference of logits with other weights, relative to the largest logit."""
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    ids = torch.arange(64).reshape(2, 32) * 97 % network.config.vocab_size
    before = network(input_ids=ids).logits
    network.load_state_dict(tensors, strict=False)
    return float((network(input_ids=ids).logits - before).abs().max() / before.abs().max())


@pytest.mark.slow
def test_a_group_that_does_not_divide_a_width_is_refused_with_what_would_do(
    made: dict[str, Made],
) -> None:
    failure = made["wide"].failure
    assert failure.kind == "RecipeError"
    assert "96 does not divide the input width 128, 256 of model.layers.0" in failure.message
    assert "and 25 more; take group_size 128, 64, 32" in failure.message


@pytest.mark.slow
def test_layers_that_a_recipe_ignores_stay_and_are_listed(made: dict[str, Made]) -> None:
    result = made["down"].result
    assert [each.layer for each in result.left_alone] == [
        *(f"model.layers.{number}.mlp.down_proj" for number in range(4)),
        "lm_head",
    ]
    assert result.left_alone[0].why == f"the recipe ignores {DOWN}"
    said = config(made["down"].out)["quantization_config"]
    assert isinstance(said, dict)
    assert set(said["ignore"]) == {each.layer for each in result.left_alone}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind", "sentence"),
    [
        ("typo", "RecipeError", "quantize.ignore: 'lm_heads' fits no linear layer"),
        pytest.param(
            *("awq", "QuantizationError", "AWQ runs on a GPU only"),
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
        ("short", "QuantizationError", "None of 12 calibration dialogues fits 4 tokens"),
    ],
)
def test_a_job_that_cannot_be_done_says_why(
    made: dict[str, Made], name: str, kind: str, sentence: str
) -> None:
    failure = made[name].failure
    assert failure.kind == kind
    assert sentence in failure.message


def test_a_failure_in_the_other_process_is_raised_here(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    failure = Failure(kind="DoesNotFitError", message="too large").model_dump_json()
    python.write_text(f"#!/bin/sh\necho '{failure}' > $3/{FAILURE}\nexit 2\n")
    python.chmod(0o755)
    monkeypatch.setenv("FINIST_QUANTIZE_PYTHON", str(python))
    with pytest.raises(DoesNotFitError, match="too large"):
        run_job(Job(model=tiny_model, out=tmp_path / "out"))


def test_a_dense_model_is_not_dequantized(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(QuantizationError, match="is not quantized"):
        decompress(tiny_model, tmp_path / "dense")


def test_a_missing_environment_is_said(
    tiny_model: Path, train: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINIST_QUANTIZE_PYTHON", str(tmp_path / "python"))
    with pytest.raises(QuantizationError, match=r"no quantize environment at .*install-quantize"):
        quantize(tiny_model, train, W4A16, tmp_path / "out")


def test_a_model_that_is_not_there_is_said_before_any_process_starts(
    train: Path, tmp_path: Path
) -> None:
    with pytest.raises(MissingModelError, match=r"no complete checkpoint \(no config\.json"):
        quantize(tmp_path, train, W8A8, tmp_path / "out", Subset())
