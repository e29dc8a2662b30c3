"""Recipes of contenders: who is asked beside the models that a build trains."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from components.core.llm import Asking, Frozen
from components.core.prices import Prices
from components.core.recipes import load_recipe
from components.evaluate.answers import system_prompt


class ContenderSettings(Frozen):
    """A contender as a recipe has it."""

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")
    """In the leaderboard, in names of files and of servers."""
    model: str = Field(min_length=1)
    """The name under which it is served."""
    base_url: str = ""
    """With the API's prefix; empty for a model that is served for the evaluation only."""
    api_key_env: str = ""
    """Name of the environment variable that holds the key; empty for none."""
    prompt: str = ""
    """A file of `prompts/` without its suffix, sent as the system message; empty for none."""
    prices: Prices | None = None
    """None where they are not known: the leaderboard then leaves its cost open."""
    weights: str = ""
    """`s3://` address of a large prompted model that is served for the evaluation and removed after
    it; empty for a model that somebody serves anyway."""
    asking: Asking = Asking()

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        if bool(self.base_url) == bool(self.weights):
            raise ValueError(f"{self.name} needs either base_url or weights, and not both")
        if self.weights and not self.weights.startswith("s3://"):
            raise ValueError(f"the weights of {self.name} must be an s3:// address")
        return self


class _Recipe(Frozen):
    contenders: tuple[ContenderSettings, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [each.name for each in self.contenders]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"names that stand twice: {', '.join(twice)}")
        return self


def read_contenders(path: Path) -> tuple[ContenderSettings, ...]:
    """Reads a recipe of contenders.

    Args:
        path: YAML with the one key `contenders`, a list of `ContenderSettings`.

    Returns:
        The contenders, in the file's order.

    Raises:
        RecipeError: The file cannot be read, has an unknown key or a value out of range.
        BadInputError: A contender names a prompt that is not there.
    """
    contenders = load_recipe(path, _Recipe).contenders
    for each in contenders:
        system_prompt(each.prompt)  # now, and not after hours in a queue for GPUs
    return contenders
