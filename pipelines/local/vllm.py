"""vLLM on the laptop's CPU, from the same InferenceService that the cluster gets."""

import os
from dataclasses import dataclass
from pathlib import Path

from components.core.errors import DeployError
from pipelines.local.inference import InferenceService
from pipelines.local.launch import MAX_REQUESTS, Launch
from pipelines.local.ports import LOOPBACK
from pipelines.local.state import REPOSITORY

SERVER = "vllm.entrypoints.openai.api_server"
MODEL_MOUNT = "/mnt/models"
"""Where KServe mounts the weights."""
LAPTOP_DECIDES = {
    "--model",
    "--served-model-name",
    "--host",
    "--port",
    "--dtype",
    "--enforce-eager",
    "--tensor-parallel-size",
    "--pipeline-parallel-size",
    "--gpu-memory-utilization",
    "--kv-cache-memory-bytes",
    "--max-num-seqs",
    "--stream-interval",
}
"""Arguments of the cluster that do not fit a CPU; the laptop sets its own."""
MEMORY = ("--kv-cache-memory-bytes", "512M", "--max-num-seqs", str(MAX_REQUESTS))
"""For SmolLM2-135M in float32 (46 KB a token) this holds 11,600 tokens: 32 answers at once."""
STREAMING = ("--stream-interval", "4")
"""Tokens per event of a stream: each event costs time that the model needs on two cores."""
DEFAULT_LENGTH = 2048
"""Tokens of prompt and answer together, when the object does not say."""
START_SECONDS = 300.0
BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})


@dataclass(frozen=True)
class Cpu:
    """What vLLM must know of the processor: its feature flags and the cores we may use."""

    flags: frozenset[str]
    cores: tuple[int, ...]

    @property
    def dtype(self) -> str:
        """bfloat16 where the processor multiplies it, else float32: emulating it is slow."""
        return "bfloat16" if self.flags & BF16_FLAGS else "float32"


def this_cpu() -> Cpu:
    """Looks at this machine; without `/proc/cpuinfo` there are no flags."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    flags = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    affinity = getattr(os, "sched_getaffinity", None)
    cores = affinity(0) if affinity else range(os.cpu_count() or 1)
    return Cpu(frozenset(flags.partition(":")[2].split()), tuple(sorted(cores)))


def serve_python() -> Path:
    """Finds the Python of the serve environment: `FINIST_SERVE_PYTHON`, else `.venv-serve`.

    Raises:
        DeployError: There is none.
    """
    chosen = os.environ.get("FINIST_SERVE_PYTHON")
    python = Path(chosen) if chosen else REPOSITORY / ".venv-serve" / "bin" / "python"
    if not python.exists():
        raise DeployError(f"no serve environment at {python}; run `make install`.")
    return python


def vllm_launch(
    service: InferenceService, model: Path, port: int, python: Path, cpu: Cpu
) -> Launch:
    """Maps an InferenceService to a vLLM process (pure).

    Args:
        service: The object; its arguments are kept but for those that a CPU cannot follow.
        model: Directory of the Hugging Face checkpoint.
        port: Where vLLM listens.
        python: Python of the environment that holds vLLM.
        cpu: The processor.
    """
    argv: tuple[str, ...] = (str(python), "-m", SERVER, "--model", str(model))
    argv += ("--served-model-name", service.served_name, "--host", LOOPBACK, "--port", str(port))
    argv += ("--dtype", cpu.dtype, "--enforce-eager", *MEMORY, *STREAMING)
    argv += _kept(service.arguments, model)
    if "--max-model-len" not in _flags(service.arguments):
        argv += ("--max-model-len", str(DEFAULT_LENGTH))
    url = f"http://{LOOPBACK}:{port}"
    return Launch(
        argv=argv,
        environment=_environment(cpu),
        url=f"{url}/v1",
        health_url=f"{url}/health",
        directory=model,
        start_seconds=START_SECONDS,
        model_uri=service.storage_uri,
        model=service.served_name,
    )


def _environment(cpu: Cpu) -> dict[str, str]:
    """Threads on the cores there are; nothing sent to anybody."""
    return {
        "VLLM_CPU_OMP_THREADS_BIND": ",".join(str(core) for core in cpu.cores),
        "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONSAFEPATH": "1",  # a model's folder may hold Python files
    }


def _flags(arguments: tuple[str, ...]) -> set[str]:
    return {argument.partition("=")[0] for argument in arguments}


def _kept(arguments: tuple[str, ...], model: Path) -> tuple[str, ...]:
    """Drops what the laptop decides, with the values, and moves paths from KServe's mount."""
    kept: list[str] = []
    dropping = False
    for argument in arguments:
        if argument.startswith("--"):
            dropping = argument.partition("=")[0] in LAPTOP_DECIDES
        if not dropping:
            kept.append(argument.replace(MODEL_MOUNT, str(model)))
    return tuple(kept)
