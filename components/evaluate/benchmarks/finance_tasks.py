"""Documents of the tasks about the bank: made from test dialogues, the same ones in every run."""

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from components.core.errors import BadInputError
from components.core.facts import find_fact
from components.core.json_lines import read_jsonl
from components.core.llm import Frozen
from components.core.schemas import Dialogue, Fact
from components.prepare.generate import generate
from components.prepare.load import load_bank
from components.prepare.subset import Subset, select

OPTIONS = 4
BUILT_IN_ROWS = 700
"""Test dialogues of the built-in bank, over ways of asking that training never shows."""


class ChoiceDocument(Frozen):
    """A question with four answers that differ in one value."""

    id: str
    question: str
    options: tuple[str, ...]
    """The reference answer, and the same sentence with the values of three other products."""
    answer: int
    """Index of the right option."""
    fact: str
    intent: str
    product: str


class FactsDocument(Frozen):
    """A question whose answer must state facts."""

    id: str
    question: str
    reference: str
    facts: tuple[Fact, ...]
    intent: str
    product: str


class GeneralDocument(Frozen):
    """A four-choice question that has nothing to do with the bank."""

    id: str
    topic: str
    question: str
    options: tuple[str, str, str, str]
    answer: int
    """Index of the right option."""


def read_dialogues(test: Path | None) -> list[Dialogue]:
    """Reads the dialogues that the documents are made from.

    Args:
        test: JSON lines of `Dialogue`; None for the built-in bank's.

    Returns:
        The dialogues.

    Raises:
        SchemaError: The file cannot be read, or a line is not a dialogue.
    """
    if test is None:
        return list(generate(load_bank(), train_rows=0, test_rows=BUILT_IN_ROWS, seed=0).test)
    return read_jsonl(test, Dialogue)


def facts_documents(
    dialogues: Sequence[Dialogue], subset: Subset, questions: int
) -> list[FactsDocument]:
    """Makes the documents of the exact-fact task.

    Args:
        dialogues: Test dialogues.
        subset: Which products and intents.
        questions: How many at most, balanced over products and intents.

    Returns:
        The documents, the same for the same arguments.

    Raises:
        BadInputError: No dialogue requires a fact; RecipeError, its child, when the subset is
            empty.
    """
    chosen = _balanced([d for d in dialogues if d.facts], subset, questions)
    return [
        FactsDocument(
            id=dialogue.dialogue_id,
            question=dialogue.question,
            reference=dialogue.answer,
            facts=dialogue.facts,
            intent=dialogue.intent,
            product=dialogue.product,
        )
        for dialogue in chosen
    ]


def choice_documents(
    dialogues: Sequence[Dialogue], subset: Subset, questions: int, seed: int
) -> list[ChoiceDocument]:
    """Makes the documents of the multiple-choice task.

    The wrong values are those that other products have for the same fact: of the same intent where
    there are three, else of the same fact anywhere. A dialogue without three is left out.

    Args:
        dialogues: Test dialogues; the wrong values come from all of them, not from the subset.
        subset: Which products and intents to ask about.
        questions: How many at most, balanced over products and intents.
        seed: Decides the wrong values and the places of the options.

    Returns:
        The documents, the same for the same arguments.

    Raises:
        BadInputError: No dialogue has three wrong values; RecipeError, its child, when the subset
            is empty.
    """
    values = _values(dialogues)
    made = {d.dialogue_id: _document(d, values, seed) for d in dialogues}
    usable = [dialogue for dialogue in dialogues if made[dialogue.dialogue_id]]
    chosen = _balanced(usable, subset, questions)
    return [document for d in chosen if (document := made[d.dialogue_id])]


def _balanced(dialogues: Sequence[Dialogue], subset: Subset, questions: int) -> list[Dialogue]:
    if not dialogues:
        raise BadInputError(
            "The test dialogues give no benchmark question: none requires a fact that other "
            "products have too; check the file, or leave the benchmarks about the bank out."
        )
    rows = min(questions, subset.rows or questions)
    return select(dialogues, subset.model_copy(update={"rows": rows}))


def _values(dialogues: Iterable[Dialogue]) -> dict[tuple[str, str], dict[str, None]]:
    """The values of each fact by `(intent, name)`, and under the intent "" those of all intents."""
    values: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for dialogue in dialogues:
        for fact in dialogue.facts:
            for intent in (dialogue.intent, ""):
                values[intent, fact.name][fact.value] = None
    return values


def _document(
    dialogue: Dialogue, values: dict[tuple[str, str], dict[str, None]], seed: int
) -> ChoiceDocument | None:
    """Makes a dialogue's document; None when no fact of it has three wrong values."""
    rng = random.Random(f"{seed}:{dialogue.dialogue_id}")
    for fact in rng.sample(dialogue.facts, len(dialogue.facts)):
        wrong = _wrong_answers(dialogue, fact, values[dialogue.intent, fact.name])
        if len(wrong) < OPTIONS - 1:
            wrong = _wrong_answers(dialogue, fact, values["", fact.name])
        if len(wrong) >= OPTIONS - 1:
            options = [dialogue.answer, *rng.sample(wrong, OPTIONS - 1)]
            rng.shuffle(options)
            return ChoiceDocument(
                id=dialogue.dialogue_id,
                question=dialogue.question,
                options=tuple(options),
                answer=options.index(dialogue.answer),
                fact=fact.name,
                intent=dialogue.intent,
                product=dialogue.product,
            )
    return None


def _wrong_answers(dialogue: Dialogue, fact: Fact, values: Iterable[str]) -> list[str]:
    """The reference answer with other values in place of the right one, none of which is right."""
    if fact.value not in dialogue.answer:
        return []
    texts = (dialogue.answer.replace(fact.value, value) for value in sorted(values))
    return [text for text in texts if find_fact(fact, text) is None]
