"""The process in which llm-compressor runs: its packages fit no other environment."""

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from components.core import errors
from components.core.errors import QuantizationError
from components.quantize.job import FAILURE, JOB, RESULT, Failure, Job

CODE = Path(__file__).parents[2]
"""The folder that holds `components`."""
WORKER = "components.quantize.worker"
SWITCHES = {
    "PYTHONSAFEPATH": "1",
    "PYTHONWARNINGS": "ignore",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
    "LLM_COMPRESSOR_LOG_LEVEL": "ERROR",
    "TQDM_DISABLE": "1",
}
"""Nothing is fetched, nothing is sent; our own progress bars are shown, not the libraries'."""


def quantize_python() -> Path:
    """Finds a Python that has llm-compressor.

    Returns:
        `FINIST_QUANTIZE_PYTHON`; else the running one, when it has llm-compressor, as in the image
        `quantize`; else that of `.venv-quantize`, which `make install-quantize` makes.

    Raises:
        QuantizationError: There is none.
    """
    chosen = os.environ.get("FINIST_QUANTIZE_PYTHON")
    if not chosen and importlib.util.find_spec("llmcompressor"):
        return Path(sys.executable)
    python = Path(chosen) if chosen else CODE / ".venv-quantize" / "bin" / "python"
    if not python.exists():
        raise QuantizationError(
            f"There is no quantize environment at {python}; run `make install-quantize`."
        )
    return python


def run_job(job: Job) -> bytes:
    """Runs a job in the quantize environment, which shows its progress on this process's stderr.

    Args:
        job: What to do; its paths are taken from this process's working directory.

    Returns:
        A `Quantization` as JSON; empty where the job only writes a checkpoint.

    Raises:
        QuantizationError: There is no such environment, or the job cannot be done as asked.
        FinistError: Another error of the tree that the worker reports.
    """
    python = quantize_python()
    with tempfile.TemporaryDirectory(prefix="finist-quantize-") as name:
        folder = Path(name)
        (folder / JOB).write_text(job.model_dump_json(), encoding="utf-8")
        command = [str(python), "-m", WORKER, name]
        code = subprocess.run(command, env=_environment(), check=False).returncode
        failure, result = folder / FAILURE, folder / RESULT
        if failure.exists():
            told = Failure.model_validate_json(failure.read_bytes())
            raise getattr(errors, told.kind)(told.message)
        if code:
            raise RuntimeError(f"{WORKER} left with {code}; see above")
        return result.read_bytes() if result.exists() else b""


def _environment() -> dict[str, str]:
    # Threads that spin while they wait slow down whatever else runs: a laptop serves beside this.
    waiting = {"OMP_WAIT_POLICY": "PASSIVE"}
    return waiting | os.environ | SWITCHES | {"PYTHONPATH": str(CODE)}
