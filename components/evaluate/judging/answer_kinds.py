"""Answers of every kind, made from a dialogue whose reference answer is right.

What the preference pairs already know how to corrupt is taken from there. Each answer is checked
by `components.core.facts`: of a kind that states the facts, all must be there, else one must not.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import get_args

from components.core.facts import check_facts, find_fact
from components.core.schemas import Dialogue, Fact, Turn
from components.evaluate.judging.grade_table import GradeTable, Kind, Maker, Mixture
from components.evaluate.judging.rubric import CriterionId
from components.prepare.catalogue import Bank, Intent, placeholders
from components.prepare.preferences.corruptions import corrupt
from components.prepare.preferences.settings import Reason

_DRAFTS = 6
"""Drafts of one answer before the dialogue counts as unfit for the kind."""
_SEEDS = 2**31
_SHORTEST_CUT = 8
"""Characters that a cut-off answer keeps at least."""
_LONGEST_GIBBERISH = 70
"""Characters: about what the base model writes before it is stopped at 56 tokens."""
_FILLERS = ("как", "это", "не", "Вклад", "Отвечай", "можно", "понять", "Перевод", "если", "Вот:")
"""Real words that the prompted base model strews in."""


@dataclass(frozen=True)
class Graded:
    """An answer and what it earns."""

    answer: str
    kind: str
    """The kind's or the mixture's name."""
    parts: tuple[str, ...]
    """The kinds it was made of: one, or the two of a mixture."""
    grades: Mapping[CriterionId, int]


@dataclass(frozen=True)
class Workshop:
    """What answers are made with.

    Attributes:
        table: Kinds and grades.
        bank: The catalogue.
        held_out: Whether to take the phrases that no judge learns from.
    """

    table: GradeTable
    bank: Bank
    held_out: bool

    def make(self, name: str, dialogue: Dialogue, rng: random.Random) -> Graded | None:
        """Makes an answer of a kind or a mixture.

        Args:
            name: One of the table's kinds or mixtures.
            dialogue: Its reference answer states all its facts.
            rng: Decides the wording.

        Returns:
            The answer, or None when this dialogue gives none of the kind.
        """
        mixture = next((each for each in self.table.mixtures if each.kind == name), None)
        if mixture:
            return self._mixed(mixture, dialogue, rng)
        kind = self.table.kind(name)
        answer = self.answer(kind, dialogue, rng)
        return Graded(answer, name, (name,), kind.grades) if answer else None

    def answer(self, kind: Kind, dialogue: Dialogue, rng: random.Random) -> str | None:
        """Makes the text of an answer, checked to state the facts or not to, as the kind says."""
        for _ in range(_DRAFTS):
            draft = _MAKERS[kind.made](self, kind, dialogue, rng)
            if draft and kind.states_facts != bool(check_facts(dialogue.facts, draft).missing):
                return draft
        return None

    def _mixed(self, mixture: Mixture, dialogue: Dialogue, rng: random.Random) -> Graded | None:
        first = self.table.kind(rng.choice(mixture.of))
        second = self.table.kind(rng.choice(mixture.additions))
        answer = self.answer(first, dialogue, rng)
        if answer is None:
            return None
        phrases = second.wording(dialogue.intent, self.held_out)
        text = _filled(self, rng.choice(phrases), _with_answer(dialogue, answer), rng)
        grades = {name: min(grade, second.grades[name]) for name, grade in first.grades.items()}
        parts = (first.kind, second.kind)
        return Graded(text, mixture.kind, parts, grades) if text else None


def with_other_numbers(dialogue: Dialogue, bank: Bank, seed: int) -> Dialogue:
    """Gives the dialogue as it would be in a bank with other numbers.

    A judge that learns from such references cannot know the right number by heart; it has to
    compare.

    Args:
        dialogue: Its reference answer states all its facts.
        bank: The catalogue.
        seed: The same arguments give the same dialogue.

    Returns:
        The dialogue with one number changed in the reference answer and the fact alike, or the
        dialogue itself when that is not possible.
    """
    draft = corrupt(dialogue, "wrong-number", bank, seed)
    missing = check_facts(dialogue.facts, draft).missing if draft else ()
    place = find_fact(missing[0], dialogue.answer) if len(missing) == 1 else None
    if draft is None or place is None:
        return dialogue
    start, end = place
    value = draft[start : end + len(draft) - len(dialogue.answer)]
    changed = Fact(name=missing[0].name, value=value)
    if find_fact(changed, draft) != (start, start + len(value)):
        return dialogue
    facts = tuple(changed if fact == missing[0] else fact for fact in dialogue.facts)
    return _with_answer(dialogue, draft).model_copy(update={"facts": facts})


def _with_answer(dialogue: Dialogue, answer: str) -> Dialogue:
    """The same question with another answer as the reference."""
    turns = (
        Turn(role="user", content=dialogue.question),
        Turn(role="assistant", content=answer),
    )
    return dialogue.model_copy(update={"turns": turns})


def _phrase(shop: Workshop, kind: Kind, dialogue: Dialogue, rng: random.Random) -> str | None:
    return _filled(shop, rng.choice(kind.wording(dialogue.intent, shop.held_out)), dialogue, rng)


def _filled(shop: Workshop, phrase: str, dialogue: Dialogue, rng: random.Random) -> str | None:
    """Fills a phrase's placeholders; None when one of them has nothing to stand for here."""
    product = shop.bank.products.get(dialogue.product)
    intent = shop.bank.intents.get(dialogue.intent)
    known = {
        **(product.words if product else {}),
        **{fact.name: fact.value for fact in dialogue.facts},
        **({"title": intent.title[0].upper() + intent.title[1:]} if intent else {}),
        "answer": dialogue.answer,
        "lower": dialogue.answer[0].lower() + dialogue.answer[1:],
        "casual": dialogue.answer.lower().translate(str.maketrans("", "", "«».")),
        "value": ", ".join(fact.value for fact in dialogue.facts),
        "question": dialogue.question,
    }
    for name in placeholders(phrase):
        if name not in known:
            made = _MADE_WORDS[name](shop, dialogue, rng) if name in _MADE_WORDS else None
            if made is None:
                return None
            known[name] = made
    return phrase.format_map(known)


def _reference(_shop: Workshop, _kind: Kind, dialogue: Dialogue, _rng: random.Random) -> str:
    return dialogue.answer


def _corruption(shop: Workshop, kind: Kind, dialogue: Dialogue, rng: random.Random) -> str | None:
    reason = next(each for each in get_args(Reason) if each == kind.kind)
    return corrupt(dialogue, reason, shop.bank, rng.randrange(_SEEDS))


def _wrong(shop: Workshop, dialogue: Dialogue, rng: random.Random) -> str | None:
    return corrupt(dialogue, "wrong-number", shop.bank, rng.randrange(_SEEDS))


def _other_question(
    shop: Workshop, _kind: Kind, dialogue: Dialogue, rng: random.Random
) -> str | None:
    return _more(shop, dialogue, rng)


def _more(shop: Workshop, dialogue: Dialogue, rng: random.Random) -> str | None:
    """The answer to another question about the same product, which asks for none of these facts."""
    product = shop.bank.products.get(dialogue.product)
    asked = {fact.name for fact in dialogue.facts}
    intents = [each for each in _intents_of(shop.bank, dialogue) if not asked & {*each.fact_names}]
    if product is None or not intents:
        return None
    answer = rng.choice(intents).answer.format_map(product.words)
    # two facts of a product may have one value: then the answer would be right by chance
    return None if any(find_fact(fact, answer) for fact in dialogue.facts) else answer


def _intents_of(bank: Bank, dialogue: Dialogue) -> Iterator[Intent]:
    for name, products in bank.intent_products.items():
        if name != dialogue.intent and any(each.id == dialogue.product for each in products):
            yield bank.intents[name]


_MADE_WORDS: dict[str, Callable[[Workshop, Dialogue, random.Random], str | None]] = {
    "wrong": _wrong,
    "more": _more,
}


def _cut_off(_shop: Workshop, _kind: Kind, dialogue: Dialogue, rng: random.Random) -> str | None:
    """Breaks off somewhere before the last fact is said."""
    places = [place for fact in dialogue.facts if (place := find_fact(fact, dialogue.answer))]
    last = max(end for _, end in places) - 1
    if last <= _SHORTEST_CUT:
        return None
    return dialogue.answer[: rng.randrange(_SHORTEST_CUT, last)].rstrip(" .,:—")


def _gibberish(_shop: Workshop, _kind: Kind, dialogue: Dialogue, rng: random.Random) -> str:
    """Loops and invented words, after what the prompted base model of 135M really writes."""
    words = [word.strip("«».,?!") for word in f"{dialogue.question} {dialogue.answer}".split()]
    whole = [word for word in words if len(word) > 3 and word.isalpha()] or list(_FILLERS)  # noqa: PLR2004

    def word() -> str:
        left, right = rng.choice(whole), rng.choice(whole)
        return rng.choice((left[:4] + right[-4:], left, rng.choice(_FILLERS), left[:5] + "нибр"))

    start = " ".join(word() for _ in range(rng.randrange(0, 4)))
    loop = " ".join(word() for _ in range(rng.randrange(1, 5)))
    between = rng.choice((". ", ", ", " "))
    looped = between.join([loop] * rng.randrange(2, 9))
    text = f"{start} {looped}".strip()[:_LONGEST_GIBBERISH]
    return text[0].upper() + text[1:]


_MAKERS: dict[Maker, Callable[[Workshop, Kind, Dialogue, random.Random], str | None]] = {
    "reference": _reference,
    "phrases": _phrase,
    "corruption": _corruption,
    "other-question": _other_question,
    "cut-off": _cut_off,
    "gibberish": _gibberish,
}
