"""The subset that training and evaluation take: balanced, bounded, deterministic."""

from collections import Counter

import pytest
from pydantic import ValidationError

from components.core.errors import RecipeError
from components.core.schemas import Dialogue
from components.prepare.generate import generate
from components.prepare.load import load_bank
from components.prepare.subset import Subset, select


@pytest.fixture(scope="module")
def dialogues() -> list[Dialogue]:
    return list(generate(load_bank(), train_rows=10_000, test_rows=1, seed=7).train)


def test_everything_by_default(dialogues: list[Dialogue]) -> None:
    chosen = select(dialogues, Subset())
    assert sorted(d.dialogue_id for d in chosen) == sorted(d.dialogue_id for d in dialogues)


def test_products_and_intents_filter(dialogues: list[Dialogue]) -> None:
    subset = Subset(products=("sokol", "zarya"), intents=("deposit_rate", "deposit_term"))
    pairs = {(d.product, d.intent) for d in select(dialogues, subset)}
    assert pairs == {(p, i) for p in subset.products or () for i in subset.intents or ()}


def test_rows_per_fact_bounds_each_pair_and_spreads_over_families(
    dialogues: list[Dialogue],
) -> None:
    chosen = select(dialogues, Subset(intents=("deposit_rate",), rows_per_fact=13))
    assert set(Counter(d.product for d in chosen).values()) == {13}
    assert set(Counter((d.product, d.phrasing_family) for d in chosen).values()) == {1}


@pytest.mark.parametrize("rows", [1, 7, 250, 1000])
def test_rows_bound_the_total_and_stay_balanced(dialogues: list[Dialogue], rows: int) -> None:
    chosen = select(dialogues, Subset(rows=rows))
    counts = Counter((d.product, d.intent) for d in chosen)
    assert len(chosen) == rows
    assert max(counts.values()) <= -(-rows // 364)


def test_same_seed_same_rows(dialogues: list[Dialogue]) -> None:
    one, two = (select(dialogues, Subset(rows=100, seed=seed)) for seed in (1, 2))
    assert select(dialogues, Subset(rows=100, seed=1)) == one
    assert one != two


@pytest.mark.parametrize(
    ("subset", "message"),
    [
        (Subset(products=("sokol", "dragon")), "product 'dragon', which no dialogue has; known"),
        (Subset(intents=("weather",)), "intent 'weather', which no dialogue has; known are"),
        (Subset(products=("sokol",), intents=("card_fee",)), "The subset is empty"),
    ],
)
def test_unknown_names_are_refused(dialogues: list[Dialogue], subset: Subset, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        select(dialogues, subset)


def test_unknown_key_and_zero_rows_are_refused() -> None:
    with pytest.raises(ValidationError):
        Subset.model_validate({"rowz": 1})
    with pytest.raises(ValidationError):
        Subset(rows=0)
