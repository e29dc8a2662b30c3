"""From an InferenceService to vLLM's command line; once with the real vLLM."""

from pathlib import Path

import httpx
import pytest

from components.core.errors import DeployError
from components.train.tiny_model import write_tiny_model
from pipelines.local import inference, stack
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


@pytest.mark.slow
def test_real_vllm_serves_a_tiny_llama(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("FINIST_HOME", str(home))
    model = write_tiny_model(tmp_path / "tiny", ["Какая ставка по вкладу «Сокол»?"])
    try:
        serve_python()
    except DeployError as error:
        pytest.skip(str(error))
    try:
        stack.start(())
        stack.add_inference_service("tiny", model.as_uri(), ("--max-model-len=128",))
        url = stack.wait_ready(seconds=240)["tiny"].url
        asked = {"messages": [{"role": "user", "content": "Ставка?"}], "max_tokens": 5}
        reply = httpx.post(f"{url}/chat/completions", json=asked | {"model": "tiny"}, timeout=60)
        assert reply.status_code == 200, reply.text
        assert reply.json()["usage"]["completion_tokens"] == 5
    finally:
        stack.stop()
