"""What must hold for a bank's catalogue as a whole, beyond the shape of one file."""

import re
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

from components.core.errors import CatalogueError
from components.core.facts import find_fact
from components.prepare.catalogue import Bank, Intent, Product, placeholders


def check_bank(bank: Bank) -> None:
    """Checks ids, templates, phrasing and that facts tell products apart.

    Args:
        bank: The catalogue, each file of which has the right shape.

    Raises:
        CatalogueError: The first thing that is wrong; names the file and, where known, the line.
    """
    _check_ids(bank)
    _check_lead_in(bank)
    for path, file in bank.files:
        for intent in file.intents:
            _check_categories(bank, path, intent)
            _check_phrasings(path, intent)
            products = bank.intent_products[intent.id]
            for template in (intent.answer, *intent.phrasings):
                _check_template(path, intent, template, products)
            _check_facts(path, intent, products)


def _check_ids(bank: Bank) -> None:
    for kind, places in (
        ("category", [(path, file.category) for path, file in bank.files]),
        ("product id", [(path, p.id) for path, file in bank.files for p in file.products]),
        ("product name", [(path, p.name) for path, file in bank.files for p in file.products]),
        ("intent id", [(path, i.id) for path, file in bank.files for i in file.intents]),
    ):
        seen: dict[str, Path] = {}
        for path, key in places:
            if key in seen:
                raise CatalogueError(
                    f"{_place(path, key, last=True)}: the {kind} {key!r} stands here and in "
                    f"{_place(seen[key], key)}; rename one."
                )
            seen[key] = path


def _check_lead_in(bank: Bank) -> None:
    try:
        re.compile(bank.variation.lead_in_before)
    except re.error as error:
        raise CatalogueError(f"variation.yaml: lead_in_before is no pattern: {error}.") from error


def _check_categories(bank: Bank, path: Path, intent: Intent) -> None:
    known = {file.category for _, file in bank.files}
    for category in intent.categories:
        if category not in known:
            raise CatalogueError(
                f"{_place(path, category)}: intent {intent.id!r} names the category {category!r}, "
                f"which no file has; known are {', '.join(sorted(known))}."
            )


def _check_phrasings(path: Path, intent: Intent) -> None:
    repeated = [text for text in intent.phrasings if intent.phrasings.count(text) > 1]
    if repeated:
        raise CatalogueError(
            f"{_place(path, repeated[0], last=True)}: intent {intent.id!r} has the phrasing "
            f"{repeated[0]!r} twice; a family held out for the test must be new."
        )


def _check_template(path: Path, intent: Intent, template: str, products: Sequence[Product]) -> None:
    try:
        names = placeholders(template)
    except ValueError as error:
        raise CatalogueError(f"{_place(path, template)}: {template!r}: {error}.") from error
    for product in products:
        missing = [name for name in names if name not in product.words]
        if missing:
            raise CatalogueError(
                f"{_place(path, template)}: intent {intent.id!r} needs {{{missing[0]}}}, which "
                f"the product {product.id!r} lacks; add the fact or mend the template."
            )


def _check_facts(path: Path, intent: Intent, products: Sequence[Product]) -> None:
    """A product's answer must show its own facts, and no other product's."""
    for name in intent.fact_names:
        for one in products:
            if find_fact(one.fact(name), _answer(intent, one)) is None:
                raise CatalogueError(
                    f"{_place(path, intent.answer)}: the answer of intent {intent.id!r} hides the "
                    f"fact {name!r} of {one.id!r}; put spaces around {{{name}}}."
                )
        for one, other in permutations(products, 2):
            if find_fact(one.fact(name), _answer(intent, other)):
                raise CatalogueError(
                    f"{_place(path, intent.answer)}: the answer about {other.id!r} also shows the "
                    f"fact {name!r} of {one.id!r} ({one.facts[name].value}), so intent "
                    f"{intent.id!r} cannot tell a wrong answer; change one value."
                )


def _answer(intent: Intent, product: Product) -> str:
    return intent.answer.format_map(product.words)


def _place(path: Path, needle: str, *, last: bool = False) -> str:
    """File and line of a text; the file alone when YAML wrote the text otherwise."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [
        number
        for number, line in enumerate(lines, 1)
        if re.search(rf"(?<!\w){re.escape(needle)}(?!\w)", line)
    ]
    return f"{path}:{found[-1 if last else 0]}" if found else str(path)
