"""The page of recovery: whole, self-contained, honest; the shell; the line on the leaderboard."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from components.core.errors import BadInputError, SchemaError
from components.core.json_lines import write_jsonl
from components.core.schemas import Answer
from components.core.whole_files import write_text
from components.evaluate.evidence import read_evidence
from components.evaluate.page import Links
from components.evaluate.recovery.__main__ import app
from components.evaluate.recovery.quantization import Quantization
from components.evaluate.recovery.recovered import Recovery, flat
from components.evaluate.recovery.report import RecoveryInputs, write_recovery
from components.evaluate.recovery.tests import invented_recovery
from components.evaluate.recovery.tests.invented_recovery import write_inputs
from components.evaluate.report import ReportInputs, write_report
from components.evaluate.tests import invented
from components.evaluate.tests.test_report import Page, words
from components.quantize import results
from components.quantize.settings import QuantizeSettings


@pytest.fixture
def inputs(tmp_path: Path) -> RecoveryInputs:
    return write_inputs(tmp_path / "in")


def page_of(inputs: RecoveryInputs, folder: Path) -> str:
    write_recovery(inputs, folder / "recovery.html", folder / "recovery.json")
    return (folder / "recovery.html").read_text("utf-8")


def test_the_page_is_whole_self_contained_and_the_same_again(
    inputs: RecoveryInputs, tmp_path: Path
) -> None:
    text = page_of(inputs, tmp_path)
    page = Page(text)
    assert (page.loaded, page.open) == ([], [])
    assert text.count("<svg ") == 2
    assert page_of(inputs, tmp_path / "again") == text


def test_the_page_says_what_was_lost_and_what_it_bought(
    inputs: RecoveryInputs, tmp_path: Path
) -> None:
    seen = words(page_of(inputs, tmp_path))
    assert "quantized against tuned: W4A16 by GPTQ" in seen
    assert "keeps less than 98% of exact facts, G-Eval, benchmark general" in seen
    assert "2.38 times smaller 268.7 MB of weights became 113.0 MB" in seen
    assert "1.39 times faster at 8 requests in flight: 164 tokens a second became 227" in seen
    assert "97.4% 94.8% to 99.5%" in seen
    assert "not measured: its data set cannot be reached from here" in seen
    assert "lm_head output layer: its errors go into the logits unchanged" in seen
    assert "Both were served on 2 invented cores" in seen
    assert "cannot rule out" not in seen


def test_a_doubt_that_the_questions_leave_is_said(inputs: RecoveryInputs, tmp_path: Path) -> None:
    """13 wrong instead of 10 of 200 keep 98.4%, and the interval reaches below 98%."""
    write_jsonl(inputs.answers[1], invented_recovery.answers("quantized", 13, 4.6))
    seen = words(page_of(replace(inputs, benchmarks=None), tmp_path))
    assert "keeps at least 98% of every metric; least of exact facts: 98.4%" in seen
    assert "The interval reaches below 98% for exact facts" in seen
    assert "benchmarks not measured: none were run for both models" in seen


def test_speeds_of_two_machines_are_said_not_to_compare(
    inputs: RecoveryInputs, tmp_path: Path
) -> None:
    figures = invented_recovery.figures("quantized", 0.21, 900)
    other = figures.model_copy(update={"machine": "one H100"})
    write_text(inputs.figures[1], other.model_dump_json())
    seen = words(page_of(inputs, tmp_path))
    assert "quantized on one H100: their speeds do not compare" in seen


def test_what_is_slower_here_is_called_so(inputs: RecoveryInputs, tmp_path: Path) -> None:
    figures = invented_recovery.figures("quantized", 0.21, 6)
    write_text(inputs.figures[1], figures.model_dump_json())
    seen = words(page_of(inputs, tmp_path))
    assert "5.17 times slower at 1 request in flight: 31 tokens a second became 6.0" in seen
    assert "a factor measured here says nothing about another machine" in seen


def test_dequantized_weights_have_no_speed_of_their_own(
    inputs: RecoveryInputs, tmp_path: Path
) -> None:
    figures = invented_recovery.figures("quantized", 0.21, 30)
    dense = figures.model_copy(update={"served": "/home/finist/models/quantized-12ab-dense"})
    write_text(inputs.figures[1], dense.model_dump_json())
    text = page_of(inputs, tmp_path)
    assert "quantized was served dequantized" in words(text)
    assert "times faster" not in words(text)
    found = read_evidence(tmp_path / "recovery.json", Recovery)
    assert found.after.dequantized
    assert not [name for name in flat(found) if name.startswith("throughput")]


def test_nothing_measured_still_makes_a_page(inputs: RecoveryInputs, tmp_path: Path) -> None:
    for side, name in enumerate(("tuned", "quantized")):
        rows = [invented.answer(n, name, side == 1) for n in range(20)]
        write_jsonl(inputs.answers[side], rows)
        figures = invented_recovery.figures(name, 0.2, 30).model_copy(update={"loads": ()})
        write_text(inputs.figures[side], figures.model_dump_json())
    text = page_of(replace(inputs, benchmarks=None), tmp_path)
    assert "nothing to recover a share of" in words(text)
    assert text.count("<svg ") == 1
    assert Page(text).open == []


def test_files_of_another_kind_are_refused(inputs: RecoveryInputs, tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="holds no Quantization"):
        page_of(replace(inputs, quantization=inputs.figures[0]), tmp_path)
    empty: list[Answer] = []
    write_jsonl(inputs.answers[0], empty)
    with pytest.raises(BadInputError, match="holds no answers"):
        page_of(inputs, tmp_path)


def test_a_name_that_is_markup_is_text(inputs: RecoveryInputs, tmp_path: Path) -> None:
    said = invented_recovery.quantization().model_dump()
    said["left_alone"] = [{"layer": "<script>alert(1)</script>", "why": "a & b"}] * 5
    write_text(inputs.quantization, json.dumps(said))
    text = page_of(inputs, tmp_path)
    assert "<script>" not in text
    assert "and 2 more" in words(text)


def test_what_the_quantize_step_writes_is_read() -> None:
    written = results.Quantization(
        settings=QuantizeSettings(scheme="w8a8", algorithm="rtn"),
        calibration=results.Calibration(rows=8, tokens=300, too_long=0, digest="0"),
        quantized_layers=2,
        left_alone=(results.LeftAlone(layer="lm_head", why="output layer"),),
        error_of="weights",
        errors=(results.LayerError(layer="a", error=0.1),),
        bytes_before={"linear layers": 400},
        bytes_after={"linear layers": 200, "scales": 4},
        seconds={"quantize": 1.0},
        versions={"torch": "2"},
    )
    read = Quantization.model_validate_json(written.model_dump_json())
    assert (read.name, read.sizes, read.quantized_layers) == ("W8A8 by RTN", (400, 204), 2)
    assert read.reasons() == {"output layer": ["lm_head"]}
    assert read.calibration is not None
    assert read.calibration.tokens == 300


def test_the_shell_gives_the_same(inputs: RecoveryInputs, tmp_path: Path) -> None:
    page_of(inputs, tmp_path)
    files = {
        "answers": inputs.answers,
        "figures": inputs.figures,
        "benchmarks": inputs.benchmarks or (),
    }
    options = [
        part
        for kind, pair in files.items()
        for side, path in zip(("before", "after"), pair, strict=True)
        for part in (f"--{side}-{kind}", str(path))
    ]
    written = ["--report", str(tmp_path / "b.html"), "--evidence", str(tmp_path / "b.json")]
    options += ["--quantization", str(inputs.quantization), *written]
    done = CliRunner().invoke(app, ["report", *options])
    assert done.exit_code == 0, done.output
    assert "accuracy: 0.9500 -> 0.9250, recovery 97.4% (94.8% to 99.5%), n = 200" in done.output
    assert (tmp_path / "b.html").read_text() == (tmp_path / "recovery.html").read_text()
    assert (tmp_path / "b.json").read_text() == (tmp_path / "recovery.json").read_text()


def test_the_leaderboard_has_a_line_and_a_link(inputs: RecoveryInputs, tmp_path: Path) -> None:
    write_recovery(inputs, tmp_path / "recovery.html", tmp_path / "recovery.json")
    rows = [[invented.answer(n, "gigachat", n < 50) for n in range(200)]]
    rows.append([invented.answer(n, "quantized", True) for n in range(200)])
    asked = ReportInputs(
        answers=invented.write_all(tmp_path, rows),
        recovery=tmp_path / "recovery.json",
        links=Links(recovery="recovery.html"),
    )
    board = write_report(asked, tmp_path / "report.html", tmp_path / "board.json")
    assert board.recovery == read_evidence(tmp_path / "recovery.json", Recovery)
    text = (tmp_path / "report.html").read_text()
    assert 'href="recovery.html"' in text
    assert "quantized is tuned in W4A16 by GPTQ, 2.38 times smaller; it keeps 90.0%" in words(text)
    renamed = [answer.model_copy(update={"contender": "tuned"}) for answer in rows[1]]
    write_jsonl(asked.answers[1], renamed)
    with pytest.raises(BadInputError, match="that of 'quantized' and the candidate is 'tuned'"):
        write_report(asked, tmp_path / "report.html")
