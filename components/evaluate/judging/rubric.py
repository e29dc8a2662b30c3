"""The rubric: by which criteria an answer is judged, with what weight, in which words.

A rubric is a YAML file with a version in its name. A version never changes once scores were
written with it: new words, steps or weights are a new version, since scores of different words do
not compare.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self, TypeAlias

from pydantic import Field, model_validator

from components.core.geval import TEMPLATES, Case
from components.core.llm import Frozen
from components.core.prompts import render_prompt
from components.core.recipes import load_recipe

RUBRICS = Path(__file__).parent / "rubrics"

CriterionId: TypeAlias = Literal["correctness", "completeness", "tone", "safety"]


class Criterion(Frozen):
    """One thing that is judged, apart from the others."""

    id: CriterionId
    name: str = Field(min_length=1)
    """In Russian, as it stands in the prompt."""
    definition: str = ""
    """In Russian."""
    steps: tuple[str, ...] = ()
    """The evaluation steps of the G-Eval paper, section 2.2, pinned; in Russian."""
    weight: float = Field(gt=0, le=1)
    """Share in the overall score; ours, not from the paper, which reports criteria one by one."""


class Rubric(Frozen):
    """A task, its criteria, and the prompt that asks for one of them."""

    name: str = ""
    """The file's name without `.yaml`; given by `read_rubric`."""
    task: str
    """What the judge is told first; in Russian, may be empty."""
    template: str
    """A file of `core/templates/` without its suffix."""
    criteria: tuple[Criterion, ...] = Field(min_length=1)
    steps_written_by: str = Field(min_length=1)
    """`a person`, or the model that wrote the steps and the date."""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        ids = [criterion.id for criterion in self.criteria]
        if len(set(ids)) < len(ids):
            raise ValueError("each criterion stands once")
        total = sum(criterion.weight for criterion in self.criteria)
        if not math.isclose(total, 1):
            raise ValueError(f"the weights of the criteria sum to {total:g}, and must sum to 1")
        return self

    def overall(self, scores: Mapping[str, float]) -> float | None:
        """Gives the mean of an answer's scores by the criteria's weights.

        Args:
            scores: By criterion, in [1, 5].

        Returns:
            A number in [1, 5], or None when a criterion has no score: a mean over the others
            would compare answers by different things.
        """
        if any(criterion.id not in scores for criterion in self.criteria):
            return None
        return sum(criterion.weight * scores[criterion.id] for criterion in self.criteria)


def read_rubric(name: str) -> Rubric:
    """Reads a rubric.

    Args:
        name: A file of `rubrics/` without its suffix, such as `bank_answer.v1`, or the path of a
            file that ends in `.yaml`.

    Returns:
        The rubric, named after its file.

    Raises:
        RecipeError: There is no such rubric, or it has an unknown key or weights that do not sum
            to 1.
    """
    path = Path(name) if name.endswith(".yaml") else RUBRICS / f"{name}.yaml"
    return load_recipe(path, Rubric).model_copy(update={"name": path.stem})


def criterion_prompt(
    rubric: Rubric, criterion: Criterion, case: Case, swapped: bool = False
) -> str:
    """Writes the prompt that asks for one criterion.

    Args:
        rubric: Names the task and the template.
        criterion: One of the rubric's.
        case: What is judged.
        swapped: Whether the answer stands before what is known, as the position probe wants it.

    Returns:
        The user's message to the judge. The prompts of one case differ at their end only.

    Raises:
        BadInputError: There is no such template.
    """
    return render_prompt(
        TEMPLATES, rubric.template, rubric=rubric, criterion=criterion, case=case, swapped=swapped
    )
