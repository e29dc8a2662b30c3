"""A part of the dialogues, balanced over what they ask: for training and evaluation on a laptop."""

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict, PositiveInt

from components.core.errors import RecipeError
from components.core.schemas import Dialogue


class Subset(BaseModel):
    """Which dialogues to take; None takes all.

    `rows_per_fact` bounds the rows of each pair of product and intent, `rows` the total.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    products: tuple[str, ...] | None = None
    intents: tuple[str, ...] | None = None
    rows_per_fact: PositiveInt | None = None
    rows: PositiveInt | None = None
    max_question_characters: PositiveInt | None = None
    """Leaves out longer questions: a laptop pays 0.8 token for each character of Russian."""
    seed: int = 0


def select(dialogues: Sequence[Dialogue], subset: Subset) -> list[Dialogue]:
    """Takes a subset, balanced over (product, intent) and, within such a pair, over families.

    Rows are dealt in turns over the pairs, and each pair deals in turns over its families, so
    that any two pairs differ by at most one row until one runs out.

    Args:
        dialogues: What to take from, in a fixed order.
        subset: What to take.

    Returns:
        At most `subset.rows` dialogues in a seeded order; the same arguments give the same rows.

    Raises:
        RecipeError: `subset` names a product or an intent that no dialogue has, or their
            combination leaves nothing.
    """
    _refuse_unknown("product", subset.products, {d.product for d in dialogues})
    _refuse_unknown("intent", subset.intents, {d.intent for d in dialogues})
    rng = random.Random(subset.seed)
    pairs: dict[tuple[str, str], dict[str, list[Dialogue]]] = defaultdict(lambda: defaultdict(list))
    for dialogue in dialogues:
        if _wanted(dialogue, subset):
            pair = pairs[dialogue.product, dialogue.intent]
            pair[dialogue.phrasing_family].append(dialogue)
    if not pairs:
        raise RecipeError("The subset is empty: no product of `products` has any of `intents`.")
    dealt = [
        _dealt(_shuffled(families.values(), rng))[: subset.rows_per_fact]
        for families in pairs.values()
    ]
    chosen = _dealt(_shuffled(dealt, rng))[: subset.rows]
    rng.shuffle(chosen)
    return chosen


def _refuse_unknown(kind: str, asked: tuple[str, ...] | None, known: set[str]) -> None:
    unknown = sorted(set(asked or ()) - known)
    if unknown:
        raise RecipeError(
            f"The subset names the {kind} {unknown[0]!r}, which no dialogue has; "
            f"known are {', '.join(sorted(known))}."
        )


def _wanted(dialogue: Dialogue, subset: Subset) -> bool:
    longest = subset.max_question_characters
    return (
        (subset.products is None or dialogue.product in subset.products)
        and (subset.intents is None or dialogue.intent in subset.intents)
        and (longest is None or len(dialogue.question) <= longest)
    )


def _shuffled(groups: Iterable[list[Dialogue]], rng: random.Random) -> list[list[Dialogue]]:
    groups = list(groups)
    return rng.sample(groups, len(groups))


def _dealt(groups: Sequence[Sequence[Dialogue]]) -> list[Dialogue]:
    """One row of each group, then the next of each, until all are dealt."""
    longest = max(len(group) for group in groups)
    return [group[turn] for turn in range(longest) for group in groups if turn < len(group)]
