"""Mapping recipes: how the columns of an open data set become fields of a dialogue."""

from collections.abc import Mapping as Names
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from components.core.errors import RecipeError
from components.core.recipes import load_recipe
from components.prepare.sources.columns import Columns, normal_name
from components.prepare.sources.messages import ROLES

MAPPINGS = Path(__file__).parent / "mappings"
"""The recipes that come with Finist."""

NO_ANSWER = "none"
"""In place of the answer's column: the data set has questions alone."""

FieldName = Literal[
    "intent",
    "product",
    "facts",
    "dialogue_id",
    "request_id",
    "response_id",
    "user_id",
    "language",
    "licence",
    "phrasing_family",
]


class Conversation(BaseModel):
    """Where the messages of a dialogue are, and how they are written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str = Field(min_length=1)
    """Holds a list of objects, or such a list as JSON text."""
    role: str = "role"
    """Key of a message's role."""
    content: str = "content"
    """Key of a message's text."""
    roles: dict[str, Literal["user", "assistant", "system"]] = {}
    """Name of a role -> ours, beside user, human, assistant, bot, gpt, system and developer."""


class Mapping(BaseModel):
    """A mapping recipe; either `question` and `answer`, or `conversation`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str
    """Which data sets it fits, and where that was read."""
    licence: str = ""
    """As the data set's page says; the source's own setting goes first."""
    language: str = ""
    """ISO 639-1; the source's own setting goes first."""
    question: str = ""
    """Column of the question."""
    answer: str = ""
    """Column of the answer, or `none`: the rows become questions for the teacher."""
    conversation: Conversation | None = None
    fields: dict[FieldName, str] = {}
    """Field of `Dialogue` -> column, beside the texts; a missing column leaves the field empty."""
    labels: tuple[str, ...] = ()
    """Names of integer intents, from 0; a hub's data set may bring its own."""

    @model_validator(mode="after")
    def _one_shape(self) -> Self:
        pair = bool(self.question) and bool(self.answer)
        if pair == bool(self.conversation) or bool(self.question) != bool(self.answer):
            raise ValueError("give either question and answer, or conversation")
        return self

    @property
    def answerless(self) -> bool:
        """Whether the rows are questions alone."""
        return self.answer == NO_ANSWER

    @property
    def roles(self) -> Names[str, str]:
        """Name of a role, in small letters -> ours."""
        own = self.conversation.roles if self.conversation else {}
        return {**ROLES, **{name.casefold(): role for name, role in own.items()}}

    def columns(self) -> Columns:
        """Gives the columns to read; those of the texts are needed."""
        texts = {"question": self.question, "answer": "" if self.answerless else self.answer}
        if self.conversation:
            texts = {"turns": self.conversation.column}
        needed = {field: column for field, column in texts.items() if column}
        wanted = {normal_name(column): field for field, column in (self.fields | needed).items()}
        return Columns(wanted, (frozenset(needed),))


def load_mapping(name: str) -> Mapping:
    """Loads a mapping recipe.

    Args:
        name: One of `mappings/` without its suffix, for example `banking77`, or the path of a
            YAML file.

    Raises:
        RecipeError: There is no such recipe, or it cannot be used.
    """
    own = MAPPINGS / f"{name}.yaml"
    if name.endswith((".yaml", ".yml")):
        return load_recipe(Path(name), Mapping)
    if not own.is_file():
        known = ", ".join(sorted(path.stem for path in MAPPINGS.glob("*.yaml")))
        raise RecipeError(
            f"There is no mapping {name!r}; known are {known}, or give the path of a YAML file."
        )
    return load_recipe(own, Mapping)
