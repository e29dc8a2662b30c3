"""Which columns a table of dialogues has: one list for the readers, the brief and the workbook."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from components.core.errors import SchemaError
from components.core.schemas import Dialogue
from components.prepare.sources.quarantine import RowError


@dataclass(frozen=True)
class BriefColumn:
    """A column that copywriters fill.

    Attributes:
        field: What it becomes.
        header: Its Russian name in the brief and the workbook.
        required: Whether every row has it.
        meaning: What goes in, in Russian.
        width: Of the workbook's column, in characters.
    """

    field: str
    header: str
    required: bool
    meaning: str
    width: int


BRIEF_COLUMNS = (
    BriefColumn("question", "вопрос", True, "Что пишет клиент, его словами.", 60),
    BriefColumn("answer", "ответ", True, "Что отвечает банк: полно, верно, вежливо.", 80),
    BriefColumn("intent", "интент", True, "Код темы из списка ниже.", 26),
    BriefColumn("product", "продукт", False, "Код продукта, если вопрос о нём.", 22),
    BriefColumn(
        "facts",
        "факты",
        False,
        "Что обязано быть в ответе, слово в слово: `название: значение`, через точку с запятой; "
        "другие верные написания через черту: `ставка: 16,5% | 16,5 процента; срок: 12 месяцев`.",
        40,
    ),
    BriefColumn(
        "dialogue_id", "номер диалога", False, "Ваш номер; в файле не должен повторяться.", 18
    ),
)
"""What the brief asks for, in its order."""

OTHER_HEADERS = {
    "вопрос клиента": "question",
    "ответ банка": "answer",
    "код интента": "intent",
    "код продукта": "product",
    "обязательные факты": "facts",
    "id диалога": "dialogue_id",
    "номер запроса": "request_id",
    "номер ответа": "response_id",
    "клиент": "user_id",
    "номер клиента": "user_id",
    "семейство": "phrasing_family",
    "язык": "language",
    "выборка": "split",
    "лицензия": "licence",
    "messages": "turns",
    "реплики": "turns",
}
"""Other names that own files may use, beside the fields of `Dialogue`."""


@dataclass(frozen=True)
class Columns:
    """How the columns of a file become fields.

    Attributes:
        fields: Normal name of a column (`normal_name`) -> field.
        needed: Sets of fields, one of which every row must have.
    """

    fields: Mapping[str, str]
    needed: tuple[frozenset[str], ...]

    def of_header(self, header: Sequence[str], file: str) -> list[str]:
        """Gives the field of each column of a table.

        Args:
            header: The names as they stand in the file.
            file: To name in an error.

        Returns:
            One field a column; empty for a column that nobody asked for.

        Raises:
            SchemaError: A needed column is missing, or two columns are one field; names both the
                columns found and those wanted.
        """
        fields = [self.fields.get(normal_name(name), "") for name in header]
        known = [field for field in fields if field]
        found = ", ".join(name for name in header if name) or "none"
        if not self._suffice(known):
            raise SchemaError(f"{file}: needs the columns {self._wanted()}; found: {found}.")
        if len(set(known)) < len(known):
            raise SchemaError(f"{file}: two columns are one field; keep one of each: {found}.")
        return fields

    def of_row(self, row: Any) -> dict[str, Any]:
        """Gives the fields of one JSON object.

        Args:
            row: What was read; other keys are left out.

        Raises:
            RowError: It is no object, or lacks needed keys (`wrong-columns`).
        """
        if not isinstance(row, dict):
            raise RowError("wrong-columns", "This is no object of names and values; write one.")
        named = ((self.fields.get(normal_name(str(key))), value) for key, value in row.items())
        values = {field: value for field, value in named if field}
        if not self._suffice(values):
            found = ", ".join(map(str, row)) or "none"
            raise RowError("wrong-columns", f"Needs the keys {self._wanted()}; found: {found}.")
        return values

    def _suffice(self, fields: Iterable[str]) -> bool:
        present = set(fields)
        return any(needed <= present for needed in self.needed)

    def _wanted(self) -> str:
        """The needed columns by the first name that each goes by."""
        names = {field: name for name, field in reversed(list(self.fields.items()))}
        sets = (" and ".join(names[field] for field in sorted(needed)) for needed in self.needed)
        return ", or ".join(sets)


@lru_cache(maxsize=4096)
def normal_name(name: str) -> str:
    """Gives a column's name without what people see as no difference.

    Letter case, spaces and underscores around and between words, ё for е, a trailing `*` or `:`.
    """
    words = name.replace("\ufeff", "").replace("_", " ").rstrip("*: ").split()
    return " ".join(words).casefold().replace("ё", "е")


def own_columns(more: Mapping[str, str]) -> Columns:
    """Gives the columns of own files: fields of `Dialogue`, question, answer, Russian headers.

    Args:
        more: Name of a column -> field, for files with other headers.
    """
    names = dict.fromkeys(("question", "answer", *Dialogue.model_fields))
    own = {normal_name(name): name for name in names}
    brief = {column.header: column.field for column in BRIEF_COLUMNS}
    other = {normal_name(name): field for name, field in (brief | OTHER_HEADERS).items()}
    wanted = {normal_name(name): field for name, field in more.items()}
    return Columns(own | other | wanted, (frozenset({"question", "answer"}), frozenset({"turns"})))
