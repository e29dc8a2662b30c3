"""XLSX: the brief's table comes back, and hostile workbooks cost nothing but themselves."""

import random
import subprocess
import sys
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from components.core.errors import SchemaError
from components.core.schemas import Dialogue, QuarantinedRow
from components.prepare.load import load_bank
from components.prepare.sources.brief import SHEET, write_brief, write_workbook
from components.prepare.sources.own import OwnSource, read_own

BANK = load_bank()
GOOD = ("Какая ставка?", "Ставка 16,5%.")


def read(path: Path, **more: Any) -> tuple[list[Dialogue], list[QuarantinedRow]]:
    given = {"name": "writers", "path": path, "licence": "internal"} | more
    rows = list(read_own(OwnSource.model_validate(given), bank=BANK))
    dialogues = [row for row in rows if isinstance(row, Dialogue)]
    return dialogues, [row for row in rows if isinstance(row, QuarantinedRow)]


def workbook(path: Path, *rows: tuple[Any, ...]) -> Path:
    book = openpyxl.Workbook()
    for row in (("Вопрос", "Ответ", "Факты"), *rows):
        book.active.append(row)
    book.save(path)
    return path


def edited(path: Path, name: str, change: Any) -> Path:
    """The archive with one file changed or added."""
    with zipfile.ZipFile(path) as archive:
        files = {entry: archive.read(entry) for entry in archive.namelist()}
    files[name] = change(files.get(name, b""))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in files.items():
            archive.writestr(entry, content)
    return path


def test_the_briefs_table_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.xlsx"
    write_workbook(BANK, path)
    assert read(path) == ([], [])
    book = openpyxl.load_workbook(path)
    assert book.sheetnames == [SHEET, "Интенты", "Продукты"]
    intent = BANK.intents["deposit_rate"]
    product = BANK.intent_products["deposit_rate"][0]
    answer = intent.answer.format_map(product.words)
    fact = f"rate: {product.facts['rate'].value}"
    book[SHEET].append([intent.train[0], answer, intent.id, product.id, fact, 17])
    book[SHEET].append(["А срок?", "Год.", "Срок вклада"])
    book.save(path)
    (first, second), bad = read(path)
    assert bad == []
    assert (first.question, first.answer, first.product) == (intent.train[0], answer, product.id)
    assert (first.dialogue_id, first.provenance) == ("17", f"{path}:2")
    assert [f.value for f in first.facts] == [product.facts["rate"].value]
    assert (first.intent, second.intent) == ("deposit_rate", "deposit_term")


def test_the_workbook_offers_every_code(tmp_path: Path) -> None:
    write_workbook(BANK, tmp_path / "table.xlsx")
    book = openpyxl.load_workbook(tmp_path / "table.xlsx")
    lists = {str(v.sqref): v.formula1 for v in book[SHEET].data_validations.dataValidation}
    assert lists == {
        "C2:C5001": f"'Интенты'!$A$2:$A${len(BANK.intents) + 1}",
        "D2:D5001": f"'Продукты'!$A$2:$A${len(BANK.products) + 1}",
    }


def test_the_brief_names_every_column_intent_and_fact(tmp_path: Path) -> None:
    write_brief(BANK, tmp_path / "brief.md")
    text = (tmp_path / "brief.md").read_text("utf-8")
    write_workbook(BANK, tmp_path / "table.xlsx")
    headers = next(openpyxl.load_workbook(tmp_path / "table.xlsx")[SHEET].values)
    assert all(f"| {header} |" in text for header in headers)
    assert all(f"`{name}`" in text for name in (*BANK.intents, *BANK.products))
    assert all(fact.value in text for p in BANK.products.values() for fact in p.facts.values())
    assert "{" not in text


def test_cells_of_other_kinds_are_text(tmp_path: Path) -> None:
    path = workbook(tmp_path / "own.xlsx", (2024.0, date(2026, 5, 1), ""), (1.5, True, None))
    dialogues, bad = read(path)
    assert [(d.question, d.answer) for d in dialogues] == [
        ("2024", "2026-05-01T00:00:00"),
        ("1.5", "True"),
    ]
    assert bad == []


def test_a_formula_is_never_computed(tmp_path: Path) -> None:
    link = '=HYPERLINK("file:///etc/passwd","Ставка")'
    path = workbook(tmp_path / "own.xlsx", GOOD, ("Сколько?", link), ("=1+1", "Два."), GOOD)
    dialogues, bad = read(path)
    assert len(dialogues) == 2
    assert [(row.line, row.kind) for row in bad] == [(3, "formula"), (4, "formula")]
    assert bad[0].row["answer"] == link


def test_other_sheets_by_name(tmp_path: Path) -> None:
    path = workbook(tmp_path / "own.xlsx")
    book = openpyxl.load_workbook(path)
    second = book.create_sheet("Второй")
    second.append(("вопрос", "ответ"))
    second.append(GOOD)
    book.save(path)
    assert read(path) == ([], [])
    assert len(read(path, sheet="Второй")[0]) == 1
    with pytest.raises(SchemaError, match=r"'Третий'; found: Sheet, Второй"):
        read(path, sheet="Третий")


def test_missing_columns_are_named(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    path = tmp_path / "own.xlsx"
    book.save(path)
    with pytest.raises(SchemaError, match=r"own.xlsx: needs .*found: none"):
        read(path)
    book.active.append(("Вопрос", "Отклик"))
    book.save(path)
    with pytest.raises(SchemaError, match=r"found: Вопрос, Отклик"):
        read(path)


SHEET_FILE = "xl/worksheets/sheet1.xml"


def test_a_zip_bomb_stays_packed(tmp_path: Path) -> None:
    path = workbook(tmp_path / "own.xlsx", GOOD)
    edited(path, SHEET_FILE, lambda _: b"<worksheet>" + b" " * 30_000_000)
    dialogues, (bad,) = read(path)
    assert (dialogues, bad.line, bad.kind) == ([], 0, "hostile-xlsx")
    (_, (limited,)) = read(path, max_unpacked_bytes=1_000_000)
    assert "over 2000 or 1000000" in limited.reason


def test_an_archive_of_countless_files_stays_packed(tmp_path: Path) -> None:
    path = workbook(tmp_path / "own.xlsx", GOOD)
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(2_100):
            archive.writestr(f"xl/{number}", b"")
    _, (bad,) = read(path)
    assert bad.kind == "hostile-xlsx"


def test_xml_entities_are_refused(tmp_path: Path) -> None:
    path = workbook(tmp_path / "own.xlsx", GOOD)
    laugh = b'<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;&x;">]>'

    def with_entities(content: bytes) -> bytes:
        head, mark, rest = content.partition(b"<worksheet")
        return head + laugh + mark + rest.replace("Какая".encode(), b"&y;")

    edited(path, SHEET_FILE, with_entities)
    dialogues, (bad,) = read(path)
    assert (dialogues, bad.line, bad.kind) == ([], 0, "hostile-xlsx")
    assert "XML entities" in bad.reason


def test_lies_about_size_are_not_believed(tmp_path: Path) -> None:
    path = workbook(tmp_path / "own.xlsx", GOOD, GOOD)

    def lie(content: bytes) -> bytes:
        content = content.replace(b'ref="A1:C3"', b'ref="A1:XFD1048576"')
        return content.replace(b'<row r="3"', b'<row r="999999999999"')

    edited(path, SHEET_FILE, lie)
    dialogues, bad = read(path)
    assert len(dialogues) == 1
    assert bad == []


def test_a_workbook_that_breaks_midway_keeps_its_beginning(tmp_path: Path) -> None:
    path = workbook(tmp_path / "own.xlsx", *[GOOD] * 5000)
    edited(path, SHEET_FILE, lambda content: content[: len(content) // 2])
    dialogues, (bad,) = read(path)
    assert 2000 < len(dialogues) < 3000
    assert bad.kind == "broken-xlsx"
    assert abs(bad.line - len(dialogues)) < 5


def test_flipped_bytes_never_crash(tmp_path: Path) -> None:
    path = workbook(tmp_path / "own.xlsx", *[GOOD] * 20)
    whole = path.read_bytes()
    rng = random.Random(0)
    kinds = set()
    for _ in range(60):
        broken = bytearray(whole)
        for _ in range(rng.choice((1, 10, 100))):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        path.write_bytes(bytes(broken))
        try:
            kinds |= {row.kind for row in read(path)[1]}
        except SchemaError as error:
            assert "own.xlsx" in str(error)
    assert "broken-xlsx" in kinds


def test_external_links_and_macros_are_ignored(tmp_path: Path) -> None:
    path = workbook(tmp_path / "own.xlsx", GOOD)
    link = b'<externalLink xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"/>'
    edited(path, "xl/externalLinks/externalLink1.xml", lambda _: link)
    edited(path, "xl/vbaProject.bin", lambda _: b"not a macro")
    assert len(read(path)[0]) == 1


def test_the_command_writes_both(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "components.prepare.sources"]
    outputs = ["--text", str(tmp_path / "brief.md"), "--workbook", str(tmp_path / "table.xlsx")]
    asked = ["--deadline", "1 мая", "--dialogues-per-intent", "3"]
    run = subprocess.run([*command, *outputs, *asked], capture_output=True, text=True, check=True)
    assert f"{len(BANK.intents)} intents" in run.stdout
    text = (tmp_path / "brief.md").read_text("utf-8")
    assert "Срок: 1 мая." in text
    assert f"{3 * len(BANK.intents)} строк" in text
    assert read(tmp_path / "table.xlsx") == ([], [])
