"""The bank's products, facts, intents and phrasing: what the YAML files under `bank/` hold."""

from functools import cached_property
from pathlib import Path
from string import Formatter

from pydantic import BaseModel, ConfigDict, Field, field_validator

from components.core.schemas import Fact
from components.prepare.spellings import spellings

FORMS = ("name", "genitive", "dative", "prepositional")
"""Case forms of a product's name, which templates may use beside the facts."""


def placeholders(template: str) -> tuple[str, ...]:
    """Gives the names in braces of a template, in order.

    Args:
        template: For example `По вкладу {name} ставка {rate}.`

    Raises:
        ValueError: A brace is left open.
    """
    return tuple(name for _, name, _, _ in Formatter().parse(template) if name is not None)


class Entry(BaseModel):
    """Part of a catalogue; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FactValue(Entry):
    """A value with spellings beyond the derived ones."""

    value: str = Field(min_length=1)
    accepted: tuple[str, ...] = ()


class Product(Entry):
    """A product or service with its facts and the case forms of its name."""

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    name: str = Field(min_length=1)
    genitive: str
    dative: str
    prepositional: str
    facts: dict[str, FactValue] = Field(min_length=1)

    @field_validator("facts", mode="before")
    @classmethod
    def _plain_values(cls, facts: object) -> object:
        if not isinstance(facts, dict):
            return facts
        return {k: {"value": v} if isinstance(v, str) else v for k, v in facts.items()}

    @cached_property
    def words(self) -> dict[str, str]:
        """What fills a template's placeholders: the name's forms in guillemets, fact values."""
        quoted = {form: f"«{getattr(self, form)}»" for form in FORMS}
        return quoted | {name: fact.value for name, fact in self.facts.items()}

    def fact(self, name: str) -> Fact:
        """Gives one fact with every spelling that counts.

        Args:
            name: A key of `facts`.
        """
        entry = self.facts[name]
        accepted = dict.fromkeys((*entry.accepted, *spellings(entry.value)))
        return Fact(name=name, value=entry.value, accepted=tuple(accepted))


class Intent(Entry):
    """One thing that customers ask, the ways they ask it, and the answer's template.

    Each line of `train` and `test` is one family of phrasing.
    """

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str
    categories: tuple[str, ...] = ()
    answer: str
    train: tuple[str, ...] = Field(min_length=1)
    test: tuple[str, ...] = Field(min_length=2)

    @property
    def phrasings(self) -> tuple[str, ...]:
        """All families, those of training first."""
        return self.train + self.test

    @cached_property
    def fact_names(self) -> tuple[str, ...]:
        """The facts that the answer must contain, in the order of its template."""
        return tuple(name for name in placeholders(self.answer) if name not in FORMS)


class CategoryFile(Entry):
    """One YAML file of the bank."""

    category: str
    title: str
    products: tuple[Product, ...] = Field(min_length=1)
    intents: tuple[Intent, ...] = ()


class Variation(Entry):
    """Small changes around a phrasing: greetings, lead-ins, closings."""

    bank: str
    greetings: tuple[str, ...]
    lead_ins: tuple[str, ...]
    lead_in_before: str
    closings: tuple[str, ...]


class Bank(Entry):
    """The whole catalogue."""

    files: tuple[tuple[Path, CategoryFile], ...]
    variation: Variation

    @cached_property
    def products(self) -> dict[str, Product]:
        """All products by id, in the order of the files."""
        return {p.id: p for _, file in self.files for p in file.products}

    @cached_property
    def intents(self) -> dict[str, Intent]:
        """All intents by id, in the order of the files."""
        return {i.id: i for _, file in self.files for i in file.intents}

    @cached_property
    def category_of(self) -> dict[str, str]:
        """The category of each product id."""
        return {p.id: file.category for _, file in self.files for p in file.products}

    @cached_property
    def intent_products(self) -> dict[str, tuple[Product, ...]]:
        """The products that each intent asks about, by intent id."""
        by_category = {file.category: file.products for _, file in self.files}
        return {
            intent.id: tuple(
                product
                for category in intent.categories or (file.category,)
                for product in by_category.get(category, ())
            )
            for _, file in self.files
            for intent in file.intents
        }
