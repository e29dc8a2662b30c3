"""The labelled sentences, and how much of them masking finds."""

import subprocess
import sys
from pathlib import Path

import pytest

from components.core.json_lines import read_jsonl
from components.prepare.personal_data.kinds import KINDS, Span
from components.prepare.personal_data.masking import Masker
from components.prepare.personal_data.measure import Score, measure, table
from components.prepare.personal_data.write_labelled_sentences import (
    SENTENCES,
    GoldSpan,
    LabelledSentence,
    labelled_sentences,
)

FLOOR = {"name": 0.87, "phone": 0.95, "address": 0.88}
OTHERS = 0.97
"""F1 on the held-out half: what was seen, less a margin of about 0.05."""


@pytest.fixture(scope="module")
def sentences() -> list[LabelledSentence]:
    return read_jsonl(SENTENCES, LabelledSentence)


def test_the_file_is_what_the_generator_writes(sentences: list[LabelledSentence]) -> None:
    assert sentences == list(labelled_sentences())


def test_the_set_is_large_and_every_span_has_text(sentences: list[LabelledSentence]) -> None:
    assert len(sentences) >= 500
    assert sum(not sentence.spans for sentence in sentences) >= 150
    for sentence in sentences:
        for span in sentence.spans:
            piece = sentence.text[span.start : span.end]
            assert piece and piece == piece.strip()
    assert {span.kind for sentence in sentences for span in sentence.spans} == set(KINDS)


def test_the_halves_share_no_sentence(sentences: list[LabelledSentence]) -> None:
    halves = [{s.text for s in sentences if s.half == h} for h in ("development", "held_out")]
    assert halves[0] & halves[1] == set()


def test_masking_finds_what_it_found(sentences: list[LabelledSentence]) -> None:
    held_out = [sentence for sentence in sentences if sentence.half == "held_out"]
    scores = measure(held_out, Masker().find)
    below = {k: s.f1 for k, s in scores.items() if s.f1 < FLOOR.get(k, OTHERS)}
    assert below == {}


def test_a_piece_counts_when_half_of_the_longer_one_is_shared() -> None:
    sentence = LabelledSentence(
        half="development", text="x" * 20, spans=(GoldSpan(start=0, end=10, kind="name"),)
    )
    found = {
        Span(0, 10, "name"): 1,
        Span(5, 10, "name"): 1,
        Span(6, 10, "name"): 0,
        Span(0, 20, "name"): 1,
        Span(0, 10, "phone"): 0,
    }
    for span, right in found.items():
        score = measure([sentence], lambda _, span=span: [span])["name"]  # type: ignore[misc]
        assert (score.gold, score.right) == (1, right)


def test_scores_and_table() -> None:
    score = Score(gold=4, found=2, right=1)
    assert (score.precision, score.recall, score.f1) == (0.5, 0.25, 1 / 3)
    assert "| phone | 4 | 2 | 0.500 | 0.250 | 0.333 |" in table({"phone": score})


def test_the_command_prints_both_halves() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "components.prepare.personal_data.measure"],
        cwd=Path(__file__).resolve().parents[4],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "held_out: 330 sentences" in run.stdout
    assert run.stdout.count("| address |") == 2
