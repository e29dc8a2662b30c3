"""Graded answers: wrong where the grade says so, never shown twice, and asked as they were made."""

import random
from collections import Counter
from pathlib import Path

import pytest

from components.core.errors import BadInputError, RecipeError, SchemaError
from components.core.facts import check_facts
from components.core.json_lines import read_jsonl, write_jsonl
from components.core.llm import Endpoint
from components.core.schemas import Answer, Dialogue
from components.core.tests.canned_server import Canned, CannedServer, serving
from components.evaluate.judging.answer_kinds import Workshop, with_other_numbers
from components.evaluate.judging.cached_judge import JudgeSettings
from components.evaluate.judging.grade_table import Kind, read_table
from components.evaluate.judging.graded_answers import (
    GradingSettings,
    GradingSummary,
    grade_file,
    read_graded,
)
from components.evaluate.judging.judge_answers import judge_file
from components.evaluate.judging.rubric import CriterionId
from components.prepare.catalogue import Bank
from components.prepare.generate import generate
from components.prepare.load import load_bank
from components.prepare.subset import Subset, select

INTENTS = ("deposit_rate", "deposit_minimum", "deposit_term", "card_fee")
TABLE = read_table("grades.v1")
NAMES = {*TABLE.shares()}
CRITERIA: tuple[CriterionId, ...] = ("correctness", "completeness", "tone", "safety")


@pytest.fixture(scope="module")
def bank() -> Bank:
    return load_bank()


@pytest.fixture(scope="module")
def data(bank: Bank, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `train.jsonl` and `test.jsonl`."""
    folder = tmp_path_factory.mktemp("prepared")
    corpus = generate(bank, train_rows=1820, test_rows=1460, seed=7)
    write_jsonl(folder / "train.jsonl", corpus.train)
    write_jsonl(folder / "test.jsonl", corpus.test)
    return folder


def graded(data: Path, out: Path, **settings: object) -> GradingSummary:
    given = {"subset": {"intents": INTENTS, "seed": 7}, **settings}
    return grade_file(
        data / "train.jsonl",
        data / "test.jsonl",
        out / "train.jsonl",
        out / "test.jsonl",
        GradingSettings.model_validate(given),
    )


@pytest.fixture(scope="module")
def made(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Graded answers of the four intents, by the defaults."""
    out = tmp_path_factory.mktemp("graded")
    assert graded(data, out).impossible == 0
    return out


def judged_text(prompt: str) -> str:
    """The answer in a prompt of the local rubric."""
    return prompt.partition("Answer: ")[2].rpartition("\n")[0]


def reference(prompt: str) -> str:
    return prompt.partition("Reference: ")[2].partition("\nAnswer: ")[0]


def test_the_same_seed_gives_the_same_files(data: Path, made: Path, tmp_path: Path) -> None:
    graded(data, tmp_path)
    for name in ("train.jsonl", "test.jsonl"):
        assert (tmp_path / name).read_bytes() == (made / name).read_bytes()
    graded(data, tmp_path, seed=1)
    assert (tmp_path / "train.jsonl").read_bytes() != (made / "train.jsonl").read_bytes()


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_kind_and_grade_of_each_criterion_occurs(made: Path, split: str) -> None:
    rows = read_graded(made / f"{split}.jsonl")
    kinds = {(row.criterion, row.kind) for row in rows}
    assert kinds == {(criterion, kind) for criterion in CRITERIA for kind in NAMES}
    for kind in TABLE.kinds:
        for row in rows:
            if row.kind == kind.kind:
                assert row.grade == kind.grades[row.criterion]
    fives = Counter(row.criterion for row in rows if row.grade == 5)
    for criterion in CRITERIA:
        grades = {row.grade for row in rows if row.criterion == criterion}
        assert grades == {1, 2, 3, 4, 5}
        # about `fives` of the rows, and the mixtures that lose nothing by this criterion
        assert 0.3 < fives[criterion] / sum(row.criterion == criterion for row in rows) < 0.6


def test_the_summary_counts_what_was_written(data: Path, tmp_path: Path) -> None:
    summary = graded(data, tmp_path, rows_train=150, rows_test=130)
    rows = read_graded(tmp_path / "train.jsonl")
    assert (summary.train_rows, summary.test_rows, summary.impossible) == (150, 130, 0)
    assert sum(summary.test_kinds.values()) == 130
    for criterion, counts in summary.train_grades.items():
        for grade, count in enumerate(counts, 1):
            assert count == sum((r.criterion, r.grade) == (criterion, grade) for r in rows)
    shares = Counter(row.criterion for row in rows)
    assert shares == {"correctness": 59, "completeness": 37, "tone": 27, "safety": 27}


def test_what_is_asked_in_the_test_is_never_trained_on(made: Path) -> None:
    train, test = (read_graded(made / f"{split}.jsonl") for split in ("train", "test"))
    prompts = [row.prompt for row in (*train, *test)]
    assert len(set(prompts)) == len(prompts)
    families = [
        {row.phrasing_family for row in read_jsonl(made / f"{split}.jsonl", Dialogue)}
        for split in ("train", "test")
    ]
    assert not families[0] & families[1]
    for kind in TABLE.kinds:
        held_out = [
            part.strip()
            for phrase in kind.wording("", held_out=True)
            for part in phrase.replace("{lower}", "{answer}").split("{answer}")
            if len(part.strip()) > 5 and "{" not in part
        ]
        assert [row for row in train if any(p in judged_text(row.prompt) for p in held_out)] == []


@pytest.mark.parametrize("kind", TABLE.kinds, ids=lambda kind: kind.kind)
@pytest.mark.parametrize("held_out", [False, True])
def test_right_answers_state_the_facts_and_wrong_ones_do_not(
    bank: Bank, data: Path, kind: Kind, held_out: bool
) -> None:
    shop = Workshop(TABLE, bank, held_out)
    rows = select(read_jsonl(data / "train.jsonl", Dialogue), Subset(intents=INTENTS, rows=48))
    found = [(row, shop.make(kind.kind, row, random.Random(n))) for n, row in enumerate(rows)]
    answers = [(row, each.answer) for row, each in found if each]
    assert len(answers) > 40
    for row, answer in answers:
        missing = check_facts(row.facts, answer).missing
        assert bool(missing) != kind.states_facts
        assert "{" not in answer
        if kind.addition:
            assert row.answer[1:] in answer
            assert answer != row.answer
    if kind.grades["correctness"] == 5:
        assert kind.states_facts
    if kind.grades["completeness"] <= 2:
        assert not kind.states_facts


def test_a_mixture_has_the_lower_grade_of_its_parts(made: Path) -> None:
    rows = [row for row in read_jsonl(made / "train.jsonl", Dialogue) if "/mixed" in row.intent]
    assert len(rows) > 20
    for row in rows:
        first, second = row.provenance.partition(": ")[2].partition(";")[0].split(" + ")
        grades = [TABLE.kind(name).grades for name in (first, second)]
        criterion = next(each for each in CRITERIA if row.intent.startswith(each))
        assert int(row.answer) == min(each[criterion] for each in grades)


def test_a_reference_with_other_numbers_is_right_about_itself(bank: Bank, data: Path) -> None:
    rows = select(read_jsonl(data / "train.jsonl", Dialogue), Subset(intents=INTENTS, rows=48))
    for row in rows:
        other = with_other_numbers(row, bank, 3)
        assert other.answer != row.answer
        assert check_facts(row.facts, other.answer).missing
        assert not check_facts(other.facts, other.answer).missing
        assert other == with_other_numbers(row, bank, 3)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_references_have_the_catalogues_numbers_or_others(
    data: Path, tmp_path: Path, share: float
) -> None:
    known = {row.answer for row in read_jsonl(data / "train.jsonl", Dialogue)}
    graded(data, tmp_path, rows_train=200, rows_test=130, other_numbers=share)
    train, test = (
        [
            text
            for row in read_graded(tmp_path / f"{split}.jsonl")
            if (text := reference(row.prompt))
        ]
        for split in ("train", "test")
    )
    assert sum(text in known for text in train) == (len(train) if share == 0 else 0)
    assert set(test) <= known


def test_select_deals_evenly_over_criteria_and_kinds(made: Path) -> None:
    rows = read_jsonl(made / "train.jsonl", Dialogue)
    cells = len(CRITERIA) * len(NAMES)
    counts = Counter(row.intent for row in select(rows, Subset(rows=2 * cells)))
    assert len(counts) == cells
    assert max(counts.values()) <= 3


def test_the_judge_step_asks_the_prompts_that_were_trained_on(
    data: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FINIST_HOME", raising=False)
    sources = {row.dialogue_id: row for row in read_jsonl(data / "test.jsonl", Dialogue)}
    rows = select(read_jsonl(made / "test.jsonl", Dialogue), Subset(rows=60))
    answers = [
        _answer(sources[row.provenance.partition("made of ")[2].split()[0]], number, row)
        for number, row in enumerate(rows)
    ]
    write_jsonl(tmp_path / "answers.jsonl", answers)
    settings = JudgeSettings(rubric="local/bank_answer_local.v1", concurrency=32)
    with serving(CannedServer(lambda _: Canned("4", top={"4": 1.0}))) as server:
        judge_file(
            tmp_path / "answers.jsonl",
            tmp_path / "judged.jsonl",
            Endpoint(base_url=server.url, model="canned"),
            settings,
        )
    assert {row.question for row in rows} <= set(server.asked)


def _answer(source: Dialogue, number: int, row: Dialogue) -> Answer:
    return Answer(
        dialogue_id=f"{source.dialogue_id}-{number}",
        contender="tuned",
        intent=source.intent,
        product=source.product,
        question=source.question,
        reference=source.answer,
        answer=judged_text(row.question),
        facts=source.facts,
        finish_reason="stop",
        prompt_tokens=1,
        completion_tokens=1,
        latency_seconds=1.0,
        first_token_seconds=None,
    )


def test_a_kind_that_no_dialogue_gives_is_counted(data: Path, tmp_path: Path) -> None:
    """A section of the app has no number to get wrong."""
    only = {name: 0.0 for name in NAMES - {"wrong-number", "reference"}}
    summary = graded(
        data,
        tmp_path,
        subset={"intents": ["app_section"]},
        shares=only,
        rows_train=8,
        rows_test=4,
        criteria={"correctness": 1.0},
        fives=0.5,
    )
    assert "wrong-number" not in summary.train_kinds
    assert summary.impossible == 12 - summary.train_rows - summary.test_rows > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shares": {"wrong-nubmer": 1.0}}, r"unknown are \['wrong-nubmer'\]"),
        ({"table": "grades.v0"}, r"grades\.v0\.yaml; beside it: grades\.v1\.yaml"),
        ({"subset": {"intents": ["deposit"]}}, "intent 'deposit'"),
        ({"rubric": "bank"}, r"There is no recipe .*bank\.yaml"),
    ],
)
def test_wrong_settings_are_named(
    data: Path, tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(BadInputError, match=message):
        graded(data, tmp_path, **settings)
    assert list(tmp_path.iterdir()) == []


def test_dialogues_without_facts_make_no_graded_answers(data: Path, tmp_path: Path) -> None:
    rows = read_jsonl(data / "train.jsonl", Dialogue)[:3]
    path = tmp_path / "test.jsonl"
    write_jsonl(path, [row.model_copy(update={"facts": ()}) for row in rows])
    settings = GradingSettings()
    with pytest.raises(BadInputError, match=r"test\.jsonl has no dialogue with facts"):
        grade_file(data / "train.jsonl", path, tmp_path / "a", tmp_path / "b", settings)


def test_a_plain_dialogue_is_no_graded_answer(data: Path) -> None:
    with pytest.raises(SchemaError, match=r"train\.jsonl: the row dlg-\w+ is no graded answer"):
        read_graded(data / "train.jsonl")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kind: sloppy", "kind: reference", "each kind stands once"),
        ("tone: 4", "tone: 6", "grades.tone"),
        ('["{casual}", ', '["{casual}"] #', "three phrases or more"),
        ("of: [wrong-number", "of: [wrong-nubmer", r"'mixed' names \['wrong-nubmer'\]"),
        ("additions: [rude", "additions: [reference", r"'mixed' names \['reference'\]"),
    ],
)
def test_a_wrong_table_is_named(
    old: str, new: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.evaluate.judging import grade_table

    content = (grade_table.TABLES / "grades.v1.yaml").read_text("utf-8")
    assert old in content
    (tmp_path / "mine.v1.yaml").write_text(content.replace(old, new, 1), "utf-8")
    monkeypatch.setattr(grade_table, "TABLES", tmp_path)
    with pytest.raises(RecipeError, match=message):
        read_table("mine.v1")


def test_phrases_are_parted_in_three() -> None:
    kind = TABLE.kind("reworded")
    learned, kept = (kind.wording("deposit_rate", held_out=side) for side in (False, True))
    assert (len(learned), len(kept)) == (12, 6)
    assert not {*learned} & {*kept}
