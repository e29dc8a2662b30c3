"""The model card: what the weights are and where they come from, in Markdown."""

from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from components.publish.model_files import read_json, weight_files

CARD_NAME = "README.md"
SHOWN = {
    "model_type": "architecture",
    "num_hidden_layers": "layers",
    "hidden_size": "hidden size",
    "vocab_size": "vocabulary",
    "max_position_embeddings": "context, tokens",
    "dtype": "number format",
}


def write_card(model: Path, name: str, lineage: Mapping[str, str], path: Path) -> None:
    """Write the card of the checkpoint in `model` to `path`.

    The card holds no time and no path, so that the same model gives the same bytes.

    Raises:
        MissingModelError: when the checkpoint's configuration cannot be read.
    """
    config = read_json(model / "config.json")
    size = sum((model / file).stat().st_size for file in weight_files(model))
    figures = {label: config[key] for key, label in SHOWN.items() if key in config}
    figures["weights, MB"] = f"{size / 1e6:.1f}"
    templates = Environment(
        loader=PackageLoader("components.publish"),
        undefined=StrictUndefined,
        autoescape=False,  # Markdown, not HTML
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    card = templates.get_template("model_card.jinja")
    path.write_text(card.render(name=name, figures=figures, lineage=lineage), encoding="utf-8")
