"""The report's page: one HTML file with its plots and styles inside."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
from markupsafe import Markup

from components.core.llm import Frozen
from components.core.outcomes import exact_fact_score
from components.core.schemas import Answer, LossPoint
from components.evaluate.charts.course import latency_chart, loss_chart
from components.evaluate.charts.facts import accuracy_chart, intent_chart
from components.evaluate.charts.frame import Look, looks
from components.evaluate.charts.scores import criteria_chart, score_chart
from components.evaluate.examples import choose_disagreements, choose_examples, is_wrong
from components.evaluate.failures import answer_failures, judge_failures
from components.evaluate.gates import GateVerdict
from components.evaluate.leaderboard import Leaderboard

TEMPLATES = Path(__file__).parent / "templates"
UNKNOWN_JUDGE = "How far this judge's scores can be trusted was not measured in this run."
SURE = 0.001
"""A p-value under this is shown as that: the flips are too few to tell more."""


class Links(Frozen):
    """Pages that the report points at, relative to it; empty ones are left out."""

    watch: str = ""
    data_card: str = ""
    recovery: str = ""


@dataclass(frozen=True)
class PageContent:
    """What the page shows beside the leaderboard."""

    contenders: Sequence[Sequence[Answer]]
    """The baseline's answers first."""
    losses: Sequence[LossPoint] = ()
    links: Links = field(default_factory=Links)
    note: str = ""
    """What stands in for GigaChat; empty when GigaChat itself was asked."""
    caution: str = ""
    """How far the judge can be trusted; empty where that was not measured."""
    others: Sequence[Sequence[GateVerdict]] = ()
    """Verdicts of the contenders that are neither baseline nor candidate."""


def render(board: Leaderboard, content: PageContent) -> str:
    """Renders the page.

    Args:
        board: The leaderboard of the contenders.
        content: Everything else.

    Returns:
        HTML that loads nothing.
    """
    contenders = content.contenders
    baseline = contenders[0]
    candidate = next(rows for rows in contenders if rows[0].contender == board.candidate)
    return template("report.html.jinja").render(
        board=board,
        ours=board.standing(board.candidate),
        base=board.standing(board.baseline),
        looks=_looks(board),
        examples=choose_examples(baseline, candidate),
        disagreements=choose_disagreements(contenders),
        failures=answer_failures(contenders),
        unscored=judge_failures(contenders),
        wrong=sum(is_wrong(answer) for answer in candidate),
        others=content.others,
        note=content.note,
        caution=content.caution or UNKNOWN_JUDGE,
        links=content.links,
        charts=_charts(board, content, candidate),
    )


def template(name: str) -> jinja2.Template:
    """Loads a page of `templates/`, which must be given all that it shows.

    Args:
        name: The file's name.

    Returns:
        The template; it escapes what it is given.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: f"{100 * share:.1f}%"
    environment.filters["p_value"] = lambda p: f"p < {SURE}" if p < SURE else f"p = {p:.3f}"
    return environment.get_template(name)


def _looks(board: Leaderboard) -> dict[str, Look]:
    names = sorted(row.measures.contender for row in board.standings)
    return looks(names, board.baseline, board.candidate)


def _charts(
    board: Leaderboard, content: PageContent, candidate: Sequence[Answer]
) -> dict[str, Markup]:
    drawn = _looks(board)
    contenders = content.contenders
    with_facts = any(exact_fact_score(answer) is not None for answer in candidate)
    charts = {
        "accuracy": accuracy_chart(board, drawn) if with_facts else "",
        "intents": intent_chart(contenders[0], candidate) if with_facts else "",
        "latency": latency_chart(contenders, drawn),
        "loss": loss_chart(content.losses) if content.losses else "",
        "scores": score_chart(contenders, board, drawn),
        "criteria": criteria_chart(board, drawn),
    }
    return {name: Markup(chart) for name, chart in charts.items()}
