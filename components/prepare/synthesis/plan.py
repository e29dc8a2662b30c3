"""Which dialogues are asked for: product, intent and manner of each, from the seed alone."""

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from components.core.errors import RecipeError
from components.core.schemas import Fact
from components.prepare.catalogue import Bank, Intent, Product
from components.prepare.synthesis.settings import Settings, SyntheticSource

PROMPTS = Path(__file__).parent / "prompts"


class Manner(Settings):
    """A way to ask and to answer."""

    id: str
    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Item:
    """One dialogue to be written.

    Attributes:
        number: Its place in the plan, from 0.
        intent: What the customer asks.
        product: What about.
        manner: In which way.
        repeat: How often the three have stood in the plan before.
    """

    number: int
    intent: Intent
    product: Product
    manner: Manner
    repeat: int

    @property
    def facts(self) -> tuple[Fact, ...]:
        """What the answer must contain."""
        return tuple(self.product.fact(name) for name in self.intent.fact_names)

    @property
    def truth(self) -> str:
        """The bank's own answer."""
        return self.intent.answer.format_map(self.product.words)


def plan(bank: Bank, source: SyntheticSource) -> Iterator[Item]:
    """Plans the dialogues; asking for more of them leaves the first ones as they were.

    Every intent has its turn, then every intent again with its next product, until all pairs had
    one; then all pairs again in the next manner.

    Args:
        bank: The catalogue.
        source: How many dialogues, of which intents and products, and the seed.

    Yields:
        `source.dialogues` items.

    Raises:
        RecipeError: An unknown intent, product or version of manners, or no pair is left.
    """
    pairs, ways = _pairs(bank, source), manners(source.manners_version)
    for number in range(source.dialogues):
        turn, place = divmod(number, len(pairs))
        intent, item = pairs[place]
        way = ways[(turn + place) % len(ways)]
        yield Item(number, intent, item, way, turn // len(ways))


def _pairs(bank: Bank, source: SyntheticSource) -> list[tuple[Intent, Product]]:
    _refuse_unknown("intent", source.intents, bank.intents)
    _refuse_unknown("product", source.products, bank.products)
    rng = random.Random(f"{source.seed}:{source.name}")
    rows = []
    for intent in bank.intents.values():
        items = bank.intent_products[intent.id]
        wanted = [(intent, p) for p in items if source.products is None or p.id in source.products]
        if source.intents is None or intent.id in source.intents:
            rows.append(rng.sample(wanted, len(wanted)))
    rng.shuffle(rows)
    pairs = [pair for column in zip_longest(*rows) for pair in column if pair]
    if not pairs:
        raise RecipeError(
            f"The synthetic source {source.name!r} asks for no product that has one of its "
            "intents; widen `products` or `intents`."
        )
    return pairs


def _refuse_unknown(kind: str, asked: tuple[str, ...] | None, known: Collection[str]) -> None:
    unknown = sorted(set(asked or ()) - set(known))
    if unknown:
        raise RecipeError(
            f"The synthetic source names the {kind} {unknown[0]!r}, which the bank does not have; "
            f"known are {', '.join(sorted(known))}."
        )


def manners(version: str) -> tuple[Manner, ...]:
    """Reads the manners.

    Args:
        version: For example `v1`, of `prompts/manners.v1.yaml`.

    Raises:
        RecipeError: There is no such file, or it does not hold manners.
    """
    path = PROMPTS / f"manners.{version}.yaml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return TypeAdapter(tuple[Manner, ...]).validate_python(content)
    except FileNotFoundError as error:
        known = ", ".join(sorted(p.name for p in PROMPTS.glob("manners.*.yaml")))
        raise RecipeError(
            f"There are no manners {version!r} in {PROMPTS}; it has {known}."
        ) from error
    except (yaml.YAMLError, ValidationError) as error:
        raise RecipeError(
            f"{path} does not hold manners (id, question, answer): {error}."
        ) from error
