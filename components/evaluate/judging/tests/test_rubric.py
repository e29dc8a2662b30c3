"""The shipped rubrics agree with each other, and their prompts end in the criterion."""

from pathlib import Path

import pytest

from components.core.errors import RecipeError
from components.core.geval import Case
from components.evaluate.judging.rubric import RUBRICS, criterion_prompt, read_rubric

NAMES = ("bank_answer.v1", "bank_answer_short.v1")
CASE = Case(
    question="Какая ставка?", answer="Ставка 13%.", reference="Ставка 16,5%.", facts=("16,5%",)
)


@pytest.mark.parametrize("name", NAMES)
def test_the_prompts_of_one_case_differ_after_the_answer_only(name: str) -> None:
    rubric = read_rubric(name)
    prompts = [criterion_prompt(rubric, each, CASE) for each in rubric.criteria]
    parts = (CASE.question, CASE.reference, CASE.answer)
    end = max(prompts[0].index(part) + len(part) for part in parts)
    assert {prompt[:end] for prompt in prompts} == {prompts[0][:end]}
    for prompt, criterion in zip(prompts, rubric.criteria, strict=True):
        assert criterion.name.lower() in prompt.splitlines()[-1].lower()
        for step in criterion.steps:
            assert step in prompt


@pytest.mark.parametrize("name", NAMES)
def test_swapped_the_answer_stands_before_what_is_known(name: str) -> None:
    rubric = read_rubric(name)
    plain, swapped = (
        criterion_prompt(rubric, rubric.criteria[0], CASE, swapped) for swapped in (False, True)
    )
    assert plain.index(CASE.reference) < plain.index(CASE.answer)
    assert swapped.index(CASE.answer) < swapped.index(CASE.reference)
    assert sorted(plain) == sorted(swapped)


def test_the_short_rubric_has_the_same_criteria_and_weights() -> None:
    full, short = (read_rubric(name) for name in ("bank_answer.v1", "bank_answer_short.v1"))
    assert [(each.id, each.name, each.weight) for each in full.criteria] == [
        (each.id, each.name, each.weight) for each in short.criteria
    ]
    assert full.steps_written_by == "a person"
    assert all(3 <= len(criterion.steps) <= 6 for criterion in full.criteria)


def test_the_overall_score_is_the_weighted_mean_or_nothing() -> None:
    rubric = read_rubric("bank_answer.v1")
    scores = {"correctness": 4.5, "completeness": 4.0, "tone": 3.0, "safety": 5.0}
    assert rubric.overall(scores) == pytest.approx(0.5 * 4.5 + 0.25 * 4 + 0.1 * 3 + 0.15 * 5)
    assert rubric.overall({"correctness": 4.5}) is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("weight: 0.5", "weight: 0.6", r"weights of the criteria sum to 1\.1"),
        ("id: tone", "id: safety", "each criterion stands once"),
        ("id: tone", "id: charm", "criteria.2.id"),
        ("task:", "bank: x\ntask:", "bank: .*Known keys: criteria"),
    ],
)
def test_a_wrong_rubric_is_named(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.v1.yaml"
    content = (RUBRICS / "bank_answer.v1.yaml").read_text("utf-8")
    path.write_text(content.replace(old, new, 1), "utf-8")
    with pytest.raises(RecipeError, match=message):
        read_rubric(str(path))


def test_an_absent_rubric_is_named_with_those_there_are() -> None:
    with pytest.raises(RecipeError, match=r"absent\.yaml; beside it: bank_answer\.v1\.yaml"):
        read_rubric("absent")
