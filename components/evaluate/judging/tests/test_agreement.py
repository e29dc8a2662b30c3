"""The agreement of judges whose quality is known: perfect, constant, inverted, and prose."""

from collections.abc import Callable
from pathlib import Path

import pytest

from components.core.errors import BadInputError
from components.core.json_lines import write_jsonl
from components.core.llm import Endpoint
from components.core.schemas import Dialogue, Turn
from components.core.tests.canned_server import Canned, CannedServer, serving
from components.evaluate.judging.agreement import (
    LOCAL,
    JudgeAgreement,
    caution,
    compare,
    measure_agreement,
    write_agreement,
)
from components.evaluate.judging.cached_judge import JudgeSettings
from components.evaluate.judging.graded_answers import GradedRow

GRADES = (1, 2, 3, 4, 5, 5, 2, 1, 4, 3)
KINDS = {1: "gibberish", 2: "wrong-number", 3: "either-or", 4: "hedged", 5: "reference"}


def graded(number: int, criterion: str, grade: int) -> Dialogue:
    prompt = f"{criterion}: {number}"
    return Dialogue(
        dialogue_id=f"grd-{criterion}-{number}",
        request_id="q",
        response_id="r",
        user_id="u",
        turns=(Turn(role="user", content=prompt), Turn(role="assistant", content=str(grade))),
        intent=f"{criterion}/{KINDS[grade]}",
        source="graded:test",
        licence="own",
    )


ROWS = [
    graded(number, criterion, grade)
    for criterion in ("correctness", "tone")
    for number, grade in enumerate(GRADES)
]
GRADE_OF = {row.question: int(row.answer) for row in ROWS}


def measured(folder: Path, answer: Callable[[int], Canned], **settings: object) -> JudgeAgreement:
    path = folder / "graded.jsonl"
    write_jsonl(path, ROWS)
    with serving(CannedServer(lambda prompt: answer(GRADE_OF[prompt]))) as server:
        endpoint = Endpoint(base_url=server.url, model="canned")
        found = measure_agreement(path, endpoint, JudgeSettings.model_validate(settings))
    assert server.asked.total() == len(ROWS) or settings
    return found


def sure(grade: int) -> Canned:
    return Canned(str(grade), top={str(grade): 1.0})


def test_a_perfect_judge(tmp_path: Path) -> None:
    found = measured(tmp_path, sure)
    assert (found.judge, found.weights) == ("canned", "/models/canned")
    assert sorted(found.criteria) == ["correctness", "tone"]
    for each in (found.overall, *found.criteria.values()):
        assert each.spearman.value == pytest.approx(1.0)
        assert each.kendall.value == pytest.approx(1.0)
        assert each.spearman.low is not None and each.spearman.low > 0.9
        assert (each.mean_absolute_error, each.unreadable) == (0.0, 0)
    assert found.criteria["tone"].confusion == tuple(
        tuple(2 if row == column else 0 for column in range(5)) for row in range(5)
    )
    told = caution(found)
    assert told.startswith(f"The judge is {LOCAL}.")
    assert "On 20 held-out answers" in told
    assert "Spearman correlation of 1.00 (95% interval" in told
    assert "the reference answer 5.0 on average and the same answer with a wrong number 2.0" in told


def test_the_expectation_is_compared_and_not_the_digit(tmp_path: Path) -> None:
    """It always writes 3, and its doubt ranks the answers."""

    def doubting(grade: int) -> Canned:
        return Canned("3", top={"3": 0.8, "5" if grade > 3 else "1": 0.01 * grade})

    found = measured(tmp_path, doubting)
    assert found.overall.spearman.value is not None
    assert 0 < found.overall.spearman.value < 1
    assert [row[2] for row in found.overall.confusion] == [4, 4, 4, 4, 4]


def test_a_constant_judge_agrees_in_nothing(tmp_path: Path) -> None:
    found = measured(tmp_path, lambda _: sure(4))
    for each in (found.overall, *found.criteria.values()):
        assert each.spearman.value is None
        assert each.kendall.value is None
        assert [row[3] for row in each.confusion] == [each.rows // 5] * 5
    assert found.overall.mean_absolute_error == pytest.approx(1.4)
    assert "the same score: no agreement at all" in caution(found)


def test_an_inverted_judge(tmp_path: Path) -> None:
    found = measured(tmp_path, lambda grade: sure(6 - grade))
    assert found.overall.spearman.value == pytest.approx(-1.0)
    assert found.overall.spearman.high is not None and found.overall.spearman.high < -0.9
    assert "correlation of -1.00" in caution(found)


def test_a_judge_that_writes_prose_is_counted(tmp_path: Path) -> None:
    found = measured(tmp_path, lambda _: Canned("Хороший ответ", top={"Хороший": 1.0}))
    assert (found.overall.rows, found.overall.unreadable) == (20, 20)
    assert found.overall.spearman.value is None
    assert found.overall.mean_absolute_error is None
    assert [kind.mean_score for kind in found.kinds] == [None] * 10
    assert "None of its 20 replies held a score" in caution(found)


def test_what_cannot_be_read_is_in_no_other_figure(tmp_path: Path) -> None:
    found = measured(
        tmp_path, lambda grade: Canned(always=500) if grade == 1 else sure(grade), retries=0
    )
    assert (found.overall.rows, found.overall.unreadable) == (20, 4)
    assert found.overall.spearman.value == pytest.approx(1.0)
    assert "4 of its replies held no score." in caution(found)


def test_kinds_show_what_the_judge_does_not_see(tmp_path: Path) -> None:
    found = measured(tmp_path, lambda grade: sure(5 if grade == 2 else grade))
    seen = {(each.criterion, each.kind): each for each in found.kinds}
    blind = seen["correctness", "wrong-number"]
    assert (blind.rows, blind.mean_grade, blind.mean_score) == (2, 2.0, 5.0)
    assert "with a wrong number 5.0" in caution(found)


def test_intervals_are_wider_for_fewer_rows() -> None:
    def width(copies: int) -> float:
        rows = [GradedRow("", "tone", "kind", grade) for grade in GRADES] * copies
        scores = [3.0, 1.0, 4.0, 2.0, 5.0, 4.0, 2.0, 2.0, 3.0, 1.0] * copies
        found = compare("j", "w", rows, scores).overall.spearman
        assert found.low is not None and found.high is not None and found.value is not None
        assert found.low < found.value < found.high
        return found.high - found.low

    assert width(8) < width(1)


def test_the_figures_are_written_whole(tmp_path: Path) -> None:
    found = measured(tmp_path, sure)
    write_agreement(found, tmp_path / "agreement.json")
    text = (tmp_path / "agreement.json").read_text("utf-8")
    assert JudgeAgreement.model_validate_json(text) == found


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "none.jsonl").write_text("")
    endpoint = Endpoint(base_url="http://127.0.0.1:9/v1", model="canned")
    with pytest.raises(BadInputError, match=r"none\.jsonl holds no graded answer"):
        measure_agreement(tmp_path / "none.jsonl", endpoint, JudgeSettings())
