"""From an InferenceService to vLLM's command line.

The real vLLM is started so in components/evaluate/benchmarks/tests/test_with_vllm.py.
"""

from pathlib import Path

import pytest

from components.core.errors import DeployError
from pipelines.local import inference
from pipelines.local.vllm import Cpu, serve_python, this_cpu, vllm_launch

OLD = Cpu(frozenset({"avx2"}), (0, 1))
NEW = Cpu(frozenset({"avx2", "amx_bf16"}), (0, 2, 3))


def service(*arguments: str) -> inference.InferenceService:
    built = inference.build("tuned", "s3://finist/models/tuned/1", arguments)
    return inference.InferenceService.model_validate(built)


def option(argv: tuple[str, ...], name: str) -> str:
    return argv[argv.index(name) + 1]


def test_laptop_replaces_what_a_cpu_cannot_follow() -> None:
    asked = service(
        "--tensor-parallel-size=4",
        "--gpu-memory-utilization",
        "0.9",
        "--dtype=bfloat16",
        "--max-model-len=1024",
        "--chat-template=/mnt/models/chat_template.jinja",
    )
    launch = vllm_launch(asked, Path("/m"), 9, Path("/p"), OLD)
    assert option(launch.argv, "--dtype") == "float32"
    assert option(launch.argv, "--served-model-name") == "tuned"
    assert "--max-model-len=1024" in launch.argv
    assert "--chat-template=/m/chat_template.jinja" in launch.argv
    assert not [
        word for word in launch.argv if "parallel" in word or "gpu" in word or word == "0.9"
    ]
    assert launch.environment["VLLM_CPU_OMP_THREADS_BIND"] == "0,1"
    assert launch.url == "http://127.0.0.1:9/v1"


def test_bfloat16_where_the_processor_has_it() -> None:
    launch = vllm_launch(service(), Path("/m"), 9, Path("/p"), NEW)
    assert option(launch.argv, "--dtype") == "bfloat16"
    assert launch.environment["VLLM_CPU_OMP_THREADS_BIND"] == "0,2,3"


def test_missing_serve_environment_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINIST_SERVE_PYTHON", "/nowhere/python")
    with pytest.raises(DeployError, match="/nowhere/python"):
        serve_python()
    assert this_cpu().cores
