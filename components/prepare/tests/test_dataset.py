"""The whole data stage, through its command line and its function: every source, every check."""

import csv
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.core import s3_client
from components.core.errors import BadInputError, LeakageError, RecipeError, SplitError
from components.core.json_lines import read_jsonl
from components.core.schemas import Dialogue, QuarantinedRow
from components.core.settings import StoreSettings
from components.core.tests.canned_server import CannedServer, serving
from components.prepare.dataset import DatasetFiles, prepare_dataset
from components.prepare.deduplication.near_duplicates import RemovedRow
from components.prepare.prepare_step import run_step
from components.prepare.recipe import RECIPES, DatasetRecipe, read_recipe
from components.prepare.synthesis.tests.teacher import faithful

SMALL = {"kind": "bank", "train_rows": 400, "test_rows": 160}
LIMITS = {"train_rows": 400, "test_rows": 160}
OWN_ANSWER = "Переводы между своими счетами в приложении бесплатны и приходят сразу, без задержек."


def files(folder: Path) -> DatasetFiles:
    names = [f"{name}.file" for name in DatasetFiles.__dataclass_fields__]
    return DatasetFiles(*(folder / name for name in names))


def recipe(*sources: dict[str, Any], **more: Any) -> DatasetRecipe:
    content = {"sources": [SMALL, *sources], "split": LIMITS, "executor": {"workers": 1}}
    return DatasetRecipe.model_validate(content | more)


def own_csv(path: Path, *rows: tuple[str, str, str]) -> dict[str, Any]:
    with path.open("w", encoding="cp1251", newline="") as file:
        csv.writer(file, delimiter=";").writerows([("вопрос", "ответ", "интент"), *rows])
    return {"kind": "own", "name": "copywriters", "path": str(path), "licence": "bank-internal"}


def chats(path: Path, *pairs: tuple[str, str]) -> dict[str, Any]:
    talks = [
        [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
        for question, answer in pairs
    ]
    rows = [{"id": f"chat-{i}", "conversations": turns} for i, turns in enumerate(talks)]
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    mapping = {"mapping": "sharegpt", "licence": "CC-BY-4.0"}
    return {"kind": "open", "name": "chats", "path": str(path)} | mapping


def command(*options: str | Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "components.prepare", *map(str, options)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def written(folder: Path, content: DatasetRecipe) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(content.model_dump(mode="json", exclude_unset=True)))
    return path


def test_the_command_makes_the_same_bytes_twice(tmp_path: Path) -> None:
    path = written(tmp_path, recipe())
    for name in ("one", "two"):
        places = ("--out", tmp_path / name, "--home", tmp_path / "home")
        done = command("--recipe", path, *places, "--parquet")
        assert done.returncode == 0, done.stderr
        assert "400 train, 160 test" in done.stdout
    made = sorted(file.name for file in (tmp_path / "one").iterdir())
    assert made == [
        *("data_card.html", "data_card.json", "data_summary.html", "near_duplicates.jsonl"),
        *("quarantine.jsonl", "test.jsonl", "test.parquet", "train.jsonl", "train.parquet"),
    ]
    for file in set(made) - {"data_summary.html"}:  # Evidently draws new ids for its page
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), (
            file
        )
    assert "fictional" in (tmp_path / "one" / "data_card.html").read_text(encoding="utf-8")
    assert list((tmp_path / "home" / "prepare").iterdir()) == [], "a finished run leaves no work"


def test_three_sources_become_one_clean_dataset(tmp_path: Path) -> None:
    own = own_csv(
        tmp_path / "own.csv",
        ("Сколько стоит перевод себе? Мой телефон +7 916 123-45-67", OWN_ANSWER, "transfer_fee"),
        ("сколько стоит перевод себе?? Мой телефон: +7 916 123-45-67", OWN_ANSWER, "transfer_fee"),
        ("Есть ли комиссия?", "", "transfer_fee"),
        ("Есть ли комиссия за перевод?", "Комиссии нет.", "no_such_intent"),
    )
    talk = chats(
        tmp_path / "chats.json",
        ("Как накопить на отпуск?", "Откладывайте понемногу с каждой зарплаты на отдельный счёт."),
        ("How do I save money?", "Put aside a little of every salary into a separate account."),
        ("Кто ты?", "Как языковая модель, я не могу ответить на этот вопрос."),
    )
    with serving(CannedServer(faithful)) as server:
        endpoint = {"base_url": server.url, "model": "canned"}
        teacher = {"kind": "synthetic", "teacher": endpoint, "judge": endpoint, "dialogues": 12}
        card = prepare_dataset(recipe(own, talk, teacher), files(tmp_path), tmp_path / "home")
    rows = read_jsonl(tmp_path / "train.file", Dialogue) + read_jsonl(
        tmp_path / "test.file", Dialogue
    )
    by_source = Counter(row.source for row in rows)
    assert by_source == {
        "synthetic:built-in-bank": 560,
        "synthetic:teacher": 12,
        "own:copywriters": 1,
        "open:chats": 1,
    }
    assert all(row.split in ("train", "test") for row in rows)
    (ours,) = (row for row in rows if row.source == "own:copywriters")
    assert ours.question == "Сколько стоит перевод себе? Мой телефон [ТЕЛЕФОН]"
    rejected = read_jsonl(tmp_path / "quarantine.file", QuarantinedRow)
    kinds = Counter(row.kind for row in rejected)
    assert kinds == {"empty-answer": 1, "unknown-intent": 1, "language-en": 1, "refusal": 1}
    assert {(Path(row.file).name, row.line) for row in rejected} >= {("own.csv", 4), ("own.csv", 5)}
    (removed,) = read_jsonl(tmp_path / "near_duplicates.file", RemovedRow)
    assert removed.kept_id == ours.dialogue_id
    assert card.masked == {"phone": 2}
    assert card.languages_dropped == {"en": 1}
    assert (card.syntheses[0].accepted, card.syntheses[0].source) == (12, "synthetic:teacher")
    page = (tmp_path / "data_card.file").read_text(encoding="utf-8")
    assert "own:copywriters" in page
    assert "916 123" not in page + (tmp_path / "quarantine.file").read_text(encoding="utf-8")


def test_a_planted_leak_fails_and_names_the_pair(tmp_path: Path) -> None:
    question = "Как мне перевести деньги между своими счетами в приложении"
    rows = [
        {"id": "a", "split": "train", "question": f"{question}?", "answer": OWN_ANSWER},
        {"id": "b", "split": "test", "question": question, "answer": "Откройте раздел «Платежи»."},
    ]
    path = tmp_path / "leak.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    source = {"kind": "own", "name": "leak", "path": str(path), "licence": "internal"}
    with pytest.raises(LeakageError, match="Как мне перевести деньги") as error:
        prepare_dataset(recipe(source), files(tmp_path), tmp_path / "home")
    assert "1 of 161 test questions" in str(error.value)
    assert not (tmp_path / "train.file").exists()


def test_too_few_rows_say_how_many_are_missing(tmp_path: Path) -> None:
    greedy = recipe(split={"train_rows": 10_000, "test_rows": 700})
    with pytest.raises(SplitError, match=r"9,600 too few.*540 too few"):
        prepare_dataset(greedy, files(tmp_path), tmp_path / "home")


def test_a_source_may_stand_in_the_store(
    s3_store: StoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_store.endpoint_url or "")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_store.access_key or "")
    secret = s3_store.secret_key.get_secret_value() if s3_store.secret_key else ""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    source = own_csv(tmp_path / "own.csv", ("Сколько стоит перевод себе?", OWN_ANSWER, ""))
    api = s3_client.client(s3_store)
    api.upload_file(source["path"], s3_store.bucket, "data/own.csv")
    source["path"] = f"s3://{s3_store.bucket}/data/own.csv"
    card = prepare_dataset(recipe(source), files(tmp_path), tmp_path / "home")
    assert {row.name for row in card.dataset.sources} >= {"own:copywriters"}


def test_the_step_takes_what_kfp_hands_over(tmp_path: Path) -> None:
    """KFP's structs know no integers: 400 arrives as 400.0."""
    content = json.loads(recipe().model_dump_json(exclude_unset=True), parse_int=float)
    outputs = [str(path) for path in files(tmp_path).all()]
    figures = run_step(content, outputs, "data_summary.html")
    assert (figures["train_rows"], figures["test_rows"]) == (400, 160)
    with pytest.raises(RecipeError, match="sources"):
        run_step({"sources": [{"kind": "csv"}]}, outputs, "")


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.yaml")))
def test_recipes_that_we_ship_can_be_read(name: str) -> None:
    assert read_recipe(Path(name)).name == name


def test_one_file_for_two_outputs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="different files"):
        prepare_dataset(recipe(), DatasetFiles(*[tmp_path / "one"] * 7), tmp_path / "home")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"bank": "nowhere"}, "finist: nowhere is no bank"),
        ({"sources": [{"kind": "bank", "train_rows": 0}]}, "greater than or equal to 1"),
        ({"sources": [SMALL | {"train_rows": 10**6}]}, "too few"),
        ({"sources": [{"kind": "own", "name": "a", "path": "no.csv", "licence": "x"}]}, "no.csv"),
    ],
)
def test_the_command_refuses_with_exit_code_2(
    tmp_path: Path, content: dict[str, Any], message: str
) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(content))
    done = command("--recipe", path, "--out", tmp_path / "out", "--home", tmp_path / "home")
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
