"""Own files: every format reads, every bad row is named, the rest is kept."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.core.errors import BadInputError, SchemaError
from components.core.json_lines import write_jsonl
from components.core.parquet import write_parquet
from components.core.schemas import Dialogue, QuarantinedRow, hashed_user_id
from components.prepare.generate import generate
from components.prepare.load import load_bank
from components.prepare.sources.own import OwnSource, read_own
from components.prepare.sources.rows import TakenIds

GOOD = {"question": "Какая ставка?", "answer": "Ставка 16,5%."}


def source(path: Path, **more: Any) -> OwnSource:
    return OwnSource.model_validate({"name": "test", "path": path, "licence": "internal"} | more)


def read(path: Path, **more: Any) -> tuple[list[Dialogue], list[QuarantinedRow]]:
    rows = list(read_own(source(path, **more)))
    dialogues = [row for row in rows if isinstance(row, Dialogue)]
    return dialogues, [row for row in rows if isinstance(row, QuarantinedRow)]


def jsonl(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def test_a_row_becomes_a_dialogue_with_all_that_is_known(tmp_path: Path) -> None:
    row = GOOD | {"user_id": "client 7", "intent": "deposit_rate", "product": "sokol"}
    path = jsonl(tmp_path / "own.jsonl", row | {"facts": {"rate": "16,5%"}, "comment": "ignored"})
    (dialogue,) = read_own(source(path), salt="secret")
    assert isinstance(dialogue, Dialogue)
    assert (dialogue.question, dialogue.answer) == (GOOD["question"], GOOD["answer"])
    assert (dialogue.source, dialogue.licence) == ("own:test", "internal")
    assert (dialogue.intent, dialogue.product) == ("deposit_rate", "sokol")
    assert dialogue.user_id == hashed_user_id("client 7", "secret")
    assert [(fact.name, fact.value) for fact in dialogue.facts] == [("rate", "16,5%")]
    assert dialogue.provenance == f"{path}:1"
    assert dialogue.split == "unassigned"


def test_ids_are_the_same_on_every_run_and_differ_by_row(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "own.jsonl", GOOD, GOOD, GOOD, GOOD | {"question": "А срок?"})
    first, second = (read(path)[0] for _ in range(2))
    assert first == second
    assert len({row.dialogue_id for row in first}) == len({row.user_id for row in first}) == 4


@pytest.mark.parametrize("write", [write_jsonl, write_parquet])
def test_what_finist_wrote_comes_back_as_it_was(tmp_path: Path, write: Callable[..., Any]) -> None:
    corpus = generate(load_bank(), train_rows=300, test_rows=100, seed=0)
    rows = [row.model_copy(update={"provenance": "bank"}) for row in corpus.train + corpus.test]
    path = tmp_path / ("own.jsonl" if write is write_jsonl else "own.parquet")
    write(path, rows)
    assert read(path) == (rows, [])


@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1251", "utf-16"])
def test_csv_of_any_office(tmp_path: Path, delimiter: str, encoding: str) -> None:
    path = tmp_path / "own.csv"
    answer = 'Ставка: 16,5%; срок "год",\nа можно\tи два.'
    with path.open("w", encoding=encoding, newline="") as file:
        table = csv.writer(file, delimiter=delimiter)
        table.writerows([["Комментарий", " ВОПРОС*", "Ответ", "Факты"], ["", "", "", ""]])
        table.writerow(["", "Сколько?", answer, "ставка: 16,5% | 16,5 процента; срок: год"])
    (dialogue,), bad = read(path)
    assert bad == []
    assert (dialogue.question, dialogue.answer) == ("Сколько?", answer)
    assert [fact.name for fact in dialogue.facts] == ["ставка", "срок"]
    assert dialogue.facts[0].accepted == ("16,5 процента",)
    assert dialogue.provenance.endswith(":3")


def test_a_few_broken_bytes_do_not_make_a_file_windows_1251(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    lines = ["вопрос,ответ\n", "Да?,Да.\n", "Нет?,Нет.\n"]
    path.write_bytes("".join(lines).encode() + "Ой?,Ой.\n".encode("cp1251"))
    dialogues, (bad,) = read(path)
    assert [row.question for row in dialogues] == ["Да?", "Нет?"]
    assert (bad.kind, bad.line) == ("encoding", 4)


def test_a_row_pasted_as_utf_8_into_a_file_of_windows_1251_is_said(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    lines = ["вопрос;ответ\n", "Да?;Да.\n", "Это «№ 5»?;Нет.\n"]
    path.write_bytes("".join(lines).encode("cp1251") + "Когда?;Завтра.\n".encode())
    dialogues, (bad,) = read(path)
    assert [row.question for row in dialogues] == ["Да?", "Это «№ 5»?"]
    assert (bad.kind, bad.line) == ("encoding", 4)


def test_a_quote_left_open_costs_its_line_alone(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    good = [f"Вопрос {number}?;Ответ {number}.\n" for number in range(600)]
    for broken in (3, 300, 599):
        good[broken] = f'Вопрос {broken}?;"Ответ {broken}.\n'
    path.write_text("вопрос;ответ\n" + "".join(good))
    dialogues, bad = read(path)
    assert len(dialogues) == 597
    assert [(row.kind, row.line) for row in bad] == [("broken-csv", line) for line in (5, 302, 601)]


def test_a_delimiter_in_a_text_without_quotes_is_said(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("вопрос;ответ\nА?;Б;в\nГ?;Д;\n")
    (dialogue,), (bad,) = read(path)
    assert dialogue.question == "Г?"
    assert (bad.kind, bad.line) == ("wrong-columns", 2)
    assert "3 values for 2 columns" in bad.reason


LABEL_STUDIO = [
    {
        "id": 1,
        "data": {"question": "Какая ставка?", "answer": "Ставка 1%."},
        "annotations": [
            {"result": [], "was_cancelled": True, "created_at": "2026-03-01"},
            {
                "created_at": "2026-01-01",
                "result": [
                    {"from_name": "answer", "type": "textarea", "value": {"text": ["Старый."]}}
                ],
            },
            {
                "created_at": "2026-02-01",
                "result": [
                    {
                        "from_name": "answer",
                        "type": "textarea",
                        "value": {"text": ["16,5%.", "Да."]},
                    },
                    {"from_name": "intent", "type": "choices", "value": {"choices": ["rate"]}},
                    {"from_name": "box", "type": "rectangle", "value": {"x": 1}},
                ],
            },
        ],
    },
    {"id": 2, "data": {"question": "Никто не ответил?"}, "annotations": []},
    {"id": 3, "data": {"question": "Q", "answer": "A"}, "annotations": [{"result": [7]}]},
    {"id": 4, "question": "JSON_MIN?", "answer": "Да."},
    5,
]


def test_label_studio_gives_the_newest_annotation(tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    path.write_text(json.dumps(LABEL_STUDIO))
    (annotated, plain), bad = read(path, format="label-studio")
    assert (annotated.answer, annotated.intent) == ("16,5%.\nДа.", "rate")
    assert plain.question == "JSON_MIN?"
    assert [(row.line, row.kind) for row in bad] == [
        (2, "wrong-columns"),
        (3, "label-studio"),
        (5, "wrong-columns"),
    ]


def test_broken_json_list_is_one_quarantined_file(tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    path.write_text('[{"question": ')
    dialogues, (bad,) = read(path)
    assert (dialogues, bad.line, bad.kind) == ([], 0, "broken-json")
    path.write_text("{}")
    with pytest.raises(SchemaError, match="must hold a JSON list"):
        read(path)
    with pytest.raises(BadInputError, match="over 1 bytes"):
        read(path, max_list_bytes=1)


BAD_ROWS = {
    "empty-answer": GOOD | {"answer": "  "},
    "empty-question": GOOD | {"question": None},
    "too-long": GOOD | {"answer": "ы" * 1_000_000},
    "wrong-columns": {"text": "Какая ставка?"},
    "wrong-value": GOOD | {"split": "validation"},
    "missing-fact": GOOD | {"facts": [{"name": "rate", "value": "17%"}]},
    "wrong-facts": GOOD | {"facts": 16.5},
    "encoding": GOOD | {"answer": "\ud800"},
    "wrong-order": {"turns": [{"role": "assistant", "content": "a"}] * 2},
    "unknown-role": {"turns": [{"role": "tool", "content": "a"}]},
    "wrong-messages": {"turns": ["a"]},
}


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_a_bad_row_is_quarantined_and_the_rest_kept(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "own.jsonl"
    rows = [GOOD, BAD_ROWS[kind], GOOD | {"question": "Ещё?"}]
    path.write_text("\n".join(map(json.dumps, rows)))
    dialogues, (bad,) = read(path)
    assert [row.question for row in dialogues] == ["Какая ставка?", "Ещё?"]
    assert (bad.file, bad.line, bad.kind) == (str(path), 2, kind)
    assert bad.reason.endswith(".")
    assert len(bad.model_dump_json()) < 2_000


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b'{"question": "A?", "answer"', "broken-json"),
        (b"[" * 200_000, "broken-json"),
        (b"1" * 5_000, "broken-json"),
        (b"[]", "wrong-columns"),
        ('{"question": "Да?", "answer": "Да."}'.encode("cp1251"), "encoding"),
        (b'{"question": "A?", "answer": "' + b"a" * (16 * 1024 * 1024), "too-long"),
    ],
    ids=["half a line", "deep", "huge number", "list", "cp1251", "over 16 MiB"],
)
def test_a_broken_line_is_quarantined_and_the_rest_kept(
    tmp_path: Path, line: bytes, kind: str
) -> None:
    path = tmp_path / "own.jsonl"
    good = json.dumps(GOOD).encode()
    path.write_bytes(b"\xef\xbb\xbf" + good + b"\n\n" + line + b"\n" + good + b"\n")
    dialogues, (bad,) = read(path)
    assert len(dialogues) == 2
    assert (bad.line, bad.kind) == (3, kind)
    QuarantinedRow.model_validate_json(bad.model_dump_json())


def test_an_id_is_taken_once_over_all_sources(tmp_path: Path) -> None:
    one = jsonl(tmp_path / "1.jsonl", GOOD | {"dialogue_id": "a"}, GOOD | {"dialogue_id": "a"})
    two = jsonl(tmp_path / "2.jsonl", GOOD | {"dialogue_id": "a"}, GOOD | {"dialogue_id": "b"})
    taken = TakenIds()
    rows = [row for path in (one, two) for row in read_own(source(path), taken=taken)]
    assert [row.dialogue_id for row in rows if isinstance(row, Dialogue)] == ["a", "b"]
    bad = [(row.kind, row.line) for row in rows if isinstance(row, QuarantinedRow)]
    assert bad == [("duplicate-id", 2), ("duplicate-id", 1)]


def test_a_rejected_row_takes_no_id(tmp_path: Path) -> None:
    rows = (GOOD | {"dialogue_id": "a", "answer": ""}, GOOD | {"dialogue_id": "a"})
    dialogues, (bad,) = read(jsonl(tmp_path / "own.jsonl", *rows))
    assert [row.dialogue_id for row in dialogues] == ["a"]
    assert bad.kind == "empty-answer"


def test_intents_are_the_banks_by_code_or_title(tmp_path: Path) -> None:
    names = ["deposit_rate", "Ставка по вкладу ", "погода", ""]
    path = jsonl(tmp_path / "own.jsonl", *(GOOD | {"intent": name} for name in names))
    rows = list(read_own(source(path), bank=load_bank()))
    intents = [row.intent if isinstance(row, Dialogue) else row.kind for row in rows]
    assert intents == ["deposit_rate", "deposit_rate", "unknown-intent", ""]


def test_a_folder_gives_all_its_files(tmp_path: Path) -> None:
    jsonl(tmp_path / "b.jsonl", GOOD)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "a.csv").write_text("Q;A\nПервый?;Да.\n")
    (tmp_path / "readme.md").write_text("no data")
    dialogues, _ = read(tmp_path, columns={"Q": "question", "A": "answer"})
    assert [row.question for row in dialogues] == ["Первый?", "Какая ставка?"]


@pytest.mark.parametrize("name", ["own.csv", "own.tsv"])
@pytest.mark.parametrize("content", ["a;b\n1;2\n", "", "\n" * 500, '"'])
def test_missing_columns_are_named(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(SchemaError, match=rf"{name}.*"):
        read(tmp_path / name)


def test_whole_file_troubles_are_errors(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("question;reply;вопрос\n1;2;3\n")
    with pytest.raises(SchemaError, match="answer and question, or turns; found: question, reply"):
        read(tmp_path / "own.csv")
    (tmp_path / "own.csv").write_text("question;answer;вопрос\n1;2;3\n")
    with pytest.raises(SchemaError, match="two columns are one field"):
        read(tmp_path / "own.csv")
    with pytest.raises(SchemaError, match="cannot be read as no-such-code"):
        read(tmp_path / "own.csv", encoding="no-such-code")
    with pytest.raises(BadInputError, match=r"no file or folder .*absent.csv"):
        read(tmp_path / "absent.csv")
    (tmp_path / "own.pdf").write_text("")
    with pytest.raises(BadInputError, match=r"own\.pdf: no reader"):
        read(tmp_path / "own.pdf")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInputError, match="holds no file"):
        read(tmp_path / "empty")
    (tmp_path / "own.jsonl").write_text("{}", encoding="utf-16")
    with pytest.raises(SchemaError, match="is UTF-16"):
        read(tmp_path / "own.jsonl")


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None
)
@given(
    content=st.binary() | st.text("abв\"';,\n\r\t\x00 ").map(str.encode),
    name=st.sampled_from(["own.csv", "own.jsonl", "own.json", "own.xlsx", "own.parquet"]),
)
def test_no_bytes_crash_a_reader(tmp_path: Path, content: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"question;answer\n" + content if name == "own.csv" else content)
    try:
        rows = list(read_own(source(path)))
    except BadInputError as error:
        assert name in str(error)
    else:
        assert all(row.model_dump_json() for row in rows)
