"""The leaderboard's figures: counted by hand, paired, corrected, honest about what is missing."""

from collections.abc import Callable

import pytest

from components.core.errors import BadInputError
from components.core.prices import Prices
from components.core.schemas import Answer
from components.evaluate.comparison import compare_facts, compare_geval
from components.evaluate.leaderboard import rank, summary
from components.evaluate.measures import measure
from components.evaluate.tests import invented
from components.evaluate.tests.invented import answer, contenders, judged

FULL = dict.fromkeys(invented.WEIGHTS, 4.0)


def test_facts_wins_and_losses_by_hand() -> None:
    baseline = [answer(n, "gigachat", n % 10 == 0) for n in range(60)]
    tuned = [answer(n, "tuned", n % 6 != 0) for n in range(60)]
    tuned[7] = tuned[7].model_copy(update=invented.FAILED | {"finish_reason": "error: HTTP 500"})
    board = rank([baseline, tuned], losses=invented.LOSSES)
    assert [row.measures.contender for row in board.standings] == ["tuned", "gigachat"]
    best = board.standing("tuned")
    assert best.measures.accuracy is not None
    assert best.measures.accuracy.mean == pytest.approx(49 / 60)
    assert best.facts is not None
    assert best.facts.difference.mean == pytest.approx(43 / 60)
    assert (best.facts.wins, best.facts.ties, best.facts.losses) == (45, 13, 2)
    assert best.facts.verdict == "better"
    assert best.geval is None
    assert board.heldout_loss_base == 2.6
    assert board.heldout_loss_tuned == pytest.approx(3.3 / 51)


def test_alike_contenders_show_no_difference_and_a_clear_one_a_small_p_value() -> None:
    baseline, tuned, *_ = contenders()
    same = compare_facts(tuned, tuned)
    assert same is not None
    assert (same.p_value, same.verdict) == (1.0, "no difference shown")
    assert same.ties == invented.QUESTIONS
    for compare in (compare_facts, compare_geval):
        clear = compare(tuned, baseline)
        assert clear is not None
        assert (clear.p_value < 0.001, clear.verdict) == (True, "better")
        swapped = compare(baseline, tuned)
        assert swapped is not None
        assert swapped.verdict == "worse"
        assert swapped.difference.mean == pytest.approx(-clear.difference.mean)


def test_p_values_are_corrected_for_the_number_of_contenders() -> None:
    baseline = [answer(n, "gigachat", n % 2 == 0) for n in range(40)]
    rows = [
        [answer(n, name, n % 2 == 0 or n in gained) for n in range(40)]
        for name, gained in (("one", {1, 3, 5, 7, 9, 11}), ("two", {1, 3, 5, 7, 9}))
    ]
    alone = compare_facts(rows[0], baseline)
    assert alone is not None
    assert alone.p_value == pytest.approx(2 / 2**6)
    board = rank([baseline, *rows])
    found = [board.standing(name).facts for name in ("one", "two")]
    assert [one.p_holm for one in found if one] == pytest.approx([2 * 2 / 2**6, 2 / 2**5])


def test_geval_is_counted_by_hand_with_what_the_judge_could_not_score() -> None:
    rows = [judged(answer(n, "tuned", True), FULL) for n in range(4)]
    rows[1] = judged(answer(1, "tuned", True), dict.fromkeys(invented.WEIGHTS, 2.0))
    rows[2] = judged(answer(2, "tuned", True), {k: 4.0 for k in FULL if k != "tone"})
    found = measure(rows).geval
    assert found is not None
    assert (found.judged, found.scored, found.unscored) == (4, 3, 1)
    assert found.failures == {"unparseable": 1}
    assert found.overall is not None
    assert found.overall.mean == pytest.approx(10 / 3)
    assert found.criteria["correctness"].mean == pytest.approx(14 / 4)
    assert found.criteria["tone"].mean == pytest.approx(10 / 3)


def test_geval_compares_only_what_both_sides_have_and_ties_what_is_near() -> None:
    ours = [
        judged(answer(n, "tuned", True), dict.fromkeys(invented.WEIGHTS, score))
        for n, score in enumerate((4.05, 4.5, 3.0, 4.0))
    ]
    theirs = [judged(answer(n, "gigachat", True), FULL) for n in range(4)]
    theirs[3] = answer(3, "gigachat", True)
    found = compare_geval(ours, theirs)
    assert found is not None
    assert found.questions == 3
    assert (found.wins, found.ties, found.losses) == (1, 1, 1)
    assert found.difference.mean == pytest.approx((0.05 + 0.5 - 1) / 3)
    assert compare_geval(ours, [answer(n, "gigachat", True) for n in range(4)]) is None


def test_costs_are_counted_where_prices_are_known_and_unknown_elsewhere() -> None:
    rows = contenders(with_judge=False)[:2]
    board = rank(rows, prices={"tuned": Prices(prompt=100, completion=200, currency="USD")})
    tuned, baseline = (board.standing(name).measures for name in ("tuned", "gigachat"))
    tokens = [(a.prompt_tokens, a.completion_tokens) for a in rows[1]]
    spent = sum(100 * prompt + 200 * completion for prompt, completion in tokens) / 1e6
    assert tuned.cost_per_1000 == pytest.approx(1000 * spent / invented.QUESTIONS)
    assert tuned.currency == "USD"
    assert baseline.cost_per_1000 is None
    assert "gigachat.cost_per_1000" not in summary(board)


def test_standings_are_by_facts_and_then_by_the_judge() -> None:
    rows = [
        [judged(answer(n, name, True), dict.fromkeys(FULL, score)) for n in range(9)]
        for name, score in (("gigachat", 3.0), ("low", 2.0), ("high", 4.0))
    ]
    board = rank([[answer(n, "gigachat", False) for n in range(9)], *rows[1:]])
    assert [row.measures.contender for row in board.standings] == ["high", "low", "gigachat"]
    assert board.candidate == "low"


def _other_questions(rows: list[list[Answer]]) -> None:
    rows[1] = rows[1][1:]


def _other_judge(rows: list[list[Answer]]) -> None:
    rows[1][0] = judged(rows[1][0], FULL, judge="another-judge")


def _same_name(rows: list[list[Answer]]) -> None:
    rows[2] = rows[1]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_other_questions, "different questions"),
        (_other_judge, "another-judge by bank_answer.v1"),
        (_same_name, "Two files hold the answers of 'tuned'"),
    ],
)
def test_what_does_not_compare_is_refused(
    spoil: Callable[[list[list[Answer]]], None], says: str
) -> None:
    rows = contenders()
    spoil(rows)
    with pytest.raises(BadInputError, match=says):
        rank(rows)


@pytest.mark.parametrize("candidate", ["gigachat", "gpt"])
def test_the_candidate_must_be_a_contender(candidate: str) -> None:
    with pytest.raises(BadInputError, match="not among the contenders"):
        rank(contenders(), candidate)


def test_the_summary_is_flat_and_has_only_what_was_measured() -> None:
    figures = summary(rank(contenders(), invented.CANDIDATE, invented.LOSSES))
    assert figures["tuned.outcome_error"] == 1
    assert figures["orpo.difference_low"] > 0.3
    assert figures["orpo.geval_difference_p_holm"] < 0.01
    assert 1 <= figures["gigachat.geval_correctness"] <= 5
    assert figures["tuned.geval_judged"] - figures["tuned.geval_scored"] == 4
    assert not [name for name in figures if name.startswith(("judge.", "gate.", "benchmark."))]
