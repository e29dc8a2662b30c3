"""A model's shape: the numbers of its `config.json` that decide memory and speed."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, PositiveInt, model_validator

from components.core.errors import BadInputError
from components.core.recipes import check_recipe

SHAPES = Path(__file__).parent / "shapes"
ALIASES = {"saiga_llama3.1_70b": "llama-3.1-70b"}
"""Models that have the shape of another; an `-instruct` at the end needs no mention."""


class ModelShape(BaseModel):
    """The shape of a Llama; field names are those of `config.json`, other keys are ignored.

    Without `num_key_value_heads` every head has its own keys and values, and without `head_dim`
    the heads share out the hidden size, as in transformers.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    model_type: Literal["llama"]
    hidden_size: PositiveInt
    num_hidden_layers: PositiveInt
    num_attention_heads: PositiveInt
    num_key_value_heads: PositiveInt
    head_dim: PositiveInt
    intermediate_size: PositiveInt
    vocab_size: PositiveInt
    max_position_embeddings: PositiveInt
    tie_word_embeddings: bool = False

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, content: dict[str, Any]) -> dict[str, Any]:
        heads, hidden = content.get("num_attention_heads"), content.get("hidden_size")
        filled = dict(content)
        if filled.get("num_key_value_heads") is None:
            filled["num_key_value_heads"] = heads
        if filled.get("head_dim") is None and isinstance(heads, int) and isinstance(hidden, int):
            filled["head_dim"] = hidden // max(heads, 1)
        return filled

    @property
    def query_size(self) -> int:
        """Numbers of one token's queries, over all heads."""
        return self.num_attention_heads * self.head_dim

    @property
    def key_value_size(self) -> int:
        """Numbers of one token's keys (and as many of its values) in one layer."""
        return self.num_key_value_heads * self.head_dim

    @property
    def linear_sizes(self) -> tuple[tuple[int, int], ...]:
        """In and out of the seven linear maps of one layer."""
        hidden, query = self.hidden_size, self.query_size
        key_value, inner = self.key_value_size, self.intermediate_size
        attention = ((hidden, query), (hidden, key_value), (hidden, key_value), (query, hidden))
        return (*attention, (hidden, inner), (hidden, inner), (inner, hidden))


class Parameters(BaseModel):
    """How many parameters each part of a model has."""

    model_config = ConfigDict(frozen=True)

    embeddings: int
    attention: int
    mlp: int
    norms: int
    head: int
    """0 where the head is the embeddings' matrix."""

    @property
    def layers(self) -> int:
        """Of the linear maps in all layers: what quantization shrinks and LoRA adapts."""
        return self.attention + self.mlp

    @property
    def total(self) -> int:
        """Of the whole model."""
        return self.embeddings + self.attention + self.mlp + self.norms + self.head


def count_parameters(shape: ModelShape) -> Parameters:
    """Counts a Llama's parameters by part.

    Args:
        shape: The model.

    Returns:
        Exact counts: Llama has no biases, and two norms a layer and one at the end.
    """
    sizes = [wide * high for wide, high in shape.linear_sizes]
    table = shape.vocab_size * shape.hidden_size
    return Parameters(
        embeddings=table,
        attention=shape.num_hidden_layers * sum(sizes[:4]),
        mlp=shape.num_hidden_layers * sum(sizes[4:]),
        norms=(2 * shape.num_hidden_layers + 1) * shape.hidden_size,
        head=0 if shape.tie_word_embeddings else table,
    )


def load_shape(model: str) -> ModelShape:
    """Finds a model's shape.

    Args:
        model: A `config.json`, a folder that holds one, or a name that `known_models` gives, also
            at the end of a hub id (`meta-llama/Llama-3.1-8B-Instruct`) or an `s3://` address; an
            address that ends in another name, a version or `latest`, is asked for its
            `config.json`.

    Returns:
        The shape.

    Raises:
        BadInputError: There is no such model or file, or the file is no JSON object.
        RecipeError: The file lacks a key, or describes no Llama.
        MissingModelError: `latest` stands for nothing.
        StorageError: The store does not answer.
    """
    path = _local_config(model)
    if model.startswith("s3://") and not path.exists():
        place, content = _stored_config(model)
    else:
        place, content = str(path), _json_object(path, model)
    return check_recipe(place, {**content, "name": model}, ModelShape)


def known_models() -> tuple[str, ...]:
    """Names of the shapes that come with Finist."""
    return (*sorted(path.stem for path in SHAPES.glob("*.json")), *sorted(ALIASES))


def _local_config(model: str) -> Path:
    path = Path(model)
    if path.exists():
        return path / "config.json" if path.is_dir() else path
    name = model.rstrip("/").rsplit("/", 1)[-1].lower()
    name = ALIASES.get(name, name.removeprefix("meta-").removesuffix("-instruct"))
    return SHAPES / f"{name}.json" if name in known_models() else path


def _stored_config(model: str) -> tuple[str, dict[str, Any]]:
    from components.core import store  # boto3 takes a second to import
    from components.core.model_pointers import fixed
    from components.core.settings import StoreSettings

    place = f"{fixed(StoreSettings(), model.rstrip('/'))}/config.json"
    content = store.get_json(StoreSettings(), place)
    if not isinstance(content, dict):
        raise BadInputError(f"There is no {place} that holds a JSON object: is {model} a model?")
    return place, content


def _json_object(path: Path, model: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        known = ", ".join(known_models())
        raise BadInputError(
            f"There is no model {model}: give the path of a config.json, or one of {known}."
        ) from error
    except (OSError, ValueError) as error:
        raise BadInputError(f"{path} cannot be read as JSON: {error}.") from error
    if not isinstance(content, dict):
        raise BadInputError(f"{path} must hold a JSON object, as config.json does.")
    return content
