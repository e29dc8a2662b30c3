"""The table of grades: which kinds of answers there are, and which mark each earns and why."""

from itertools import chain
from pathlib import Path
from typing import Literal, Self, TypeAlias

from pydantic import Field, model_validator

from components.core.llm import Frozen
from components.core.recipes import load_recipe
from components.evaluate.judging.rubric import CriterionId

TABLES = Path(__file__).parent

Grade: TypeAlias = Literal[1, 2, 3, 4, 5]
Maker: TypeAlias = Literal[
    "reference", "phrases", "corruption", "other-question", "cut-off", "gibberish"
]
"""How an answer of a kind is made; `corruption` is that of `components.prepare.preferences`."""

_HELD_OUT_PHRASE = 3
"""Every third phrase of a list is used for held-out answers only."""


class Kind(Frozen):
    """One way in which an answer is good or bad."""

    kind: str = Field(pattern=r"^[a-z-]+$")
    made: Maker = "phrases"
    phrases: tuple[str, ...] = ()
    """In Russian, with placeholders; at least three, so that one is held out."""
    phrases_by_intent: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Further phrases for some intents of the bank."""
    addition: bool = False
    """Whether it can be put upon an answer of another kind."""
    states_facts: bool
    """Whether all required facts stand in such an answer."""
    grades: dict[CriterionId, Grade]
    because: str = Field(min_length=1)
    """Why these grades."""
    share: float = Field(gt=0)
    """How often it is made beside the others, unless the settings say otherwise."""

    @model_validator(mode="after")
    def _has_wording(self) -> Self:
        lists = (self.phrases, *self.phrases_by_intent.values())
        if self.made == "phrases" and min(map(len, lists)) < _HELD_OUT_PHRASE:
            raise ValueError(f"the kind {self.kind!r} needs three phrases or more in each list")
        return self

    def wording(self, intent: str, held_out: bool) -> tuple[str, ...]:
        """Gives the phrases for one side of the split.

        Args:
            intent: What the customer asks.
            held_out: Whether the answer is to be one that the judge never learns from.
        """
        lists = (self.phrases, self.phrases_by_intent.get(intent, ()))
        return tuple(
            phrase
            for place, phrase in chain(*map(enumerate, lists))
            if (place % _HELD_OUT_PHRASE == _HELD_OUT_PHRASE - 1) == held_out
        )


class Mixture(Frozen):
    """Answers with two faults: one of a kind, with an addition upon it."""

    kind: str = Field(pattern=r"^[a-z-]+$")
    of: tuple[str, ...] = Field(min_length=1)
    """Kinds of the answer itself."""
    additions: tuple[str, ...] = Field(min_length=1)
    """Kinds that are put upon it; each has `addition: true`."""
    because: str = Field(min_length=1)
    share: float = Field(gt=0)


class GradeTable(Frozen):
    """All kinds and mixtures."""

    kinds: tuple[Kind, ...] = Field(min_length=1)
    mixtures: tuple[Mixture, ...] = ()

    @model_validator(mode="after")
    def _names_known_kinds(self) -> Self:
        names = [each.kind for each in self.entries]
        if len(set(names)) < len(names):
            raise ValueError("each kind stands once")
        additions = {kind.kind for kind in self.kinds if kind.addition}
        for mixture in self.mixtures:
            unknown = {*mixture.of} - set(names) | {*mixture.additions} - additions
            if unknown:
                raise ValueError(f"{mixture.kind!r} names {sorted(unknown)}, no kinds for it")
        return self

    @property
    def entries(self) -> tuple[Kind | Mixture, ...]:
        """Kinds and mixtures."""
        return (*self.kinds, *self.mixtures)

    def shares(self) -> dict[str, float]:
        """How often each kind and mixture is made beside the others."""
        return {each.kind: each.share for each in self.entries}

    def kind(self, name: str) -> Kind:
        """Gives a kind by its name, which must be one of the table's."""
        return next(each for each in self.kinds if each.kind == name)


def read_table(name: str) -> GradeTable:
    """Reads a table of grades.

    Args:
        name: A file beside this one without `.yaml`, for example `grades.v1`.

    Returns:
        The table.

    Raises:
        RecipeError: There is no such table, or it has an unknown key or a grade out of range.
    """
    return load_recipe(TABLES / f"{name}.yaml", GradeTable)
