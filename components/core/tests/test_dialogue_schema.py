"""The exported JSON Schema is the code's, and says yes and no like the code."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from components.core.dialogue_schema import EXPORTED
from components.prepare.generate import generate
from components.prepare.load import load_bank


@pytest.fixture(scope="module")
def row() -> dict[str, Any]:
    corpus = generate(load_bank(), train_rows=1, test_rows=1, seed=0)
    content: dict[str, Any] = json.loads(corpus.train[0].model_dump_json())
    return content


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(EXPORTED.read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_exported_file_is_current(tmp_path: Path) -> None:
    output = tmp_path / "new" / "schema.json"
    command = [sys.executable, "-m", "components.core.dialogue_schema", "--output", str(output)]
    subprocess.run(command, check=True)
    assert output.read_text("utf-8") == EXPORTED.read_text("utf-8")


def test_a_row_as_written_is_valid(
    validator: jsonschema.Draft202012Validator, row: dict[str, Any]
) -> None:
    assert list(validator.iter_errors(row)) == []


@pytest.mark.parametrize(
    "change",
    [{"turns": []}, {"split": "validation"}, {"judge_score": 7}, {"dialog_id": "1"}, {"source": 1}],
)
def test_a_wrong_row_is_not(
    validator: jsonschema.Draft202012Validator, row: dict[str, Any], change: dict[str, Any]
) -> None:
    assert list(validator.iter_errors(row | change))
