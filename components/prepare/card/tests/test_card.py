"""The data card through its real entry points: files in, counts, page and JSON out."""

import random
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import BadInputError, SchemaError
from components.core.json_lines import write_jsonl
from components.core.schemas import Dialogue, Fact, QuarantinedRow, Turn
from components.prepare.card.card_input import (
    CardInput,
    Duplicates,
    Leakage,
    LeakPair,
    RejectedRows,
    Spending,
    Stage,
    Synthesis,
)
from components.prepare.card.gather import count_quarantine, dropped_languages, gather
from components.prepare.card.histograms import (
    MOST_BINS,
    describe_lengths,
    length_histogram,
    score_histogram,
    split_scores,
)
from components.prepare.card.page import percent, short_count, write_card
from components.prepare.card.sampling import Reservoir, in_turns
from components.prepare.catalogue import Bank
from components.prepare.generate import generate
from components.prepare.load import load_bank

SOURCES = ("own:copywriters", "open:banking77", "synthetic:teacher")
HOSTILE = "<script>alert(1)</script>"


def dialogue(number: int, source: str = SOURCES[0], **changes: object) -> Dialogue:
    turns = (
        Turn(role="user", content=f"Меня зовут [ИМЯ], вопрос {number}?"),
        Turn(role="assistant", content=f"Ответ {number}: ставка 16,5%."),
    )
    row = Dialogue(
        dialogue_id=f"d{number}",
        request_id=f"q{number}",
        response_id=f"a{number}",
        user_id="usr-1",
        turns=turns,
        intent=f"intent_{number % 3}",
        source=source,
        licence=f"licence of {source}",
        provenance=f"{source}.csv:{number}",
    )
    return row.model_copy(update=changes)


def split_files(folder: Path, train: list[Dialogue], test: list[Dialogue]) -> tuple[Path, Path]:
    write_jsonl(folder / "train.jsonl", train)
    write_jsonl(folder / "test.jsonl", test)
    return folder / "train.jsonl", folder / "test.jsonl"


@pytest.fixture(scope="module")
def bank() -> Bank:
    return load_bank()


@pytest.fixture(scope="module")
def built_in(bank: Bank, tmp_path_factory: pytest.TempPathFactory) -> CardInput:
    corpus = generate(bank, train_rows=1000, test_rows=200, seed=0)
    files = split_files(tmp_path_factory.mktemp("bank"), list(corpus.train), list(corpus.test))
    return CardInput(name="demo", seed=0, recipe={}, dataset=gather(*files, seed=0, bank=bank))


@pytest.fixture
def three_sources(tmp_path: Path) -> CardInput:
    train = [dialogue(n, SOURCES[n % 3], judge_score=4.5 if n % 3 == 2 else None) for n in range(9)]
    hostile = dialogue(9, intent=HOSTILE, facts=(Fact(name="rate", value=HOSTILE),))
    files = split_files(tmp_path, train, [hostile])
    passed, failed = split_scores([4.5, 4.5, 4.5, 2.0], 4.0)
    return CardInput(
        name=f"Dialogues {HOSTILE}",
        seed=3,
        recipe={"path": "вопросы.xlsx", "note": HOSTILE},
        dataset=gather(*files, seed=3),
        stages=(Stage(name="read", rows_in=14, rows_out=12, note=HOSTILE),),
        languages_dropped={"en": 2},
        masked={"phone": 5},
        dialogues_masked=4,
        rejected=(RejectedRows(kind="empty-answer", rows=2, example=f"a.csv:3: {HOSTILE}"),),
        quarantine="quarantine.jsonl",
        duplicates=Duplicates(threshold=0.8, removed={SOURCES[1]: 7}, file="removed.jsonl"),
        syntheses=(
            Synthesis(
                source=SOURCES[2],
                planned=5,
                accepted=3,
                not_asked=1,
                rejected={"unparseable": 1},
                threshold=4.0,
                passed=passed,
                failed=failed,
                prompts=("teacher_task.v1",),
                spending=(
                    Spending(
                        role="teacher",
                        model="tiny-teacher",
                        requests=4,
                        requests_before=2,
                        estimated_requests=1,
                        prompt_tokens=1234,
                        completion_tokens=56,
                        money=0.0123,
                    ),
                ),
                budget=1.0,
                note="The teacher is a stand-in.",
            ),
        ),
        leakage=Leakage(
            questions=10,
            offending=1,
            max_share=0.2,
            pairs=(
                LeakPair(
                    test_id="d9",
                    train_id="d0",
                    test_text=HOSTILE,
                    train_text="t",
                    jaccard=0.91,
                    containment=0.95,
                ),
            ),
        ),
        summary_page="summary.html",
    )


class Page(HTMLParser):
    """What stands on a page: its text, its tags that are open at the end, addresses it loads."""

    VOID = ("meta", "br", "img", "link", "input")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen = Counter[str]()
        self.texts: list[str] = []
        self.loads: list[str] = []
        self.feed(html)
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen[tag] += 1
        self.loads += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def page_of(card: CardInput, folder: Path) -> Page:
    write_card(card, folder / "out/card.html", folder / "out/card.json")
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["card.html", "card.json"]
    page = Page((folder / "out/card.html").read_text("utf-8"))
    assert page.open == []
    return page


def test_counts_are_those_of_the_files(tmp_path: Path) -> None:
    families = {"phrasing_family": "f/1"}
    train = [dialogue(n, SOURCES[n % 2], **families) for n in range(6)]
    more = (*train[0].turns, *train[0].turns)
    test = [dialogue(10, turns=more, phrasing_family="f/2"), dialogue(11, **families)]
    data = gather(*split_files(tmp_path, train, test), seed=0)
    assert (data.train, data.test) == (6, 2)
    own, open_data = sorted(data.sources, key=lambda source: source.name, reverse=True)
    assert (own.name, own.train, own.test) == (SOURCES[0], 3, 2)
    assert (open_data.name, open_data.train, open_data.test) == (SOURCES[1], 3, 0)
    assert own.licence == f"licence of {SOURCES[0]}"
    assert own.provenance == f"{SOURCES[0]}.csv:0"
    assert {row.name: row.total for row in data.intents} == {
        "intent_0": 2,
        "intent_1": 3,
        "intent_2": 3,
    }
    assert (data.families.train, data.families.test, data.shared_families) == (1, 2, 1)
    assert data.multi_turn == 1
    assert data.languages == {"ru": 8}
    assert data.questions.longest == max(len(row.question) for row in (*train, *test))
    assert data.judged is None


def test_the_demo_says_that_a_generator_wrote_it(built_in: CardInput, tmp_path: Path) -> None:
    page = page_of(built_in, tmp_path)
    assert "All rows are synthetic: a deterministic generator" in page.text
    assert "no LLM took part" in page.text
    assert "written by a teacher model" not in page.text
    for not_run in ("Not checked.", "Not looked for.", "Not masked", "No step is on record."):
        assert not_run in page.text
    assert "ставка по вкладу" in page.text
    assert page.seen["article"] == 10
    assert len(built_in.dataset.examples) == 10


def test_every_part_stands_on_the_page(three_sources: CardInput, tmp_path: Path) -> None:
    text = page_of(three_sources, tmp_path).text
    for said in (
        "3 of 10 rows were written by a teacher model: tiny-teacher.",
        "The teacher is a stand-in.",
        "synthetic:teacher stopped at its budget: 1 of 5 dialogues were not made.",
        "not asked: budget 1 20.0%",
        "2 requests were paid for by earlier runs",
        "Tokens of 1 requests are estimates. Prompts: teacher_task.v1.",
        "3 of 10 rows were judged",
        "1 of 10 test questions are seen in training (10.0%; the step fails above 20.0%).",
        "Jaccard 0.91, 95.0% contained · test d9 · train d0",
        "open:banking77 7 Each with the row that was kept in removed.jsonl.",
        "phone 5",
        "ru 10 83.3% 0",
        "en 0 2 16.7%",
        "empty-answer 2 a.csv:3",
        "accepted 3 60.0%",
        "dialogues with more than one question",
        "unparseable 1 20.0%",
        "1,234 56 0.0123",
        "of a budget of 1.00",
        "licence of own:copywriters",
        "вопросы.xlsx",
    ):
        assert said in text
    assert "deterministic generator" not in text


@pytest.mark.parametrize(
    ("share", "written"), [(0, "0.0%"), (0.0004, "<0.1%"), (0.0005, "0.1%"), (1, "100.0%")]
)
def test_a_share_that_rounds_to_nothing_is_still_seen(share: float, written: str) -> None:
    assert percent(share) == written


def test_the_page_loads_nothing_and_runs_nothing(three_sources: CardInput, tmp_path: Path) -> None:
    page = page_of(three_sources, tmp_path)
    assert page.loads == ["summary.html"]
    assert page.seen["script"] == 0
    assert page.text.count(HOSTILE) >= 8
    assert "url(" not in page.text
    assert page.seen["mark"] == 1 + 10


def test_the_json_is_the_card_and_the_same_card_gives_the_same_bytes(
    three_sources: CardInput, tmp_path: Path
) -> None:
    page_of(three_sources, tmp_path / "a")
    page_of(three_sources, tmp_path / "b")
    first, second = (tmp_path / name / "out" for name in ("a", "b"))
    stored = (first / "card.json").read_text("utf-8")
    assert CardInput.model_validate_json(stored) == three_sources
    assert '"schema_version": 1' in stored
    for name in ("card.html", "card.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_examples_are_seeded_and_show_every_source(tmp_path: Path) -> None:
    train = [dialogue(n) for n in range(500)]
    rare = [dialogue(1000 + n, SOURCES[1]) for n in range(2)]
    files = split_files(tmp_path, [*train, *rare], train[:1])
    first, again, other = (gather(*files, seed=seed).examples for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert Counter(row.source for row in first) == {SOURCES[0]: 8, SOURCES[1]: 2}


def test_a_reservoir_is_uniform() -> None:
    """Each of 20 items is drawn in 5 of 20 with variance of the hypergeometric law."""
    rng, hits, rounds = random.Random(0), Counter[int](), 4000
    for _ in range(rounds):
        sample = Reservoir[int](5, rng)
        for item in range(20):
            sample.add(item)
        assert len(set(sample.items)) == 5
        hits.update(sample.items)
    spread = (rounds * 0.25 * 0.75) ** 0.5
    assert all(abs(hits[item] - rounds * 0.25) < 4 * spread for item in range(20))


def test_in_turns_gives_all() -> None:
    assert list(in_turns([[1, 2, 3], [], [4], [5, 6]])) == [1, 4, 5, 2, 6, 3]


@given(st.lists(st.integers(1, 100_000), min_size=1, max_size=300))
def test_histograms_hold_every_length_in_few_bins(lengths: list[int]) -> None:
    found = describe_lengths(Counter(lengths))
    histogram = found.histogram
    assert sum(histogram.counts) == len(lengths)
    assert len(histogram.counts) <= MOST_BINS
    assert histogram.first <= min(lengths) < histogram.first + histogram.width
    end = histogram.first + histogram.width * len(histogram.counts)
    assert histogram.open_end == (max(lengths) >= end)
    assert found.median == sorted(lengths)[(len(lengths) - 1) // 2]
    assert found.p95 <= found.longest == max(lengths)


def test_a_long_tail_does_not_flatten_the_histogram() -> None:
    counts = dict.fromkeys(range(20, 100), 10) | {1_000_000: 1}
    histogram = length_histogram(counts)
    assert histogram.open_end
    assert histogram.width == 5
    assert histogram.counts[-1] == 50 + 1


def test_scores_at_the_borders_fall_into_their_bins() -> None:
    assert score_histogram({1.0: 2, 3.99: 1, 4.0: 3, 5.0: 4}).counts == (2, 0, 0, 0, 0, 1, 3, 4)


def test_the_threshold_passes() -> None:
    passed, failed = split_scores([4.0, 3.99, 5, 5], 4.0)
    assert passed.counts == (0, 0, 0, 0, 0, 0, 1, 2)
    assert failed.counts == (0, 0, 0, 0, 0, 1, 0, 0)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1_234, "1.2k"), (9_999, "10k"), (999_999, "1.0M")],
)
def test_short_counts(number: int, text: str) -> None:
    assert short_count(number) == text


def test_the_quarantine_is_counted_by_kind(tmp_path: Path) -> None:
    rows = [("empty-answer", 3), ("language-en", 0), ("empty-answer", 9)]
    write_jsonl(
        tmp_path / "quarantine.jsonl",
        [
            QuarantinedRow(file="/secret/a.csv", line=n, reason=f"why {n}.", kind=kind, row={})
            for kind, n in rows
        ],
    )
    found = count_quarantine(tmp_path / "quarantine.jsonl")
    assert found == (
        RejectedRows(kind="empty-answer", rows=2, example="a.csv:3: why 3."),
        RejectedRows(kind="language-en", rows=1, example="a.csv: why 0."),
    )
    assert dropped_languages(found) == {"en": 1}


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    train, test = split_files(tmp_path, [dialogue(1)], [])
    with train.open("ab") as file:
        file.write(b"\n\xff\n")
    with pytest.raises(SchemaError, match=r"train\.jsonl:3: the line: "):
        gather(train, test, seed=0)
    with pytest.raises(SchemaError, match=r"none\.jsonl cannot be read: No such file"):
        gather(tmp_path / "none.jsonl", test, seed=0)


def test_empty_files_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="hold no rows"):
        gather(*split_files(tmp_path, [], []), seed=0)
