"""What must hold for a bank's catalogue as a whole, beyond the shape of one file."""

from collections.abc import Iterable, Iterator
from itertools import permutations
from pathlib import Path
from string import Formatter

from components.core.errors import CatalogueError
from components.prepare.catalogue import Bank, Intent, Product


def check_bank(bank: Bank) -> None:
    """Checks ids, templates, phrasing and that facts tell products apart.

    Args:
        bank: The catalogue, each file of which has the right shape.

    Raises:
        CatalogueError: The first thing that is wrong; names the file and, where known, the line.
    """
    _check_ids(bank)
    for path, file in bank.files:
        for intent in file.intents:
            _check_categories(bank, path, intent)
            _check_phrasings(path, intent)
            _check_templates(path, intent, bank.intent_products[intent.id])
            _check_facts_differ(path, intent, bank.intent_products[intent.id])


def placeholders(template: str) -> tuple[str, ...]:
    """Gives the names in braces of a template, in order.

    Args:
        template: For example `По вкладу {name} ставка {rate}.`

    Raises:
        ValueError: A brace is left open.
    """
    return tuple(name for _, name, _, _ in Formatter().parse(template) if name is not None)


def _check_ids(bank: Bank) -> None:
    for kind, places in (
        ("category", [(path, file.category) for path, file in bank.files]),
        ("product", [(path, p.id) for path, file in bank.files for p in file.products]),
        ("product name", [(path, p.name) for path, file in bank.files for p in file.products]),
        ("intent", [(path, i.id) for path, file in bank.files for i in file.intents]),
    ):
        seen: dict[str, Path] = {}
        for path, key in places:
            if key in seen:
                raise CatalogueError(
                    f"{_place(path, key, last=True)}: the {kind} {key!r} stands here and in "
                    f"{_place(seen[key], key)}; rename one."
                )
            seen[key] = path


def _check_categories(bank: Bank, path: Path, intent: Intent) -> None:
    known = {file.category for _, file in bank.files}
    for category in intent.categories:
        if category not in known:
            raise CatalogueError(
                f"{_place(path, intent.id)}: intent {intent.id!r} names the category {category!r}, "
                f"which no file has; known are {', '.join(sorted(known))}."
            )


def _check_phrasings(path: Path, intent: Intent) -> None:
    if len(set(intent.phrasings)) < len(intent.phrasings):
        repeated = next(p for p in intent.phrasings if intent.phrasings.count(p) > 1)
        raise CatalogueError(
            f"{_place(path, repeated, last=True)}: intent {intent.id!r} has the phrasing "
            f"{repeated!r} twice; a family held out for the test must be new."
        )


def _check_templates(path: Path, intent: Intent, products: Iterable[Product]) -> None:
    for template in (intent.answer, *intent.phrasings):
        try:
            names = placeholders(template)
        except ValueError as error:
            raise CatalogueError(f"{_place(path, template)}: {template!r}: {error}.") from error
        for product in products:
            for name in names:
                if name not in product.words:
                    raise CatalogueError(
                        f"{_place(path, template)}: intent {intent.id!r} needs {{{name}}}, which "
                        f"the product {product.id!r} lacks; add the fact or mend the template."
                    )


def _check_facts_differ(path: Path, intent: Intent, products: Iterable[Product]) -> None:
    for name in fact_names(intent):
        for one, other in permutations(products, 2):
            for spelling, held in _held(one, other, name):
                raise CatalogueError(
                    f"{_place(path, intent.id)}: the fact {name!r} of {one.id!r} ({spelling}) is "
                    f"contained in that of {other.id!r} ({held}), so intent {intent.id!r} cannot "
                    "tell a wrong answer; change one value."
                )


def _held(one: Product, other: Product, name: str) -> Iterator[tuple[str, str]]:
    mine, theirs = one.fact(name), other.fact(name)
    for spelling in (mine.value, *mine.accepted):
        for held in (theirs.value, *theirs.accepted):
            if spelling in held:
                yield spelling, held


def fact_names(intent: Intent) -> tuple[str, ...]:
    """Gives the facts that an intent's answer must contain, in the order of its template.

    Args:
        intent: The intent.
    """
    forms = {"name", "genitive", "dative", "prepositional"}
    return tuple(name for name in placeholders(intent.answer) if name not in forms)


def _place(path: Path, needle: str, *, last: bool = False) -> str:
    """File and line of a text; the file alone when YAML wrote the text otherwise."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [number for number, line in enumerate(lines, 1) if needle in line]
    return f"{path}:{found[-1 if last else 0]}" if found else str(path)
