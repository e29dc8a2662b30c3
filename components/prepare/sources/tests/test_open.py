"""Open data: every mapping on its format, a hub's layout, a hub that is away."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from pydantic import ValidationError

from components.core.errors import BadInputError, RecipeError, SchemaError
from components.core.schemas import Dialogue, QuarantinedRow
from components.prepare.sources.mapping import MAPPINGS, load_mapping
from components.prepare.sources.open import OpenSource, read_open
from components.prepare.sources.rows import OpenQuestion

Read = list[Dialogue | OpenQuestion | QuarantinedRow]


def read(path: Path, mapping: str, **more: Any) -> Read:
    given = {"name": "set", "path": path, "mapping": mapping, "licence": "CC0-1.0"} | more
    return list(read_open(OpenSource.model_validate(given)))


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """The same rows as JSON lines, a JSON list, Parquet or CSV, by the suffix."""
    if path.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            dumped = (
                {k: v if isinstance(v, str) else json.dumps(v) for k, v in row.items()}
                for row in rows
            )
            table.writerows(dumped)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    else:
        path.write_text("\n".join(map(json.dumps, rows)))
    return path


def chat(*messages: tuple[str, str], role: str = "role", content: str = "content") -> list[Any]:
    return [{role: who, content: text} for who, text in messages]


SHAPES: dict[str, dict[str, Any]] = {
    "saiga": {"messages": chat(("system", "Ты Сайга."), ("user", "Да?"), ("bot", "Да."))},
    "grandmaster": {
        "conversation": chat(("system", "Ты Сайга."), ("user", "Да?"), ("assistant", "Да."))
    },
    "openai-messages": {
        "messages": chat(("developer", "Ты Сайга."), ("user", "Да?"), ("assistant", "Да."))
    },
    "sharegpt": {
        "id": "one",
        "conversations": chat(
            ("system", "Ты Сайга."), ("human", "Да?"), ("gpt", "Да."), role="from", content="value"
        ),
    },
}


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet", ".csv"])
@pytest.mark.parametrize("mapping", SHAPES)
def test_chats_of_four_styles(tmp_path: Path, mapping: str, suffix: str) -> None:
    path = write(tmp_path / f"set{suffix}", [SHAPES[mapping] | {"score": 1}])
    (row,) = read(path, mapping)
    assert isinstance(row, Dialogue)
    assert [(turn.role, turn.content) for turn in row.turns] == [
        ("system", "Ты Сайга."),
        ("user", "Да?"),
        ("assistant", "Да."),
    ]
    assert (row.source, row.licence, row.language) == ("open:set", "CC0-1.0", "ru")
    assert row.provenance == f"{path}:{2 if suffix == '.csv' else 1}"
    assert (row.dialogue_id == "one") == (mapping == "sharegpt")


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet", ".csv"])
def test_banking77_gives_questions_for_the_teacher(tmp_path: Path, suffix: str) -> None:
    labels: list[Any] = [11, 0, 76, 77]
    rows = [{"text": f"Where is card {n}?", "label": label} for n, label in enumerate(labels)]
    path = write(tmp_path / f"set{suffix}", rows)
    *questions, bad = read(path, "banking77", licence="")
    assert all(isinstance(row, OpenQuestion) for row in questions)
    first = questions[0]
    assert isinstance(first, OpenQuestion)
    assert (first.question, first.licence, first.language) == (
        "Where is card 0?",
        "CC-BY-4.0",
        "en",
    )
    assert [row.intent for row in questions if isinstance(row, OpenQuestion)] == [
        "card_arrival",
        "activate_my_card",
        "wrong_exchange_rate_for_cash_withdrawal",
    ]
    assert isinstance(bad, QuarantinedRow)
    assert (bad.kind, bad.line) == ("wrong-value", 5 if suffix == ".csv" else 4)


def test_names_of_labels_are_taken_as_they_are(tmp_path: Path) -> None:
    path = write(tmp_path / "set.csv", [{"text": "Where?", "label": "card_arrival"}])
    (row,) = read(path, "banking77")
    assert isinstance(row, OpenQuestion)
    assert row.intent == "card_arrival"


def test_a_row_without_answer_is_rejected_where_answers_are_promised(tmp_path: Path) -> None:
    rows = [{"question": "Да?", "answer": ""}, {"question": "Да?", "answer": "Да."}]
    bad, good = read(write(tmp_path / "set.jsonl", rows), "questions-and-answers")
    assert isinstance(bad, QuarantinedRow)
    assert isinstance(good, Dialogue)
    assert bad.kind == "empty-answer"


ODD_CHATS = {
    "unanswered end is left off": (
        chat(("user", "a"), ("assistant", "b"), ("user", "c")),
        ["a", "b"],
    ),
    "parts": (
        [*chat(("user", "a")), {"role": "assistant", "content": [{"text": "b"}, {"text": "c"}]}],
        ["a", "bc"],
    ),
    "columns of lists": ({"role": ["user", "assistant"], "content": ["a", "b"]}, ["a", "b"]),
    "no answer": (chat(("user", "a")), "empty-answer"),
    "none": ([], "empty-answer"),
    "assistant first": (chat(("assistant", "a"), ("user", "b"), ("assistant", "c")), "wrong-order"),
    "twice": (chat(("user", "a"), ("user", "b"), ("assistant", "c")), "wrong-order"),
    "system amid": (chat(("user", "a"), ("system", "b"), ("assistant", "c")), "wrong-order"),
    "tool": (chat(("user", "a"), ("tool", "b"), ("assistant", "c")), "unknown-role"),
    "empty question": (chat(("user", " "), ("assistant", "c")), "empty-question"),
    "picture": (chat(("user", [{"image_url": "x"}]), ("assistant", "c")), "wrong-messages"),  # type: ignore[arg-type]
    "a number": (7, "wrong-messages"),
    "a text": ("Hello", "wrong-messages"),
    "time": ([{"role": "user", "content": "a", "time": "noon"}], "wrong-value"),
}


@pytest.mark.parametrize("name", ODD_CHATS)
def test_odd_chats(tmp_path: Path, name: str) -> None:
    given, expected = ODD_CHATS[name]
    (row,) = read(write(tmp_path / "set.jsonl", [{"messages": given}]), "openai-messages")
    if isinstance(row, Dialogue):
        assert [turn.content for turn in row.turns] == expected
    else:
        assert isinstance(row, QuarantinedRow)
        assert row.kind == expected


def test_a_mapping_of_ones_own(tmp_path: Path) -> None:
    recipe = tmp_path / "own.yaml"
    recipe.write_text(
        "description: ours\nlicence: MIT\nlanguage: kk\nquestion: Prompt Text\nanswer: reply\n"
        "fields: {intent: topic, user_id: who}\nlabels: [cards, loans]\n"
    )
    rows = [{"prompt_text": "Да?", "reply": "Да.", "topic": 1, "who": 5}]
    (row,) = read(write(tmp_path / "set.jsonl", rows), str(recipe), licence="")
    assert isinstance(row, Dialogue)
    assert (row.intent, row.licence, row.language) == ("loans", "MIT", "kk")
    assert row.user_id.startswith("usr-")


def test_rows_bound_what_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "set.jsonl", [{"question": f"{n}?", "answer": "Да."} for n in range(9)])
    assert len(read(path, "questions-and-answers", rows=4)) == 4


def test_every_recipe_loads() -> None:
    names = {path.stem for path in MAPPINGS.glob("*.yaml")}
    assert names == {*SHAPES, "banking77", "questions-and-answers"}
    assert all(load_mapping(name).description for name in names)
    assert len(load_mapping("banking77").labels) == 77


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("description: a", "give either"),
        ("description: a\nquestion: q", "give either"),
        ("description: a\nquestion: q\nanswer: a\nconversation: {column: c}", "give either"),
        ("description: a\nquestion: q\nanswer: a\ncolumns: {}", "Known keys: answer"),
        ("description: a\nconversation: {column: c, roles: {a: tool}}", "roles"),
    ],
)
def test_wrong_recipes_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "own.yaml").write_text(content)
    with pytest.raises(RecipeError, match=message):
        load_mapping(str(tmp_path / "own.yaml"))


def test_wrong_settings_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "set.csv", [{"a": "1", "b": "2"}])
    with pytest.raises(RecipeError, match=r"no mapping 'saigа'; known are banking77"):
        read(path, "saigа")
    with pytest.raises(BadInputError, match="Nobody says the licence of the source set"):
        read(path, "sharegpt", licence="")
    with pytest.raises(SchemaError, match=r"set.csv: needs .*conversations; found: a, b"):
        read(path, "sharegpt")
    for given in ({}, {"path": path, "dataset_id": "a/b"}):
        with pytest.raises(ValidationError, match="either path or dataset_id"):
            OpenSource.model_validate({"name": "x", "mapping": "saiga"} | given)


def test_missing_columns_of_parquet_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "set.parquet", [{"a": "1"}])
    with pytest.raises(SchemaError, match=r"set.parquet: needs .*messages; found: a"):
        read(path, "saiga")


def test_a_cut_parquet_is_one_quarantined_file(tmp_path: Path) -> None:
    path = write(tmp_path / "set.parquet", [SHAPES["saiga"]] * 10)
    path.write_bytes(path.read_bytes()[:-50])
    (bad,) = read(path, "saiga")
    assert isinstance(bad, QuarantinedRow)
    assert (bad.line, bad.kind) == (0, "broken-parquet")


HUB = """
import json, sys
from components.core.errors import FinistError
from components.prepare.sources.open import OpenSource, read_open
for given in json.loads(sys.argv[1]):
    try:
        print(*[row.model_dump_json() for row in read_open(OpenSource.model_validate(given))])
    except FinistError as error:
        print(type(error).__name__, error)
"""


@pytest.mark.slow
def test_data_sets_of_a_hub(tmp_path: Path) -> None:
    """In a fresh process, since the hub's client reads its environment once; no hub is there."""
    folder = tmp_path / "bank77"
    folder.mkdir()
    write(folder / "train.jsonl", [{"text": "Where?", "label": 11}])
    write(folder / "test.jsonl", [{"text": "What?", "label": 0}])
    first = {"name": "set", "dataset_id": str(folder), "mapping": "banking77"}
    given = [
        first,
        first | {"dataset_split": "test", "rows": 1},
        first | {"dataset_split": "dev"},
        first | {"mapping": "sharegpt", "licence": "MIT"},
        first | {"dataset_id": "nobody/nothing"},
    ]
    away = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    run = subprocess.run(
        [sys.executable, "-c", HUB, json.dumps(given)],
        env={**os.environ, "PYTHONPATH": "."} | away,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    train, test, split, columns, hub = run.stdout.splitlines()
    assert json.loads(train)["intent"] == "card_arrival"
    assert json.loads(test)["question"] == "What?"
    assert split.startswith("BadInputError The data set")
    assert "['train', 'test']" in split
    assert columns.startswith("SchemaError")
    assert columns.endswith("conversations; found: text, label.")
    assert hub.startswith("BadInputError The data set nobody/nothing cannot be read")
    assert hub.endswith("copy its files here and give `path` instead.")
