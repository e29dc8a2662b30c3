"""Both probes against judges with a known bias."""

from collections.abc import Callable
from pathlib import Path

import pytest

from components.core.errors import BadInputError
from components.core.llm import Endpoint
from components.core.schemas import Answer
from components.core.tests.canned_server import Canned, CannedServer, serving
from components.evaluate.judging.cached_judge import JudgeSettings
from components.evaluate.judging.probes import FILLER, ProbeResults, probe
from components.evaluate.judging.tests.judged_rows import criterion_of, row, sure

SETTINGS = JudgeSettings(rubric="bank_answer_short.v1")


@pytest.fixture(autouse=True)
def _no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FINIST_HOME", raising=False)


def probed(judge: Callable[[str], Canned], rows: list[Answer], folder: Path) -> ProbeResults:
    with serving(CannedServer(judge)) as server:
        endpoint = Endpoint(base_url=server.url, model="canned")
        return probe(rows, endpoint, SETTINGS, folder / "probes.json")


def test_a_fair_judge_does_not_move(tmp_path: Path) -> None:
    rows = [row(number) for number in range(1, 5)]

    def fair(prompt: str) -> Canned:
        return sure(2 if "номер 1?" in prompt else 5)

    found = probed(fair, rows, tmp_path)
    for shifts in (found.position, found.verbosity):
        assert set(shifts) == {"correctness", "completeness", "tone", "safety", "overall"}
        for shift in shifts.values():
            assert shift.answers == 4
            assert shift.spearman == pytest.approx(1.0)
            assert shift.mean_difference.mean == shift.mean_absolute_difference.mean == 0
    assert (found.judge, found.rubric, found.answers) == ("canned", "bank_answer_short.v1", 4)
    assert (found.length_answers, found.length_spearman) == (0, None)


def test_a_judge_that_looks_at_places_and_padding_is_found_out(tmp_path: Path) -> None:
    """One point off correctness when the answer comes first; one point more tone for padding."""

    def biased(prompt: str) -> Canned:
        score = 2 if "номер 1?" in prompt else 4
        criterion = criterion_of(prompt)
        if criterion == "correctness" and prompt.index("Ответ:") < prompt.index("Верно:"):
            score += 1 if "номер 1?" in prompt else -1
        return sure(score + (criterion == "tone" and FILLER[:20] in prompt))

    found = probed(biased, [row(number) for number in range(1, 5)], tmp_path)
    correctness = found.position["correctness"]
    assert correctness.mean_difference.mean == pytest.approx((1 - 3) / 4)
    assert correctness.mean_absolute_difference.mean == pytest.approx(1.0)
    assert correctness.mean_difference.low < correctness.mean_difference.high
    assert correctness.spearman is None, "all are 3 when the answer comes first"
    assert found.position["overall"].mean_difference.mean == pytest.approx(0.5 * -0.5)
    assert found.position["tone"].mean_absolute_difference.mean == 0
    assert found.verbosity["tone"].mean_difference.mean == pytest.approx(1.0)
    assert found.verbosity["overall"].mean_difference.mean == pytest.approx(0.1)
    assert found.verbosity["safety"].mean_difference.mean == 0


def test_a_judge_that_likes_length_is_found_out_among_equally_right_answers(
    tmp_path: Path,
) -> None:
    right = [row(n, f"Ставка {n},5%." + " Да." * n) for n in range(1, 6)]
    wrong = [row(n, "Не знаю." + " Нет." * (10 - n)) for n in range(6, 11)]
    alone = [row(0, "", "blacklist")]

    def likes_length(prompt: str) -> Canned:
        return sure(min(1 + prompt.count(" Да.") + prompt.count(" Нет."), 5))

    found = probed(likes_length, [*right, *wrong, *alone], tmp_path)
    assert (found.answers, found.length_answers) == (10, 10)
    assert found.length_spearman == pytest.approx(1.0, abs=0.03)  # 5 and 6 points are both 5


def test_a_judge_that_gives_no_scores_cannot_be_probed(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="gave no score for correctness"):
        probed(lambda _: Canned("Хорошо"), [row(1), row(2)], tmp_path)
    with pytest.raises(BadInputError, match="no answer with a text"):
        probed(lambda _: sure(5), [row(1, "")], tmp_path)
