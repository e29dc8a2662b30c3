"""Under which licence a model may be passed on: what its base model's licence asks for."""

import re
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from components.core.recipes import load_recipe

TABLE = Path(__file__).parent / "licences.yaml"


class Licence(BaseModel):
    """A licence of the table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    """As model hubs write it."""
    name: str
    texts: tuple[str, ...] = ()
    """Regular expressions for the licence's own text."""
    models: tuple[str, ...] = ()
    """Regular expressions for names of models."""
    notice: str
    """What stands in the file NOTICE."""
    display: str = ""
    """Words that must be shown where the model is used."""
    prefix: str = ""
    """How the name of a model that is passed on must begin."""
    rules: tuple[str, ...]

    def warning(self, name: str) -> str:
        """Says what is wrong with a model's name; empty when nothing is.

        Args:
            name: The model's name in the store.
        """
        if name.lower().startswith(self.prefix):
            return ""
        return (
            f"The name `{name}` does not begin with “{self.prefix.capitalize()}”. Inside the bank "
            f"it may stay; before the model is passed on or made available to others, publish it "
            f"under a name that does."
        )


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    licences: tuple[Licence, ...]


def find_licence(known: str, texts: Iterable[str], names: Iterable[str]) -> Licence | None:
    """Finds the licence of a model.

    Args:
        known: The id that the hub or the base model's lineage gives; empty for none.
        texts: Contents of the licence files beside the weights.
        names: Names and addresses of the base model.

    Returns:
        The licence; None when the table has none that fits.

    Raises:
        RecipeError: The table cannot be read.
    """
    licences = load_recipe(TABLE, _Table).licences
    if known:
        return next((each for each in licences if each.id == known.lower()), None)
    by_text = [each for each in licences if _fits(each.texts, texts)]
    by_name = [each for each in licences if _fits(each.models, names)]
    return next(iter([*by_text, *by_name]), None)


def _fits(patterns: Iterable[str], texts: Iterable[str]) -> bool:
    whole = "\n".join(texts)
    return any(re.search(pattern, whole, re.IGNORECASE) for pattern in patterns)
