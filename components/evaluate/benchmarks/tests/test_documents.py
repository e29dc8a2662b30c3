"""Documents of the tasks: the same ones every time, each with one right option."""

from collections import Counter
from pathlib import Path

import pytest

from components.core.errors import BadInputError, SchemaError
from components.core.facts import check_facts, find_fact
from components.core.json_lines import read_jsonl, write_jsonl
from components.evaluate.benchmarks.finance_tasks import (
    GeneralDocument,
    choice_documents,
    facts_documents,
    read_dialogues,
)
from components.evaluate.benchmarks.harness import GENERAL
from components.evaluate.benchmarks.scoring import exact_facts
from components.prepare.subset import Subset

DIALOGUES = read_dialogues(None)
BY_ID = {dialogue.dialogue_id: dialogue for dialogue in DIALOGUES}


def test_one_option_is_right() -> None:
    documents = choice_documents(DIALOGUES, Subset(), 200, seed=0)
    assert len(documents) == 200
    for document in documents:
        dialogue = BY_ID[document.id]
        (fact,) = (fact for fact in dialogue.facts if fact.name == document.fact)
        right = [n for n, text in enumerate(document.options) if find_fact(fact, text)]
        assert right == [document.answer]
        assert document.options[document.answer] == dialogue.answer
        assert len(set(document.options)) == 4
    assert set(Counter(document.answer for document in documents)) == {0, 1, 2, 3}


def test_the_wrong_values_are_those_of_other_products() -> None:
    """So that whoever only knows what a rate looks like cannot tell them apart."""
    values = {fact.value for dialogue in DIALOGUES for fact in dialogue.facts}
    for document in choice_documents(DIALOGUES, Subset(), 50, seed=0):
        (fact,) = (f for f in BY_ID[document.id].facts if f.name == document.fact)
        frame = BY_ID[document.id].answer.split(fact.value)
        for option in document.options:
            assert any(option == value.join(frame) for value in values)


def test_the_seed_decides() -> None:
    first, again, other = (
        choice_documents(DIALOGUES, Subset(), 48, seed=seed) for seed in (0, 0, 1)
    )
    assert first == again
    assert [document.id for document in first] == [document.id for document in other]
    assert first != other


def test_a_subset_narrows_the_questions_and_not_the_wrong_values() -> None:
    documents = choice_documents(DIALOGUES, Subset(products=("sokol",)), 48, seed=0)
    assert documents
    assert {document.product for document in documents} == {"sokol"}
    assert {
        document.product for document in facts_documents(DIALOGUES, Subset(products=("sokol",)), 48)
    } == {"sokol"}


def test_a_prepared_file_serves_as_well(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "test.jsonl", DIALOGUES)
    assert read_dialogues(tmp_path / "test.jsonl") == DIALOGUES
    with pytest.raises(SchemaError, match="cannot be read"):
        read_dialogues(tmp_path / "nowhere.jsonl")


def test_dialogues_that_share_no_fact_are_refused() -> None:
    with pytest.raises(BadInputError, match="no benchmark question"):
        choice_documents(DIALOGUES[:1], Subset(), 48, seed=0)
    bare = [dialogue.model_copy(update={"facts": ()}) for dialogue in DIALOGUES[:5]]
    with pytest.raises(BadInputError, match="no benchmark question"):
        facts_documents(bare, Subset(), 48)


def test_facts_are_scored_as_everywhere_else() -> None:
    for document in facts_documents(DIALOGUES, Subset(), 100):
        row = document.model_dump(mode="json")
        assert exact_facts(row, [document.reference]) == {"exact_facts": 1.0}
        assert exact_facts(row, [""]) == {"exact_facts": 0.0}
        other = facts_documents(DIALOGUES, Subset(), 1)[0].reference
        share = check_facts(document.facts, other).share
        assert exact_facts(row, [other]) == {"exact_facts": share}


def test_the_general_questions_are_well_formed() -> None:
    rows = read_jsonl(GENERAL, GeneralDocument)
    assert len(rows) == len({row.id for row in rows}) == len({row.question for row in rows}) == 80
    assert all(len(set(row.options)) == 4 for row in rows)
    assert Counter(row.answer for row in rows) == {0: 20, 1: 20, 2: 20, 3: 20}
    assert Counter(row.topic for row in rows) == {
        "knowledge": 16,
        "arithmetic": 14,
        "russian": 14,
        "english": 36,
    }
