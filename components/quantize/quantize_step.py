"""The pipeline step: reads its recipe, writes the checkpoint, the artifact and a page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.core.recipes import check_recipe
from components.core.whole_files import write_text
from components.prepare.subset import Subset
from components.quantize.quantize import quantize, write_quantization
from components.quantize.results import Quantization
from components.quantize.settings import QuantizeSettings

SHOWN = 8
"""Rows of the table of layers that suffer most."""


def run_quantize(
    recipe: Mapping[str, Any], subset: Mapping[str, Any], paths: Mapping[str, str]
) -> dict[str, float]:
    """Quantizes a model.

    Args:
        recipe: The fields of `QuantizeSettings`.
        subset: The fields of `Subset`, as training took them.
        paths: `model` and `train` to read; `quantized`, `quantization`, `report` to write.

    Returns:
        The figures of the step.

    Raises:
        FinistError: As `quantize`.
    """
    settings = check_recipe("the recipe's quantize section", recipe, QuantizeSettings)
    part = check_recipe("the recipe's subset", subset, Subset)
    model, train, out = (Path(paths[name]) for name in ("model", "train", "quantized"))
    done = quantize(model, train, settings, out, part)
    write_quantization(Path(paths["quantization"]), done)
    write_text(Path(paths["report"]), page(done))
    return done.figures()


def page(done: Quantization) -> str:
    """Renders what was done as Markdown.

    Args:
        done: The artifact.
    """
    sections = (_title(done), _sizes(done), _alone(done), _worst(done))
    return "\n".join(line for section in sections for line in section) + "\n"


def _title(done: Quantization) -> list[str]:
    settings, rows = done.settings, done.calibration
    tuned = "no calibration"
    if rows:
        tuned = f"calibrated on {rows.rows} training dialogues ({rows.tokens:,} tokens)"
    took = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in done.seconds.items())
    said = (
        f"{done.compression:.2f} times smaller; {done.quantized_layers} linear layers quantized, "
        f"{len(done.left_alone)} left alone; {tuned}; {took}."
    )
    return [f"# {settings.scheme.upper()} by {settings.algorithm.upper()}", "", said, ""]


def _sizes(done: Quantization) -> list[str]:
    kinds = dict.fromkeys([*done.bytes_before, *done.bytes_after])
    rows = [(kind, done.bytes_before.get(kind, 0), done.bytes_after.get(kind, 0)) for kind in kinds]
    rows.append(("all", sum(done.bytes_before.values()), sum(done.bytes_after.values())))
    lines = [f"| {kind} | {a / 1e6:,.1f} | {b / 1e6:,.1f} |" for kind, a, b in rows]
    return ["| tensors | before, MB | after, MB |", "|---|---|---|", *lines, ""]


def _alone(done: Quantization) -> list[str]:
    lines = [f"| `{each.layer}` | {each.why} |" for each in done.left_alone]
    return ["| left alone | why |", "|---|---|", *lines, ""] if lines else []


def _worst(done: Quantization) -> list[str]:
    worst = sorted(done.errors, key=lambda each: -each.error)[:SHOWN]
    lines = [f"| `{each.layer}` | {each.error:.2e} |" for each in worst]
    heading = f"| layers that suffer most | relative squared error of their {done.error_of} |"
    nearest = [f"Rounded to nearest instead: {', '.join(done.rounded_to_nearest)}.", ""]
    return [heading, "|---|---|", *lines, "", *(nearest if done.rounded_to_nearest else [])]
