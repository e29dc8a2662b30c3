"""Models whose number format this processor's vLLM has no kernel for, served dequantized."""

import json
import subprocess
from pathlib import Path

from components.core.errors import DeployError
from components.quantize.environment import quantize_python
from pipelines.local.inference import short_hash
from pipelines.local.state import REPOSITORY
from pipelines.local.vllm import Cpu

PACKED = "pack-quantized"
"""compressed-tensors' format of 4-bit weights (W4A16)."""
NEEDED = "avx512f"
"""vLLM 0.32's CPU build has its 4-bit kernel (`cpu_gemm_wna16`) in its AVX-512 library only. The
AVX2 one loads such a model, reports health, and dies at the first request."""
NOTE = "its 4-bit weights are served dequantized: this processor's vLLM has no kernel for them"


def servable(model: Path, cpu: Cpu, kept: Path) -> tuple[Path, str]:
    """Gives a checkpoint that vLLM can serve on this processor.

    Args:
        model: Folder of a checkpoint.
        cpu: The processor.
        kept: Where a dequantized checkpoint is kept.

    Returns:
        The same folder and nothing to say, or one with exactly the dequantized weights (the
        answers are those of the 4-bit model, size and speed are not) and a sentence about it.

    Raises:
        DeployError: The weights could not be dequantized.
        QuantizationError: There is no environment to do it in.
    """
    if NEEDED in cpu.flags or _format(model) != PACKED:
        return model, ""
    dense = kept / f"{model.name}-{short_hash(str(model))}-dense"
    if not (dense / "config.json").is_file():
        _dequantize(model, dense)
    return dense, NOTE


def _format(model: Path) -> str:
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    return str(config.get("quantization_config", {}).get("format", ""))


def _dequantize(model: Path, dense: Path) -> None:
    command = [str(quantize_python()), "-m", "components.quantize", "decompress", str(model)]
    done = subprocess.run(
        [*command, "--out", str(dense)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"code {done.returncode}"]
        raise DeployError(f"{model}: its weights could not be dequantized: {last[0]}")
