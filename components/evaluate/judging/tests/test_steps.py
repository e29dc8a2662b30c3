"""Steps that a judge writes: pinned with its name and the date, or one clear error and no file."""

import datetime
from pathlib import Path

import pytest

from components.core.errors import BadInputError, EndpointError
from components.core.llm import Endpoint
from components.core.tests.canned_server import Canned, CannedServer, serving
from components.evaluate.judging.rubric import Rubric, read_rubric
from components.evaluate.judging.steps import write_steps

LIST = "Вот шаги:\n1. Прочитай вопрос.\n2) Сверь числа.\n3. Поставь оценку: 5 — верно."


def written(reply: Canned, out: Path, rubric: str = "bank_answer.v1") -> Rubric:
    with serving(CannedServer(lambda _: reply)) as server:
        endpoint = Endpoint(base_url=server.url, model="canned")
        return write_steps(endpoint, rubric, out)


def test_the_steps_are_pinned_and_the_rest_stays(tmp_path: Path) -> None:
    out = tmp_path / "bank_answer.v2.yaml"
    rubric = written(Canned(LIST), out)
    assert read_rubric(str(out)) == rubric
    assert rubric.name == "bank_answer.v2"
    steps = ("Прочитай вопрос.", "Сверь числа.", "Поставь оценку: 5 — верно.")
    assert {criterion.steps for criterion in rubric.criteria} == {steps}
    model, _, date = rubric.steps_written_by.partition(", ")
    assert model == "canned"
    datetime.date.fromisoformat(date)
    before = read_rubric("bank_answer.v1")
    assert (rubric.task, rubric.template) == (before.task, before.template)
    assert [each.model_copy(update={"steps": ()}) for each in rubric.criteria] == [
        each.model_copy(update={"steps": ()}) for each in before.criteria
    ]


@pytest.mark.parametrize(
    ("reply", "error", "message"),
    [
        (Canned("Оценивайте внимательно."), BadInputError, "no list of 3 to 6 steps.*внимательно"),
        (Canned("1. Прочитай.\n2. Оцени."), BadInputError, "no list of 3 to 6 steps"),
        (Canned(LIST, finish_reason="length"), BadInputError, "no list of 3 to 6 steps"),
        (Canned(LIST, always=400), EndpointError, "gave no steps.*HTTP 400"),
        (Canned(LIST, always=401), EndpointError, "HTTP 401"),
    ],
    ids=["prose", "too few", "cut off", "refused", "no access"],
)
def test_a_garbage_reply_is_one_error_and_no_file(
    reply: Canned, error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        written(reply, tmp_path / "bank_answer.v2.yaml")
    assert list(tmp_path.iterdir()) == []


def test_a_version_is_never_overwritten_and_never_left_out(tmp_path: Path) -> None:
    out = tmp_path / "bank_answer.v2.yaml"
    out.write_text("scores were written with this", "utf-8")
    with pytest.raises(BadInputError, match="there already"):
        written(Canned(LIST), out)
    assert out.read_text("utf-8") == "scores were written with this"
    with pytest.raises(BadInputError, match="needs a version in its name"):
        written(Canned(LIST), tmp_path / "mine.yaml")
    with pytest.raises(BadInputError, match="does not define its criteria"):
        written(Canned(LIST), tmp_path / "short.v2.yaml", "bank_answer_short.v1")
