"""The bank's products, facts, intents and phrasing: what the YAML files under `bank/` hold."""

from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from components.core.errors import CatalogueError
from components.core.schemas import Fact
from components.prepare.spellings import spellings
from components.prepare.yaml_source import load_yaml

BANK = Path(__file__).parent / "bank"
"""The built-in fictional bank."""

VARIATION_FILE = "variation.yaml"


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
        forms = {"genitive": self.genitive, "dative": self.dative}
        forms |= {"name": self.name, "prepositional": self.prepositional}
        quoted = {key: f"«{form}»" for key, form in forms.items()}
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


def load_bank(directory: Path = BANK) -> Bank:
    """Loads a bank's catalogue and checks it as a whole.

    Args:
        directory: A folder of category files (`*.yaml`) and `variation.yaml`.

    Returns:
        The checked catalogue.

    Raises:
        CatalogueError: A file or the catalogue as a whole cannot be used; names file and line.
    """
    from components.prepare.checks import check_bank

    paths = sorted(directory.glob("*.yaml"))
    if directory / VARIATION_FILE not in paths or len(paths) == 1:
        raise CatalogueError(
            f"{directory} is no bank: it needs {VARIATION_FILE} and at least one category file."
        )
    files = [(path, load_yaml(path, CategoryFile)) for path in paths if path.name != VARIATION_FILE]
    bank = Bank(files=tuple(files), variation=load_yaml(directory / VARIATION_FILE, Variation))
    check_bank(bank)
    return bank
