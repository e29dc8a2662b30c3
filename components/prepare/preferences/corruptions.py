"""Wrong answers made from right ones: each wrong in one named way, and checked to be wrong.

An answer is wrong here when `components.core.facts` does not find all the facts in it. So a
contradiction never repeats the right value: the checker does not understand a statement taken
back. It states two wrong values, one after the other.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from components.core.facts import check_facts, find_fact
from components.core.schemas import Dialogue, Fact
from components.prepare.catalogue import Bank, Product
from components.prepare.preferences.settings import Reason
from components.prepare.preferences.wording import EVASIONS, EVASIONS_ABOUT, RETRACTIONS
from components.prepare.preferences.wrong_numbers import other_number

_TRIES = 8
"""Drafts of one corruption before it counts as impossible."""

_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+(?=[А-ЯЁA-Z«\"])")


@dataclass(frozen=True)
class _Case:
    """An answer to corrupt and what it may be corrupted with."""

    dialogue: Dialogue
    bank: Bank
    rng: random.Random

    @property
    def others(self) -> list[Product]:
        """The other products that the same intent asks about."""
        products = self.bank.intent_products.get(self.dialogue.intent, ())
        return [product for product in products if product.id != self.dialogue.product]

    def fact(self) -> Fact:
        """One of the facts."""
        return self.rng.choice(self.dialogue.facts)


def is_right(dialogue: Dialogue) -> bool:
    """Whether the reference answer holds facts to corrupt, and all of them.

    Args:
        dialogue: With its facts; without any it is neither right nor wrong, so False.
    """
    return bool(dialogue.facts) and not check_facts(dialogue.facts, dialogue.answer).missing


def corrupt(dialogue: Dialogue, reason: Reason, bank: Bank, seed: int) -> str | None:
    """Makes a wrong answer of a right one.

    Args:
        dialogue: Its answer is right (`is_right`).
        reason: In which way the answer is to be wrong.
        bank: The catalogue; `other-product` and `other-answer` need the dialogue's intent in it.
        seed: The same arguments give the same answer, whatever else is asked before.

    Returns:
        An answer in which at least one fact is missing, or None when this answer cannot be
        corrupted this way: no number in its facts, no other product, an intent the bank lacks.
    """
    case = _Case(dialogue, bank, random.Random(f"{seed}:{dialogue.dialogue_id}:{reason}"))
    for _ in range(_TRIES):
        draft = _MAKERS[reason](case)
        if draft and check_facts(dialogue.facts, draft).missing:
            return draft
    return None


def _other_product(case: _Case) -> str | None:
    fact = case.fact()
    values = _others_values(case, fact)
    return _with_value(case.dialogue.answer, fact, case.rng.choice(values)) if values else None


def _wrong_number(case: _Case) -> str | None:
    fact = case.fact()
    value = _number_beside(case, fact)
    return value and _with_value(case.dialogue.answer, fact, value)


def _missing_fact(case: _Case) -> str:
    """Drops the sentences with a fact where others remain; else evades the question."""
    fact = case.fact()
    sentences = _SENTENCE_END.split(case.dialogue.answer)
    rest = " ".join(sentence for sentence in sentences if not find_fact(fact, sentence))
    return rest or _evasion(case)


def _other_answer(case: _Case) -> str | None:
    intent, others = case.bank.intents.get(case.dialogue.intent), case.others
    return intent.answer.format_map(case.rng.choice(others).words) if intent and others else None


def _contradiction(case: _Case) -> str | None:
    fact = case.fact()
    number = _number_beside(case, fact)
    values = list(dict.fromkeys([*_others_values(case, fact), *([number] if number else [])]))
    if len(values) < 2:  # noqa: PLR2004
        return None
    first, second = case.rng.sample(values, 2)
    answer = case.dialogue.answer
    stating = next((s for s in _SENTENCE_END.split(answer) if find_fact(fact, s)), answer)
    again = _with_value(stating, fact, second)
    return f"{_with_value(answer, fact, first)} {case.rng.choice(RETRACTIONS)} {again}"


_MAKERS: dict[Reason, Callable[[_Case], str | None]] = {
    "other-product": _other_product,
    "wrong-number": _wrong_number,
    "missing-fact": _missing_fact,
    "other-answer": _other_answer,
    "contradiction": _contradiction,
}


def _others_values(case: _Case, fact: Fact) -> list[str]:
    """What the same fact is for other products, in the catalogue's order, without the right one."""
    values = [p.facts[fact.name].value for p in case.others if fact.name in p.facts]
    return list(dict.fromkeys(value for value in values if find_fact(fact, value) is None))


def _number_beside(case: _Case, fact: Fact) -> str | None:
    """The fact as the answer writes it, with another number."""
    place = find_fact(fact, case.dialogue.answer)
    return other_number(case.dialogue.answer[slice(*place)], case.rng) if place else None


def _evasion(case: _Case) -> str:
    product = case.bank.products.get(case.dialogue.product)
    if product is None:
        return case.rng.choice(EVASIONS)
    return case.rng.choice(EVASIONS + EVASIONS_ABOUT).format_map(product.words)


def _with_value(answer: str, fact: Fact, value: str) -> str:
    """Puts a value wherever the fact stands."""
    done = ""
    while place := find_fact(fact, answer):
        done += answer[: place[0]] + value
        answer = answer[place[1] :]
    return done + answer
