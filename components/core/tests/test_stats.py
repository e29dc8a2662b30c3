"""Intervals and tests: deterministic, ordered, covering, and honest about bad input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from components.core.errors import BadInputError
from components.core.stats import (
    Interval,
    bootstrap_interval,
    holm,
    paired_difference,
    paired_ratio,
    paired_test,
)

FINITE = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40)


@settings(max_examples=40, deadline=None)
@given(FINITE)
def test_the_interval_lies_within_the_values_and_is_deterministic(values: list[float]) -> None:
    found = bootstrap_interval(values, resamples=200)
    assert found == bootstrap_interval(values, resamples=200)
    slack = 1e-9 + 1e-9 * max(abs(value) for value in values)
    assert min(values) - slack <= found.low <= found.high <= max(values) + slack


def test_it_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    hits = 0
    for seed in range(200):
        found = bootstrap_interval(rng.random(60).tolist(), resamples=400, seed=seed)
        hits += found.low <= 0.5 <= found.high
    assert 0.88 <= hits / 200 <= 1.0


def test_equal_values_and_a_single_value_give_a_point() -> None:
    assert bootstrap_interval([0.25] * 9) == Interval(0.25, 0.25, 0.25)
    assert bootstrap_interval([3.0]) == Interval(3.0, 3.0, 3.0)


def test_pairing_removes_what_both_sides_share() -> None:
    rng = np.random.default_rng(1)
    baseline = rng.normal(0, 10, 100)
    candidate = baseline + 1 + rng.normal(0, 0.1, 100)
    found = paired_difference(candidate.tolist(), baseline.tolist())
    assert found.low > 0.9
    assert found.high < 1.1


@pytest.mark.parametrize("values", [[], [float("nan")], [1.0, float("inf")]])
def test_no_values_or_not_finite_ones_are_refused(values: list[float]) -> None:
    with pytest.raises(BadInputError, match="finite numbers"):
        bootstrap_interval(values)


def test_different_lengths_are_refused() -> None:
    with pytest.raises(BadInputError, match="same units"):
        paired_difference([1.0], [1.0, 2.0])


def test_a_ratio_by_hand_is_that_of_the_sums_and_paired() -> None:
    ratio = paired_ratio([1, 2, 9], [2, 4, 6])
    assert ratio is not None
    assert ratio.mean == pytest.approx(12 / 12, abs=1e-9)
    assert (ratio.low, ratio.high) == (0.5, 1.5)
    halves = paired_ratio([1, 2, 4], [2, 4, 8])
    assert halves == Interval(0.5, 0.5, 0.5)
    assert paired_ratio([1, 2, 9], [2, 4, 6]) == ratio
    assert paired_ratio([3], [4]) == Interval(0.75, 0.75, 0.75)


def test_a_ratio_covers_the_true_one_about_as_often_as_it_says() -> None:
    """The quantized model keeps 95% of what the other knew, and learns 1% of the rest."""
    rng, covered = np.random.default_rng(0), 0
    for _ in range(200):
        before = rng.random(300) < 0.8
        after = np.where(before, rng.random(300) < 0.95, rng.random(300) < 0.01)
        ratio = paired_ratio(after.astype(float).tolist(), before.astype(float).tolist(), 0.95, 500)
        covered += ratio is not None and ratio.low <= 0.95 + 0.01 * 0.25 <= ratio.high
    assert 180 <= covered <= 199


@pytest.mark.parametrize("denominators", [[0, 0, 0, 0], [1, 0, 0, 0]])
def test_a_ratio_to_nothing_or_nearly_so_is_none(denominators: list[float]) -> None:
    assert paired_ratio([1, 1, 1, 1], denominators) is None


def test_a_ratio_over_different_units_or_to_less_than_nothing_is_refused() -> None:
    with pytest.raises(BadInputError, match="same units"):
        paired_ratio([1], [1, 2])
    with pytest.raises(BadInputError, match="denominators from 0 up; got -1"):
        paired_ratio([1, 1], [1, -1])


def test_few_pairs_are_flipped_in_every_way() -> None:
    assert paired_test([1, 1, 1, 1, 0], [0, 0, 0, 0, 0]) == pytest.approx(2 / 2**4)
    assert paired_test([2, 1, 0], [0, 0, 0]) == pytest.approx(2 / 2**2)


def test_alike_contenders_give_one_and_a_clear_difference_the_smallest_p_value() -> None:
    rng = np.random.default_rng(3)
    scores = rng.integers(0, 2, 200).astype(float)
    assert paired_test(scores.tolist(), scores.tolist()) == 1
    assert paired_test((scores + 1).tolist(), scores.tolist(), resamples=999) == pytest.approx(
        1 / 1000
    )


@pytest.mark.parametrize("size", [9, 60])
def test_it_gives_what_scipy_gives(size: int) -> None:
    rng = np.random.default_rng(size)
    candidate, baseline = rng.normal(0.3, 1, size), rng.normal(0, 1, size)
    found = stats.permutation_test(
        (candidate - baseline,), np.mean, permutation_type="samples", n_resamples=9999, rng=rng
    )
    ours = paired_test(candidate.tolist(), baseline.tolist())
    assert ours == pytest.approx(found.pvalue, abs=1e-12 if size == 9 else 0.02)


def test_it_cries_wolf_as_often_as_its_level_says() -> None:
    rng = np.random.default_rng(11)
    found = [
        paired_test(rng.random(30).tolist(), rng.random(30).tolist(), resamples=199, seed=seed)
        for seed in range(200)
    ]
    assert 0.01 <= np.mean(np.asarray(found) <= 0.05) <= 0.1


def test_holm_by_hand_and_in_any_order() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx((0.03, 0.06, 0.06))
    assert holm([0.03, 0.01, 0.04]) == pytest.approx((0.06, 0.03, 0.06))
    assert holm([0.6, 0.9]) == (1.0, 1.0)
    assert holm([0.2]) == (0.2,)
    assert holm([]) == ()


def test_a_test_over_different_units_is_refused() -> None:
    with pytest.raises(BadInputError, match="same units"):
        paired_test([1.0], [1.0, 2.0])
