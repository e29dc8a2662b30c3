"""What the teacher wrote: read from its reply, and checked before anybody pays for a judge."""

import json
from dataclasses import dataclass
from typing import TypeAlias

from components.core.facts import check_facts, find_fact
from components.core.llm import Completion
from components.core.schemas import Fact
from components.prepare.catalogue import FORMS, Product, placeholders
from components.prepare.synthesis.plan import Item
from components.prepare.synthesis.settings import Limits

LONGEST_REPLY = 50_000
"""Characters of a reply that are looked at; JSON of two short texts is far shorter."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A question and an answer as the teacher wrote them."""

    question: str
    answer: str


Fault: TypeAlias = tuple[str, str]
"""The kind that reasons are counted by, and one sentence about this row."""


def read_reply(completion: Completion) -> Draft | Fault:
    """Reads a teacher's reply.

    Args:
        completion: What came back: JSON, perhaps in a code fence or with words around it.

    Returns:
        The draft, or what is wrong with the reply.
    """
    reason = completion.finish_reason
    if reason in ("error", "timeout"):
        return f"teacher-{reason}", f"The teacher gave no reply ({completion.error}); run again."
    if reason in ("blacklist", "content_filter"):
        return "blocked", f"The teacher's provider blocked the reply ({reason})."
    draft = parse_draft(completion.text)
    if draft:
        return draft
    if reason == "length":
        return "cut-off", "The reply ended at the token limit; raise max_tokens."
    return "unparseable", "The reply holds no JSON object with the strings question and answer."


def parse_draft(reply: str) -> Draft | None:
    """Finds the last JSON object with a question and an answer in a text.

    The last, since models that think aloud come to their answer at the end.

    Args:
        reply: Any text.

    Returns:
        Both texts, neither empty, without white space around them; None when there are none.
    """
    decoder, found, place = json.JSONDecoder(strict=False), None, 0
    text = reply[:LONGEST_REPLY]
    while (place := text.find("{", place)) >= 0:
        try:
            value, end = decoder.raw_decode(text, place)
        except ValueError:
            place += 1
            continue
        except RecursionError:  # thousands of open braces: nobody's answer
            break
        found, place = _draft(value) or found, end
    return found


def _draft(value: dict[str, object]) -> Draft | None:
    question, answer = value.get("question"), value.get("answer")
    if not isinstance(question, str) or not isinstance(answer, str):
        return None
    if not question.strip() or not answer.strip() or not _is_text(question + answer):
        return None
    return Draft(question.strip(), answer.strip())


def _is_text(text: str) -> bool:
    """Whether it can be written as UTF-8: JSON's escapes can hold half a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_draft(draft: Draft, item: Item, limits: Limits) -> Fault | None:
    """Checks a draft against what was asked for.

    Args:
        draft: The teacher's texts.
        item: The intent, the product and hence the facts.
        limits: Lengths and language.

    Returns:
        The first thing that is wrong, or None.
    """
    return (
        _length("question", draft.question, limits.question_characters)
        or _length("answer", draft.answer, limits.answer_characters)
        or _language(draft, limits.cyrillic_share)
        or _product(draft, item)
        or _facts(draft, item)
    )


def _length(part: str, text: str, limits: tuple[int, int]) -> Fault | None:
    shortest, longest = limits
    if len(text) < shortest:
        return f"short-{part}", f"The {part} has {len(text)} characters, fewer than {shortest}."
    if len(text) > longest:
        return f"long-{part}", f"The {part} has {len(text)} characters, more than {longest}."
    return None


def _language(draft: Draft, least: float) -> Fault | None:
    for part, text in (("question", draft.question), ("answer", draft.answer)):
        share = cyrillic_share(text)
        if share < least:
            return "not-russian", f"Of the {part}'s letters {share:.0%} are Cyrillic."
    return None


def cyrillic_share(text: str) -> float:
    """Gives the share of Cyrillic among the letters of a text, in [0, 1]; 0 without letters."""
    letters = [char for char in text.lower() if char.isalpha()]
    return sum("а" <= char <= "я" or char == "ё" for char in letters) / max(len(letters), 1)


def _product(draft: Draft, item: Item) -> Fault | None:
    """A question that does not say which product has no one answer.

    A bank whose own phrasings of an intent leave the product out means none in particular.
    """
    needed = all(set(FORMS) & set(placeholders(way)) for way in item.intent.train)
    if not needed or find_fact(_name(item.product), draft.question):
        return None
    return "product-not-named", f"The question does not name the product «{item.product.name}»."


def _name(product: Product) -> Fact:
    forms = tuple(getattr(product, form) for form in FORMS)
    return Fact(name="name", value=product.name, accepted=forms)


def _facts(draft: Draft, item: Item) -> Fault | None:
    missing = check_facts(item.facts, draft.answer).missing
    if not missing:
        return None
    values = ", ".join(fact.value for fact in missing)
    return "missing-fact", f"The answer does not state {values}."
