"""The leaderboard's figures and the page: complete, self-contained, safe, deterministic."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from kfp import dsl
from typer.testing import CliRunner

from components.core.errors import BadInputError
from components.core.json_lines import write_jsonl
from components.core.schemas import Answer, Fact, LossPoint
from components.evaluate.__main__ import app
from components.evaluate.component import leaderboard
from components.evaluate.leaderboard import compare, rank, summary
from components.evaluate.report import choose_examples, emulator_note, marked, write_report

LOSSES = [
    LossPoint(series="heldout_base", step=0, loss=2.6),
    *(LossPoint(series="train", step=step, loss=3 / (1 + step)) for step in range(0, 60, 5)),
    *(LossPoint(series="heldout", step=step, loss=3.3 / (1 + step)) for step in range(10, 60, 10)),
]


def answer(number: int, contender: str, right: bool, **changes: object) -> Answer:
    row = Answer(
        dialogue_id=f"d{number}",
        contender=contender,
        intent=f"{'card' if number % 2 else 'deposit'}_{number % 6}",
        product="sokol",
        question=f"Какая ставка номер {number}?",
        reference=f"Ставка {number}%.",
        answer=f"Ставка {number if right else number + 100}% <b>годовых</b>.",
        facts=(Fact(name="rate", value=f"{number}%"),),
        finish_reason="stop",
        prompt_tokens=9,
        completion_tokens=5,
        latency_seconds=0.5 + number / 100,
        first_token_seconds=0.1,
    )
    return row.model_copy(update=changes)


def contenders() -> tuple[list[Answer], list[Answer]]:
    baseline = [answer(n, "gigachat-emulator", n % 10 == 0) for n in range(60)]
    tuned = [answer(n, "tuned", n % 6 != 0) for n in range(60)]
    failed = {"answer": "", "finish_reason": "error: it answered HTTP 500", "completion_tokens": 0}
    tuned[7] = tuned[7].model_copy(update=failed | {"first_token_seconds": None})
    return baseline, tuned


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    baseline, tuned = contenders()
    paths = {name: tmp_path / f"{name}.jsonl" for name in ("baseline", "tuned", "losses")}
    write_jsonl(paths["baseline"], baseline)
    write_jsonl(paths["tuned"], tuned)
    write_jsonl(paths["losses"], LOSSES)
    return paths


class Page(HTMLParser):
    """Gathers the addresses that a browser would load, and checks that tags are closed."""

    VOID = frozenset(("meta", "link", "img", "br", "input", "hr"))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open += [] if tag in self.VOID else [tag]
        wanted = {"src", "href"} if tag != "a" else set()
        self.loaded += [v for k, v in attrs if v and k.split(":")[-1] in wanted and v[0] != "#"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_leaderboard_counts_by_hand() -> None:
    baseline, tuned = contenders()
    board = rank(baseline, [tuned], LOSSES)
    assert [row.measures.contender for row in board.standings] == ["tuned", "gigachat-emulator"]
    best = board.best
    assert best is not None
    assert best.comparison is not None
    assert best.measures.accuracy is not None
    assert best.measures.accuracy.mean == pytest.approx(49 / 60)
    assert best.comparison.difference.mean == pytest.approx(43 / 60)
    assert (best.comparison.wins, best.comparison.ties, best.comparison.losses) == (45, 13, 2)
    assert best.comparison.verdict == "better"
    assert board.heldout_loss_base == 2.6
    assert board.heldout_loss_tuned == pytest.approx(3.3 / 51)
    figures = summary(board)
    assert figures["tuned.outcome_error"] == 1
    assert figures["tuned.difference_low"] > 0.5


def test_worse_and_equal_are_called_so() -> None:
    baseline, tuned = contenders()
    swapped = compare(baseline, tuned)
    assert swapped is not None
    assert swapped.verdict == "worse"
    same = compare(tuned, tuned)
    assert same is not None
    assert same.verdict == "no difference shown"


def test_different_questions_cannot_be_compared() -> None:
    baseline, tuned = contenders()
    with pytest.raises(BadInputError, match="different questions"):
        rank(baseline, [tuned[1:]])


def test_the_page_is_whole_self_contained_small_and_says_what_the_baseline_is(
    files: dict[str, Path], tmp_path: Path
) -> None:
    report, board = tmp_path / "out" / "report.html", tmp_path / "out" / "summary.json"
    sources = [files["baseline"], files["tuned"]]
    write_report(sources, files["losses"], report, board)
    text = report.read_text("utf-8")
    page = Page(text)
    assert page.loaded == []
    assert page.open == []
    assert "url(http" not in text
    assert len(text.encode()) < 3_000_000
    assert emulator_note("").replace("'", "&#39;") in text
    assert text.count("<article") >= 10
    assert text.count("<svg ") == 4
    assert "it answered HTTP 500" in text
    assert json.loads(board.read_text("utf-8"))["baseline"] == "gigachat-emulator"
    write_report(sources, files["losses"], tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text("utf-8") == text


@pytest.mark.parametrize(
    "base_model", ["/models/SmolLM2-360M/", "s3://bank/models/SmolLM2-360M", "SmolLM2-360M"]
)
def test_the_note_names_the_model_that_stands_in(
    files: dict[str, Path], tmp_path: Path, base_model: str
) -> None:
    report = tmp_path / "report.html"
    write_report([files["baseline"], files["tuned"]], None, report, base_model=base_model)
    text = report.read_text("utf-8")
    assert "It is SmolLM2-360M, not fine-tuned, prompted" in text
    assert "135M" not in text


def test_a_real_baseline_carries_no_note_and_losses_may_be_absent(
    files: dict[str, Path], tmp_path: Path
) -> None:
    report = tmp_path / "report.html"
    sources = [files["baseline"], files["tuned"]]
    write_report(sources, None, report, emulated_baseline=False)
    text = report.read_text("utf-8")
    assert "stand-in" not in text
    assert text.count("<svg ") == 3


def test_examples_mix_right_and_wrong_and_do_not_depend_on_order() -> None:
    baseline, tuned = contenders()
    examples = choose_examples(baseline, tuned)
    assert len(examples) == 12
    assert sum(example.candidate.score == 1 for example in examples) == 8
    assert len({example.intent for example in examples}) == 6
    assert choose_examples(baseline[::-1], tuned[::-1]) == examples


def test_what_a_model_writes_is_never_markup() -> None:
    text = '<script>alert(1)</script> ставка 5 % & "всё"'
    html = marked(text, (Fact(name='a"b', value="5%"), Fact(name="c", value="5 процентов")))
    assert "<script>" not in html
    assert re.findall("<mark[^>]*>(.*?)</mark>", html) == ["5 %"]
    assert html.striptags() == text


def test_an_empty_file_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    write_jsonl(empty, [])
    with pytest.raises(BadInputError, match=r"empty\.jsonl"):
        write_report([files["baseline"], empty], None, tmp_path / "r.html")


def test_the_command_prints_the_verdict(files: dict[str, Path], tmp_path: Path) -> None:
    report = tmp_path / "r.html"
    options = ["--baseline", str(files["baseline"]), "--candidate", str(files["tuned"])]
    got = CliRunner().invoke(app, ["leaderboard", *options, "--report", str(report)])
    assert got.exit_code == 0, got.output
    assert "tuned: 81.7% of exact facts, better" in got.output
    assert "weak stand-in" in got.output
    assert report.exists()


def test_the_kfp_face_writes_page_and_metrics(files: dict[str, Path], tmp_path: Path) -> None:
    page, figures = dsl.HTML(uri=str(tmp_path / "kfp.html")), dsl.Metrics(uri=str(tmp_path / "m"))
    leaderboard.python_func(
        baseline=dsl.Dataset(uri=str(files["baseline"])),
        candidate=dsl.Dataset(uri=str(files["tuned"])),
        losses=dsl.Dataset(uri=str(files["losses"])),
        report=page,
        summary=figures,
        board=dsl.Artifact(uri=str(tmp_path / "summary.json")),
        watch_link="watch.html",
    )
    assert 'href="watch.html"' in (tmp_path / "kfp.html").read_text("utf-8")
    assert figures.metadata["tuned.exact_fact_accuracy"] == pytest.approx(49 / 60)
