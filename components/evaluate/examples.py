"""Questions to show on the page, chosen by stated rules, and answers prepared for reading."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from components.core.facts import check_facts
from components.core.outcomes import Outcome, exact_fact_score, outcome
from components.core.schemas import Answer, Fact
from components.evaluate.opinions import judge_failure, overall_score

EXAMPLES = 12
DISAGREEMENTS = 6
WRONG_SHARE = 3
"""One example in this many is one where the candidate is wrong, as long as there are any."""


@dataclass(frozen=True)
class Side:
    """One contender's answer in an example."""

    contender: str
    text: Markup
    """The answer, escaped, with the facts found marked."""
    missing: tuple[Fact, ...]
    facts: float | None
    """Share of the required facts, in [0, 1]; None where none is required."""
    geval: float | None
    """The judge's overall score, in [1, 5]; None where there is none."""
    judge_failure: str
    """Why the judge gave no score; empty where it did or was not asked."""
    outcome: Outcome
    cause: str


@dataclass(frozen=True)
class Example:
    """A question with its reference and the contenders' answers."""

    question: str
    intent: str
    reference: Markup
    sides: tuple[Side, ...]
    """The baseline first."""
    why: str = ""
    """What the contenders, or the judge and the exact facts, disagree on."""


@dataclass(frozen=True)
class Disagreement:
    """How far apart answers and opinions on one question are, each in [0, 1]."""

    facts: float
    """Largest less smallest exact-fact score of the contenders."""
    geval: float
    """The same of the judge's overall score, which is scaled from 1..5 to 0..1."""
    judge: float
    """The largest distance between the judge and the exact facts on one answer."""
    by: str
    """Whose answer that is."""

    @property
    def order(self) -> tuple[float, float]:
        """The largest of the three, then their sum."""
        parts = (self.facts, self.geval, self.judge)
        return max(parts), sum(parts)


def choose_examples(
    baseline: Sequence[Answer], candidate: Sequence[Answer], limit: int = EXAMPLES
) -> list[Example]:
    """Chooses examples to show: right and wrong ones, over as many intents as there are.

    Up to a third are ones where the candidate misses a fact or gives no answer. Within right and
    wrong, questions come in the order of a hash of their id, so nobody picks them; a question of
    an intent already shown waits until the others had their turn.

    Args:
        baseline: The baseline's answers.
        candidate: The candidate's, to the same questions.
        limit: How many at most.

    Returns:
        The examples, wrong ones first.
    """
    ordered = sorted(candidate, key=lambda answer: _hash(answer.dialogue_id))
    wrong = _in_turns([answer for answer in ordered if is_wrong(answer)])
    right = _in_turns([answer for answer in ordered if not is_wrong(answer)])
    shown = wrong[: max(limit // WRONG_SHARE, limit - len(right))]
    of_baseline = {answer.dialogue_id: answer for answer in baseline}
    chosen = shown + right[: limit - len(shown)]
    return [_example([of_baseline[answer.dialogue_id], answer]) for answer in chosen]


def choose_disagreements(
    contenders: Sequence[Sequence[Answer]], limit: int = DISAGREEMENTS
) -> list[Example]:
    """Chooses the questions on which the contenders, or the judge and the facts, disagree most.

    A question counts by the largest of three distances, all between 0 and 1: exact facts between
    the best and the worst contender, the judge's overall score between the same (a point of its
    scale is 0.25), and judge against exact facts on one answer. Equal ones are ordered by the sum
    of the three, then by a hash of the question's id; intents take turns.

    Args:
        contenders: Answers of each to the same questions, the baseline's first.
        limit: How many at most.

    Returns:
        The examples with all contenders' answers, the largest disagreement first; questions on
        which all agree are left out.
    """
    found = {rows[0].dialogue_id: (disagreement(rows), rows) for rows in _by_question(contenders)}
    ordered = sorted(found, key=lambda key: (*(-n for n in found[key][0].order), _hash(key)))
    first = [found[key][1][0] for key in ordered if found[key][0].order[0] > 0]
    chosen = [found[answer.dialogue_id] for answer in _in_turns(first)[:limit]]
    chosen.sort(key=lambda one: ordered.index(one[1][0].dialogue_id))
    return [_example(rows, _reasons(distance)) for distance, rows in chosen]


def disagreement(answers: Sequence[Answer]) -> Disagreement:
    """Measures how far apart the answers to one question and the opinions of them are.

    Args:
        answers: One of each contender.

    Returns:
        Distances in [0, 1]; 0 where there is nothing to compare.
    """
    facts = {answer.contender: exact_fact_score(answer) for answer in answers}
    geval = {answer.contender: _scaled(overall_score(answer)) for answer in answers}
    apart = {
        name: abs(score - opinion)
        for name, score in facts.items()
        if score is not None and (opinion := geval[name]) is not None
    }
    by = max(apart, key=lambda name: apart[name], default="")
    return Disagreement(_range(facts), _range(geval), apart.get(by, 0.0), by)


def is_wrong(answer: Answer) -> bool:
    """Whether an answer misses a fact or is no proper one."""
    score = exact_fact_score(answer)
    return outcome(answer) != "answered" or (score is not None and score < 1)


def marked(text: str, facts: Sequence[Fact]) -> Markup:
    """Escapes a text and marks the facts found in it.

    Args:
        text: As the model wrote it: untrusted.
        facts: The facts to mark; of overlapping ones the first in the text is marked.

    Returns:
        HTML in which each found fact stands in a `<mark>`.
    """
    html, done = Markup(""), 0
    for fact, (start, end) in sorted(check_facts(facts, text).found, key=lambda item: item[1]):
        if start >= done:
            html += escape(text[done:start])
            html += Markup('<mark title="{}">{}</mark>').format(fact.name, text[start:end])
            done = end
    return html + escape(text[done:])


def _by_question(contenders: Sequence[Sequence[Answer]]) -> list[list[Answer]]:
    rows: dict[str, list[Answer]] = defaultdict(list)
    for answers in contenders:
        for answer in answers:
            rows[answer.dialogue_id].append(answer)
    return list(rows.values())


def _scaled(score: float | None) -> float | None:
    return None if score is None else (score - 1) / 4


def _range(scores: Mapping[str, float | None]) -> float:
    known = [score for score in scores.values() if score is not None]
    return max(known) - min(known) if known else 0.0


def _reasons(found: Disagreement) -> str:
    parts = (
        (found.facts, f"exact facts differ by {100 * found.facts:.0f} points"),
        (found.geval, f"the judge's scores by {4 * found.geval:.1f} of 4"),
        (found.judge, f"judge and facts on {found.by} by {100 * found.judge:.0f}% of the scale"),
    )
    return "; ".join(text for distance, text in parts if distance > 0)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _in_turns(answers: Sequence[Answer]) -> list[Answer]:
    """Orders so that each intent comes once before any comes twice, and so on."""
    seen: dict[str, int] = defaultdict(int)
    turns: list[int] = []
    for answer in answers:
        turns.append(seen[answer.intent])
        seen[answer.intent] += 1
    return [answer for _, answer in sorted(zip(turns, answers, strict=True), key=lambda t: t[0])]


def _example(answers: Sequence[Answer], why: str = "") -> Example:
    first = answers[0]
    return Example(
        question=first.question,
        intent=first.intent.replace("_", " "),
        reference=marked(first.reference, first.facts),
        sides=tuple(_side(answer) for answer in answers),
        why=why,
    )


def _side(answer: Answer) -> Side:
    return Side(
        contender=answer.contender,
        text=marked(answer.answer, answer.facts),
        missing=check_facts(answer.facts, answer.answer).missing,
        facts=exact_fact_score(answer),
        geval=overall_score(answer),
        judge_failure=judge_failure(answer),
        outcome=outcome(answer),
        cause=answer.finish_reason.partition(": ")[2],
    )
