"""The report of an evaluation: one HTML page that needs nothing else, and its figures as JSON."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import jinja2
from markupsafe import Markup, escape
from pydantic import BaseModel, ConfigDict

from components.core.errors import BadInputError
from components.core.facts import check_facts
from components.core.json_lines import read_jsonl
from components.core.outcomes import Outcome, exact_fact_score, outcome
from components.core.schemas import Answer, Fact, LossPoint
from components.core.whole_files import write_text
from components.evaluate.charts import accuracy_chart, intent_chart, latency_chart, loss_chart
from components.evaluate.leaderboard import Leaderboard, rank

TEMPLATES = Path(__file__).parent / "templates"
EMULATOR_NOTE = (
    "The baseline in this report is not GigaChat. It is {model}, not fine-tuned, prompted and "
    "served behind an emulator of GigaChat's API. It is a weak stand-in that proves the loop works "
    "end to end; it says nothing about GigaChat's own answers."
)
SOME_MODEL = "this run's base model"
EXAMPLES = 12
WRONG_SHARE = 3
"""One example in this many is one where the candidate is wrong, as long as there are any."""


class Links(BaseModel):
    """Pages that the report points at, relative to it; empty ones are left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    watch: str = ""
    data_card: str = ""


@dataclass(frozen=True)
class Side:
    """One contender's answer in an example."""

    contender: str
    text: Markup
    """The answer, escaped, with the facts found marked."""
    missing: tuple[Fact, ...]
    score: float | None
    outcome: Outcome
    cause: str


@dataclass(frozen=True)
class Example:
    """A question with its reference and the answers of both sides."""

    question: str
    intent: str
    reference: Markup
    baseline: Side
    candidate: Side


def write_report(
    answers: Sequence[Path],
    losses: Path | None,
    report: Path,
    summary: Path | None = None,
    links: Links | None = None,
    emulated_baseline: bool = True,
    base_model: str = "",
) -> Leaderboard:
    """Reads answers and losses, and writes the page and its figures.

    Args:
        answers: JSON lines of `Answer`: the baseline's file first, then one a contender.
        losses: JSON lines of `LossPoint`; None when there are none.
        report: The HTML page.
        summary: The leaderboard as JSON; None for no such file.
        links: Pages to point at.
        emulated_baseline: The baseline is the laptop's stand-in: the page says so at its top.
        base_model: Which model stands in, a folder, an address or a name; empty if unknown.

    Returns:
        The leaderboard.

    Raises:
        BadInputError: Fewer than two files, an empty one, or different questions; SchemaError,
            its child, when a line does not fit.
    """
    contenders = _read(answers)
    curve = read_jsonl(losses, LossPoint) if losses else []
    board = rank(contenders[0], contenders[1:], curve)
    note = emulator_note(base_model) if emulated_baseline else ""
    page = render(board, contenders, curve, links or Links(), note)
    write_text(report, page)
    if summary:
        write_text(summary, board.model_dump_json(indent=2) + "\n")
    return board


def _read(answers: Sequence[Path]) -> list[list[Answer]]:
    contenders = [read_jsonl(path, Answer) for path in answers]
    if not contenders[1:] or not all(contenders):
        empty = [str(path) for path, rows in zip(answers, contenders, strict=True) if not rows]
        raise BadInputError(
            f"A leaderboard needs the answers of a baseline and of a candidate; empty: "
            f"{', '.join(empty) or 'none'}, given: {len(contenders)} files. Run `answer` for each."
        )
    return contenders


def emulator_note(base_model: str) -> str:
    """Says what answers in GigaChat's place.

    Args:
        base_model: A folder, an address or a name, of which the last part is shown; may be empty.
    """
    return EMULATOR_NOTE.format(model=PurePosixPath(base_model).name or SOME_MODEL)


def render(
    board: Leaderboard,
    contenders: Sequence[Sequence[Answer]],
    losses: Sequence[LossPoint],
    links: Links,
    note: str,
) -> str:
    """Renders the page.

    Args:
        board: The leaderboard of these contenders.
        contenders: The baseline's answers first.
        losses: The loss curve; may be empty.
        links: Pages to point at.
        note: What stands in for GigaChat; empty when GigaChat itself was asked.

    Returns:
        HTML with its plots and styles inside.
    """
    best = board.best.measures.contender if board.best else ""
    candidate = next(rows for rows in contenders[1:] if rows[0].contender == best)
    return _template().render(
        board=board,
        best=board.best,
        base=next(row for row in board.standings if row.comparison is None),
        examples=choose_examples(contenders[0], candidate),
        wrong=sum(_is_wrong(answer) for answer in candidate),
        note=note,
        links=links,
        accuracy_chart=Markup(accuracy_chart(board)),
        intent_chart=Markup(intent_chart(contenders[0], candidate)),
        latency_chart=Markup(latency_chart(contenders, board.baseline)),
        loss_chart=Markup(loss_chart(losses)) if losses else "",
    )


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: f"{100 * share:.1f}%"
    return environment.get_template("report.html.jinja")


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
    wrong = _in_turns([answer for answer in ordered if _is_wrong(answer)])
    right = _in_turns([answer for answer in ordered if not _is_wrong(answer)])
    shown = wrong[: max(limit // WRONG_SHARE, limit - len(right))]
    of_baseline = {answer.dialogue_id: answer for answer in baseline}
    chosen = shown + right[: limit - len(shown)]
    return [_example(of_baseline[answer.dialogue_id], answer) for answer in chosen]


def _is_wrong(answer: Answer) -> bool:
    score = exact_fact_score(answer)
    return outcome(answer) != "answered" or (score is not None and score < 1)


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


def _example(baseline: Answer, candidate: Answer) -> Example:
    return Example(
        question=candidate.question,
        intent=candidate.intent.replace("_", " "),
        reference=marked(candidate.reference, candidate.facts),
        baseline=_side(baseline),
        candidate=_side(candidate),
    )


def _side(answer: Answer) -> Side:
    return Side(
        contender=answer.contender,
        text=marked(answer.answer, answer.facts),
        missing=check_facts(answer.facts, answer.answer).missing,
        score=exact_fact_score(answer),
        outcome=outcome(answer),
        cause=answer.finish_reason.partition(": ")[2],
    )


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
