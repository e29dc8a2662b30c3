"""Measures a model as it is served: its loss on held-out dialogues, and how fast it writes."""

import asyncio
import os
import platform
import sys
from pathlib import Path
from urllib.parse import urlsplit

from components.core.errors import BadInputError
from components.core.json_lines import read_jsonl
from components.core.llm import Endpoint, served_model
from components.core.schemas import Dialogue
from components.core.whole_files import write_text
from components.evaluate.answers import choose, messages
from components.evaluate.recovery.heldout_loss import heldout_losses, read_tokens
from components.evaluate.recovery.load import measure_loads
from components.evaluate.recovery.served_figures import ServedFigures
from components.evaluate.recovery.settings import ServedSettings
from components.prepare.subset import Subset

HERE = ("127.0.0.1", "localhost", "::1")
UNKNOWN = "a machine that was not named"
PROCESSORS = Path("/proc/cpuinfo")
INSTRUCTIONS = {"avx2": "AVX2", "avx512f": "AVX-512", "amx_int8": "AMX"}
"""Flags of Linux that decide which of vLLM's kernels a processor gets."""


def measure_served(
    endpoint: Endpoint,
    tokenizer: Path,
    test: Path,
    out: Path,
    settings: ServedSettings,
    subset: Subset | None = None,
    weights: str = "",
) -> ServedFigures:
    """Measures a served model and writes its figures.

    Args:
        endpoint: Where the model is served, by vLLM.
        tokenizer: A folder with the model's tokenizer and chat template.
        test: JSON lines of `Dialogue` that the model never learnt from.
        out: Where the figures go, JSON, written whole or not at all.
        settings: How much to ask.
        subset: Which products and intents; None for all.
        weights: Address of the weights that are served; empty for what the endpoint says.

    Returns:
        The figures.

    Raises:
        EndpointError: The endpoint is away, lacks the model, or cannot do what is measured.
        BadInputError: There are no dialogues that fit, or the chat template marks no answers.
        MissingModelError: There is no tokenizer in the folder.
    """
    served = asyncio.run(served_model(endpoint))
    dialogues = choose(read_jsonl(test, Dialogue), settings.dialogues, subset or Subset())
    every = read_tokens(dialogues, tokenizer)
    fitting = [each for each in every if len(each.ids) < settings.max_length]
    if not fitting:
        raise BadInputError(
            f"None of {len(every)} dialogues of {test} fits {settings.max_length} tokens; raise "
            f"`max_length`, and the server's own window."
        )
    figures = ServedFigures(
        model=endpoint.model,
        weights=weights or served,
        served=served,
        machine=settings.machine or machine(endpoint),
        dialogues=tuple(heldout_losses(endpoint, fitting, settings)),
        too_long=len(every) - len(fitting),
        answer_tokens=settings.output_tokens,
        loads=measure_loads(endpoint, [messages(each) for each in dialogues], settings),
    )
    write_text(out, figures.model_dump_json(indent=1) + "\n")
    return figures


def machine(endpoint: Endpoint) -> str:
    """Says what an endpoint's server runs on, as far as that can be told from here.

    Args:
        endpoint: Where it is.

    Returns:
        This machine's cores, processor and the instructions that fast kernels need, when the
        server is on it; otherwise that it is unknown.
    """
    if urlsplit(endpoint.base_url).hostname not in HERE:
        return UNKNOWN
    lines = PROCESSORS.read_text().splitlines() if PROCESSORS.exists() else []
    said = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = said.get("flags", "").split()
    known = [f"{'' if flag in flags else 'no '}{name}" for flag, name in INSTRUCTIONS.items()]
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    processor = said.get("model name", platform.machine())
    return f"{cores} cores of {processor}" + (f" ({', '.join(known)})" if flags else "")
