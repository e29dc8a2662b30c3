"""The page: complete, self-contained, safe, deterministic, and honest about what it shows."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markupsafe import Markup, escape

from components.core.errors import BadInputError, SchemaError
from components.core.json_lines import write_jsonl
from components.core.prices import Prices
from components.core.schemas import Answer, Fact
from components.core.whole_files import write_text
from components.evaluate.examples import (
    choose_disagreements,
    choose_examples,
    disagreement,
    marked,
)
from components.evaluate.failures import answer_failures, judge_failures
from components.evaluate.gates import Gate, Gates
from components.evaluate.leaderboard import read_board, summary
from components.evaluate.page import UNKNOWN_JUDGE, Links
from components.evaluate.report import ReportInputs, emulator_note, write_report
from components.evaluate.tests import invented
from components.evaluate.tests.invented import answer, contenders, judged

GATES = Gates(
    gates=(
        Gate(name="Facts", metric="candidate.accuracy", kind="at_least", limit=0.5, why="a"),
        Gate(
            name="Ability",
            metric="benchmark.general.difference",
            kind="at_least",
            limit=-0.03,
            why="<b>",
        ),
    )
)
MOST_BYTES = 3_000_000


@pytest.fixture
def inputs(tmp_path: Path) -> ReportInputs:
    """Everything that a report can be made from, where the candidate lost general ability."""
    write_jsonl(tmp_path / "losses", invented.LOSSES)
    files = {
        "agreement": invented.agreement(),
        "base": invented.benchmarks(0.5, "base"),
        "after": invented.benchmarks(0.4, "orpo"),
    }
    for name, content in files.items():
        write_text(tmp_path / name, content.model_dump_json())
    return ReportInputs(
        answers=invented.write_all(tmp_path, contenders()),
        candidate=invented.CANDIDATE,
        losses=tmp_path / "losses",
        agreement=tmp_path / "agreement",
        judge_described="an invented judge",
        benchmarks=(tmp_path / "base", tmp_path / "after"),
        prices={"gigachat": Prices(prompt=400, completion=400)},
        gates=GATES,
        links=Links(watch="watch.html"),
        base_model="/models/SmolLM2-360M/",
    )


@pytest.fixture
def bare(tmp_path: Path) -> ReportInputs:
    """Answers alone, as the short laptop run has them."""
    folder = tmp_path / "bare"
    return ReportInputs(answers=invented.write_all(folder, contenders(with_judge=False)[:2]))


def page_of(inputs: ReportInputs, folder: Path) -> str:
    write_report(inputs, folder / "report.html")
    return (folder / "report.html").read_text("utf-8")


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


def words(html: str) -> str:
    """What a reader sees, with single spaces."""
    return Markup(html.replace("<", " <")).striptags()


def cautions(html: str) -> list[str]:
    """The sentences that say how far the judge can be trusted."""
    return [words(found) for found in re.findall(r'<p class="caution">.*?</p>', html, re.DOTALL)]


def test_the_page_is_whole_self_contained_small_and_the_same_again(
    inputs: ReportInputs, tmp_path: Path
) -> None:
    text = page_of(inputs, tmp_path / "out")
    page = Page(text)
    assert page.loaded == []
    assert page.open == []
    assert "url(http" not in text
    assert len(text.encode()) < MOST_BYTES
    assert text.count("<svg ") == 6
    assert text.count("<article") >= 12
    assert 'href="watch.html"' in text
    assert page_of(inputs, tmp_path / "again") == text


def test_seven_hundred_questions_stay_small(tmp_path: Path) -> None:
    rows = [
        [
            judged(answer(n, name, n % 3 != 0), dict.fromkeys(invented.WEIGHTS, 1 + n % 5))
            for n in range(700)
        ]
        for name in invented.RIGHT
    ]
    text = page_of(ReportInputs(answers=invented.write_all(tmp_path, rows)), tmp_path)
    assert len(text.encode()) < MOST_BYTES


def test_the_verdict_is_the_candidates_though_another_is_better(
    inputs: ReportInputs, tmp_path: Path
) -> None:
    text = words(page_of(inputs, tmp_path / "out"))
    assert "orpo against gigachat" in text
    assert "orpo does not pass 1 of 2 gates, so nothing is published" in text
    assert "Ability: benchmark.general.difference is -10.0 points, and must be at least" in text
    assert "The best on this page is tuned" in text
    passing = replace(inputs, gates=Gates(gates=GATES.gates[:1]))
    text = words(page_of(passing, tmp_path / "passes"))
    assert "may be released orpo passes its one gate" in text


def test_the_board_can_be_read_again_with_its_gates(inputs: ReportInputs, tmp_path: Path) -> None:
    board = write_report(inputs, tmp_path / "r.html", tmp_path / "board.json")
    assert read_board(tmp_path / "board.json") == board
    assert [verdict.passed for verdict in board.gates] == [True, False]
    figures = summary(board)
    assert (figures["gate.Facts"], figures["gate.Ability"]) == (1, 0)
    assert figures["judge.spearman"] == 0.62
    assert figures["benchmark.general.difference"] == pytest.approx(-0.1)


def test_costs_that_are_not_known_are_called_so(inputs: ReportInputs, tmp_path: Path) -> None:
    text = page_of(inputs, tmp_path / "out")
    cells = re.findall(r'<td data-label="Cost of 1,000 answers">(.*?)</td>', text)
    shown = sorted(words(cell) for cell in cells)
    assert shown == ["51.73 RUB", "unknown", "unknown", "unknown"]


def test_the_judges_doubt_stands_wherever_its_scores_do(
    inputs: ReportInputs, tmp_path: Path
) -> None:
    text = page_of(inputs, tmp_path / "out")
    assert len(cautions(text)) == 4
    assert all("0.62" in caution for caution in cautions(text))
    heat = text[text.index('<table class="heat">') :]
    assert words(heat[heat.index("<tbody>") : heat.index("</tr>", heat.index("<tbody>"))]) == (
        "1 (80) 60 15 5 0 0"
    )
    unmeasured = page_of(replace(inputs, agreement=None), tmp_path / "unknown")
    assert cautions(unmeasured) == [UNKNOWN_JUDGE] * 4


def test_failures_are_listed_as_what_they_are(inputs: ReportInputs, tmp_path: Path) -> None:
    text = page_of(inputs, tmp_path / "out")
    assert "it answered HTTP 500: &lt;b&gt;no&lt;/b&gt; memory" in text
    rows = contenders()
    found = {(one.contender, one.kind): one.count for one in answer_failures(rows)}
    assert found == {
        ("gigachat", "blocked"): 2,
        ("tuned", "error"): 1,
        ("orpo", "timeout"): 1,
        ("distilled", "empty"): 1,
        ("distilled", "cut off"): 1,
    }
    assert {(one.kind, one.cause) for one in judge_failures(rows)} == {
        ("unparseable", "no number in 'Отличный ответ!'")
    }


def test_a_run_without_judge_gates_and_evidence_says_so(bare: ReportInputs, tmp_path: Path) -> None:
    text = page_of(bare, tmp_path / "out")
    seen = words(text)
    assert "No gates were set for this run" in seen
    assert "No judge was asked in this run" in seen
    assert "Benchmarks" not in seen
    assert 'class="caution"' not in text
    assert text.count("<svg ") == 3
    assert Page(text).open == []


def test_questions_without_facts_still_make_a_page(tmp_path: Path) -> None:
    rows = [[answer(n, name, True, facts=()) for n in range(12)] for name in ("gigachat", "tuned")]
    text = page_of(ReportInputs(answers=invented.write_all(tmp_path, rows)), tmp_path)
    assert "No question of this test requires a fact" in text
    assert text.count("<svg ") == 1


@pytest.mark.parametrize(
    "base_model", ["/models/SmolLM2-360M/", "s3://bank/models/SmolLM2-360M", "SmolLM2-360M"]
)
def test_the_note_names_the_model_that_stands_in(base_model: str) -> None:
    assert "It is SmolLM2-360M, not fine-tuned, prompted" in emulator_note(base_model)


def test_only_an_emulated_baseline_carries_the_note(bare: ReportInputs, tmp_path: Path) -> None:
    assert words(str(escape(emulator_note("")))) in words(page_of(bare, tmp_path / "out"))
    real = replace(bare, emulated_baseline=False)
    assert "stand-in" not in page_of(real, tmp_path / "real")


def test_examples_mix_right_and_wrong_and_do_not_depend_on_order() -> None:
    baseline = [answer(n, "gigachat", n % 10 == 0) for n in range(60)]
    tuned = [answer(n, "tuned", n % 5 != 0) for n in range(60)]
    examples = choose_examples(baseline, tuned)
    assert len(examples) == 12
    assert sum(example.sides[1].facts == 1 for example in examples) == 8
    assert len({example.intent for example in examples}) == 6
    assert choose_examples(baseline[::-1], tuned[::-1]) == examples


def test_disagreements_are_measured_by_hand_and_come_largest_first() -> None:
    scores = dict.fromkeys(invented.WEIGHTS, 4.0)
    rows = [
        [answer(n, "gigachat", True) for n in range(4)],
        [answer(n, "tuned", n != 2) for n in range(4)],
    ]
    rows[0][1] = judged(rows[0][1], scores)
    rows[0][2] = judged(rows[0][2], dict.fromkeys(invented.WEIGHTS, 5.0))
    rows[1][2] = judged(rows[1][2], scores)
    found = disagreement([rows[0][2], rows[1][2]])
    assert (found.facts, found.geval, found.judge) == pytest.approx((1, 0.25, 0.75))
    assert found.by == "tuned"
    examples = choose_disagreements(rows)
    assert [example.question for example in examples] == [rows[0][2].question, rows[0][1].question]
    assert examples[0].why == (
        "exact facts differ by 100 points; the judge's scores by 1.0 of 4; judge and facts on "
        "tuned by 75% of the scale"
    )
    assert choose_disagreements([rows[0][:1], rows[1][:1]]) == []


def test_what_a_model_writes_is_never_markup() -> None:
    text = '<script>alert(1)</script> ставка 5 % & "всё"'
    html = marked(text, (Fact(name='a"b', value="5%"), Fact(name="c", value="5 процентов")))
    assert "<script>" not in html
    assert re.findall("<mark[^>]*>(.*?)</mark>", html) == ["5 %"]
    assert html.striptags() == text


def test_an_empty_file_is_refused(bare: ReportInputs, tmp_path: Path) -> None:
    empty: list[Answer] = []
    write_jsonl(tmp_path / "empty.jsonl", empty)
    with pytest.raises(BadInputError, match=r"empty\.jsonl"):
        write_report(
            replace(bare, answers=[bare.answers[0], tmp_path / "empty.jsonl"]), tmp_path / "r.html"
        )


def test_evidence_of_another_kind_is_refused(inputs: ReportInputs, tmp_path: Path) -> None:
    wrong = replace(inputs, agreement=tmp_path / "base")
    with pytest.raises(SchemaError, match=r"base holds no JudgeAgreement"):
        write_report(wrong, tmp_path / "r.html")


FRAME = """<body style="margin:0"><iframe id="f" src="report.html" style="width:390px;height:900px">
</iframe><script>f.onload = () => {
  const page = f.contentDocument.documentElement;
  document.title = JSON.stringify([page.scrollWidth, page.clientWidth]);
}</script>"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
def test_nothing_scrolls_sideways_on_a_phone(inputs: ReportInputs, tmp_path: Path) -> None:
    page_of(inputs, tmp_path)
    (tmp_path / "frame.html").write_text(FRAME, encoding="utf-8")
    command = [
        *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *("--allow-file-access-from-files", "--virtual-time-budget=3000", "--dump-dom"),
        *(f"--user-data-dir={tmp_path / 'browser'}", (tmp_path / "frame.html").as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    title = re.search(r"<title>(\[.*?\])</title>", done.stdout)
    assert title is not None
    needed, there = json.loads(title.group(1))
    assert there > 300
    assert needed <= there
