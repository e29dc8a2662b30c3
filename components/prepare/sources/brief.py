"""The brief for copywriters: what to write and in which form, so that own.py reads what comes back.

Text and workbook come from one list of columns (`columns.BRIEF_COLUMNS`) and from the bank's
catalogue. Both are in Russian.
"""

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from components.core.whole_files import whole_file, write_text
from components.prepare.catalogue import Bank, Intent
from components.prepare.sources.columns import BRIEF_COLUMNS

SHEET = "Диалоги"
"""The first sheet of the workbook: the one that is read."""

PREPARED_ROWS = 5_000
"""Rows of the workbook whose codes are chosen from a list."""


class Brief(BaseModel):
    """What the brief asks for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dialogues_per_intent: PositiveInt = 20
    """For each intent, over all copywriters."""
    max_characters: PositiveInt = 1_000
    """Longest answer that is wanted."""
    deadline: str = ""
    """As it should stand in the text; empty for none."""
    contact: str = Field(default="", max_length=200)
    """Whom to ask; empty for none."""


def write_brief(bank: Bank, path: Path, brief: Brief | None = None) -> None:
    """Writes the brief as Markdown; the file appears whole or not at all.

    Args:
        bank: The catalogue, whose intents, products and facts are listed.
        path: Where to; missing folders are made.
        brief: What it asks for.
    """
    environment = Environment(  # Markdown for people, never HTML
        loader=PackageLoader("components.prepare.sources", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    text = environment.get_template("brief.md.jinja").render(
        bank=bank,
        brief=brief or Brief(),
        columns=BRIEF_COLUMNS,
        examples=[_example(bank, intent) for intent in list(bank.intents.values())[:3]],
        sheet=SHEET,
    )
    write_text(path, text)


def write_workbook(bank: Bank, path: Path) -> None:
    """Writes the empty table that copywriters fill, XLSX; it appears whole or not at all.

    The first sheet has the header row and lists to choose codes from; the next two list intents
    and products with their facts.

    Args:
        bank: The catalogue.
        path: Where to; missing folders are made.
    """
    import openpyxl

    workbook = openpyxl.Workbook()
    table = workbook.active
    table.title = SHEET
    intents = [(i.id, i.title) for i in bank.intents.values()]
    products = [(p.id, p.name, _facts(bank, p.id)) for p in bank.products.values()]
    _fill(workbook.create_sheet("Интенты"), [("код", "тема"), *intents])
    _fill(workbook.create_sheet("Продукты"), [("код", "название", "факты"), *products])
    _fill(table, [tuple(column.header for column in BRIEF_COLUMNS)])
    _offer_codes(table, "intent", "Интенты", len(intents))
    _offer_codes(table, "product", "Продукты", len(products))
    with whole_file(path) as partial:
        workbook.save(partial)


def _example(bank: Bank, intent: Intent) -> dict[str, str]:
    """A row as the table should hold it, by field."""
    product = bank.intent_products[intent.id][0]
    facts = (f"{name}: {product.facts[name].value}" for name in intent.fact_names)
    return {
        "question": intent.train[0].format_map(product.words),
        "answer": intent.answer.format_map(product.words),
        "intent": intent.id,
        "product": product.id,
        "facts": "; ".join(facts),
        "dialogue_id": "",
    }


def _facts(bank: Bank, product: str) -> str:
    facts = bank.products[product].facts.items()
    return "; ".join(f"{name}: {fact.value}" for name, fact in facts)


def _fill(sheet: Any, rows: list[tuple[str, ...]]) -> None:
    from openpyxl.styles import Alignment, Font
    from openpyxl.utils import get_column_letter

    for row in rows:
        sheet.append(row)
    for cell in sheet[1]:
        cell.font = Font(bold=True)
    widths = [column.width for column in BRIEF_COLUMNS] if len(rows) == 1 else [26, 40, 100]
    for number, width in enumerate(widths, 1):
        sheet.column_dimensions[get_column_letter(number)].width = width
        sheet.column_dimensions[get_column_letter(number)].alignment = Alignment(wrap_text=True)
    sheet.freeze_panes = "A2"


def _offer_codes(table: Any, field: str, sheet: str, count: int) -> None:
    """A list to choose from in one column; other values are marked, not refused."""
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.datavalidation import DataValidation

    fields = [column.field for column in BRIEF_COLUMNS]
    letter = get_column_letter(fields.index(field) + 1)
    codes = f"'{sheet}'!$A$2:$A${count + 1}"
    choice = DataValidation(type="list", formula1=codes, allow_blank=True, errorStyle="warning")
    choice.error = f"Такого кода нет на листе «{sheet}»."
    table.add_data_validation(choice)
    choice.add(f"{letter}2:{letter}{PREPARED_ROWS + 1}")
