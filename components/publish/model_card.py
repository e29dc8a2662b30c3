"""The model card: what the weights are, how good, how made, of what, and under which licence."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from components.core.manifest import Manifest
from components.core.stats import Interval
from components.publish.evidence import Evidence
from components.publish.figures import Benchmark, Recovered
from components.publish.licence import Licence
from components.publish.lineage import Lineage

SHOWN = {
    "model_type": "architecture",
    "num_hidden_layers": "layers",
    "hidden_size": "hidden size",
    "vocab_size": "vocabulary",
    "max_position_embeddings": "context, tokens",
    "dtype": "number format",
}
EMULATED = (
    "The baseline is **no GigaChat**: it is an emulator of its API whose answers come from the "
    "prompted base model. Figures against it say nothing about GigaChat."
)
JUDGE = "The judge is {}; its scores rank answers at best."
FICTIONAL = (
    "Products, rates and rules in the data are those of a **fictional bank**; answers about a "
    "real one would be wrong."
)
UNMEASURED = "Nothing was measured of this model when it was published."


@dataclass(frozen=True)
class Described:
    """The model itself."""

    manifest: Manifest
    """Of the candidate: weights, tokenizer, configs, licence texts."""
    config: Mapping[str, Any]
    """Its `config.json`."""
    licence: Licence | None


def write_card(model: Described, lineage: Lineage, evidence: Evidence) -> str:
    """Writes the card.

    Args:
        model: The model itself.
        lineage: Where it comes from.
        evidence: What was measured; whatever is missing the card calls not measured.

    Returns:
        Markdown, with the front matter that model hubs read.
    """
    templates = Environment(
        loader=PackageLoader("components.publish"),
        undefined=StrictUndefined,
        autoescape=False,  # Markdown, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters.update(
        percent=_percent, points=_points, cell=_cell, kept=_kept, number=_number
    )
    card = templates.get_template("model_card.jinja")
    return card.render(
        front=_front(model, lineage),
        lineage=lineage,
        licence=model.licence,
        warning=model.licence.warning(lineage.name) if model.licence else "",
        figures=_figures(model),
        recipes={name: _yaml(recipe) for name, recipe in lineage.recipes.items()},
        evidence=evidence,
        limits=_limits(evidence),
    )


def _front(model: Described, lineage: Lineage) -> str:
    front = {
        "language": ["ru"],
        "license": model.licence.id if model.licence else "unknown",
        "base_model": _base_id(lineage),
        "pipeline_tag": "text-generation",
        "library_name": "transformers",
    }
    return _yaml({key: value for key, value in front.items() if value})


def _base_id(lineage: Lineage) -> str | None:
    """The id under which hubs know the base model, where it is known."""
    base = lineage.base_model
    if base is None:
        return None
    return base.source.hub_id if base.source else base.name


def _yaml(content: object) -> str:
    plain = json.loads(json.dumps(content, default=str))
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True).strip()


def _figures(model: Described) -> dict[str, str]:
    found = {label: str(model.config[key]) for key, label in SHOWN.items() if key in model.config}
    weights = [entry for entry in model.manifest.files if entry.path.endswith(".safetensors")]
    size = sum(entry.size for entry in weights)
    found["weights"] = f"{size / 1e6:,.1f} MB in {len(weights)} file{'s'[: len(weights) != 1]}"
    quantized = model.config.get("quantization_config", {}).get("format")
    return found | ({"quantized as": str(quantized)} if quantized else {})


def _limits(evidence: Evidence) -> list[str]:
    """What of the figures comes from a stand-in, in sentences."""
    data = evidence.data
    notes = (each for each in (data.syntheses if data else ()) if each.note)
    return [
        *([EMULATED] if evidence.emulated_baseline else ()),
        *([JUDGE.format(evidence.judge_described)] if evidence.judge_described else ()),
        *([FICTIONAL] if data and data.fictional else ()),
        *(f"{each.source}: {each.note}" for each in notes),
        *([] if evidence.board else [UNMEASURED]),
    ]


def _percent(value: Interval | float | None) -> str:
    """A share as percent, with its interval."""
    if value is None:
        return "not measured"
    if isinstance(value, Interval):
        return f"{100 * value.mean:.1f}% ({100 * value.low:.1f} to {100 * value.high:.1f})"
    return f"{100 * value:.1f}%"


def _points(value: Interval | None, scale: float = 1, sign: str = "", digits: int = 2) -> str:
    """A mean of any unit, with its interval."""
    if value is None:
        return "not measured"
    mean, low, high = (scale * one for one in (value.mean, value.low, value.high))
    return f"{mean:{sign}.{digits}f} ({low:{sign}.{digits}f} to {high:{sign}.{digits}f})"


def _cell(text: str) -> str:
    """Text for a cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def _kept(one: Recovered) -> str:
    """A figure of quality before and after quantization."""
    if one.metric in {"perplexity", "geval"}:
        return f"{one.before:.3f} -> {one.after:.3f}"
    return f"{100 * one.before:.1f}% -> {100 * one.after:.1f}%"


def _number(value: Benchmark | float | None) -> str:
    return "skipped" if value is None else f"{value:.1f}"
