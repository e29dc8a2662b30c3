"""The data card as an HTML page that needs nothing else, and as JSON."""

import re
from collections.abc import Iterable
from pathlib import Path

import jinja2
import yaml
from markupsafe import Markup, escape

from components.core.whole_files import write_text
from components.prepare.card.card_input import CardInput, Dataset, Histogram
from components.prepare.generate import SOURCE as BUILT_IN

TEMPLATES = Path(__file__).parent / "templates"
LONGEST_TEXT = 1500
"""Characters of a message that the page shows; the JSON has it in full."""
CENTS = 0.1
"""Smaller sums of money are written with four decimals."""
LEAST_SHARE = 0.0005
"""A smaller share would be written as 0.0%."""
OPEN_TABLE = 20
"""Longer tables of intents and products are folded."""
_PLACEHOLDER = re.compile(r"\[[А-ЯЁ]{2,20}\]")
_SHORT = (
    *((1_000, 1, "{:.0f}"), (9_950, 1_000, "{:.1f}k"), (999_500, 1_000, "{:.0f}k")),
    (float("inf"), 1_000_000, "{:.1f}M"),
)
"""Below which number, in which unit, in which form a count is written."""


def write_card(card: CardInput, html: Path, json: Path) -> None:
    """Writes the data card twice; the same card gives the same bytes.

    Args:
        card: All that it says.
        html: The page, self-contained; written whole or not at all.
        json: `CardInput` as JSON, which `CardInput.model_validate_json` reads back; written whole
            or not at all.
    """
    write_text(json, card.model_dump_json(indent=2) + "\n")
    write_text(html, render(card))


def render(card: CardInput) -> str:
    """Renders the page.

    Args:
        card: All that it says.

    Returns:
        HTML with its styles and charts inside.
    """
    return (
        _environment()
        .get_template("card.html.jinja")
        .render(
            card=card,
            data=card.dataset,
            notes=notes(card),
            recipe=yaml.safe_dump(card.recipe, allow_unicode=True, sort_keys=False, width=90),
            open_table=OPEN_TABLE,
            longest_text=LONGEST_TEXT,
        )
    )


def notes(card: CardInput) -> list[str]:
    """Says what a reader must know before the figures: what is generated, what stands in.

    Args:
        card: All that the card says.

    Returns:
        Sentences; none when no row is synthetic.
    """
    found = [_origin_note(card.dataset), _teacher_note(card)]
    for synthesis in card.syntheses:
        found.append(synthesis.note)
        if synthesis.not_asked:
            found.append(
                f"{synthesis.source} stopped at its budget: {synthesis.not_asked:,} of "
                f"{synthesis.planned:,} dialogues were not made."
            )
    return [note for note in found if note]


def _origin_note(data: Dataset) -> str:
    """Whether a generator without an LLM wrote the rows, and how many of them."""
    rows = data.train + data.test
    built_in = sum(source.total for source in data.sources if source.name == BUILT_IN)
    if not built_in:
        return ""
    share = "All rows" if built_in == rows else f"{built_in:,} of {rows:,} rows"
    return (
        f"{share} are synthetic: a deterministic generator filled the templates of a fictional "
        "bank, no LLM took part. No customer, rate or fee in them is real."
    )


def _teacher_note(card: CardInput) -> str:
    """How many rows a model wrote, and which."""
    sources = [s for s in card.dataset.sources if s.name.startswith("synthetic:")]
    written = sum(source.total for source in sources if source.name != BUILT_IN)
    spending = [spent for made in card.syntheses if made.accepted for spent in made.spending]
    models = ", ".join(dict.fromkeys(s.model for s in spending if s.role == "teacher"))
    rows = card.dataset.train + card.dataset.test
    if not written:
        return ""
    return f"{written:,} of {rows:,} rows were written by a teacher model: {models or 'not named'}."


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": lambda number: f"{number:,}",
        "percent": percent,
        "money": lambda value: f"{value:,.{4 if 0 < value < CENTS else 2}f}",
        "short": short_count,
        "placeholders": mark_placeholders,
        "ranges": bin_ranges,
        "ranked": lambda counts: sorted(counts.items(), key=lambda item: (-item[1], item[0])),
    }
    return environment


def percent(share: float) -> str:
    """Writes a share with one decimal; what is there but rounds to nothing says so: `<0.1%`.

    Args:
        share: In [0, 1].
    """
    return "<0.1%" if 0 < share < LEAST_SHARE else f"{100 * share:.1f}%"


def short_count(number: int) -> str:
    """Writes a count in few characters, for a narrow column: `987`, `1.2k`, `35k`, `2.0M`.

    Args:
        number: Not negative.
    """
    unit, form = next((unit, form) for limit, unit, form in _SHORT if number < limit)
    return form.format(number / unit)


def bin_ranges(histogram: Histogram) -> list[str]:
    """Names the bins of a histogram: `20–29` for whole numbers, `1.5–2` for others.

    Args:
        histogram: Its last bin becomes `90+` when it is open.
    """
    whole = float(histogram.width).is_integer()
    names = []
    for index in range(len(histogram.counts)):
        start = histogram.first + index * histogram.width
        end = start + histogram.width - whole
        names.append(f"{start:g}–{end:g}" if end > start else f"{start:g}")
    if histogram.open_end:
        names[-1] = f"{start:g}+"
    return names


def mark_placeholders(text: str) -> Markup:
    """Escapes a text and marks where personal data was masked, for example `[ТЕЛЕФОН]`.

    Args:
        text: From a source: untrusted.
    """
    parts: Iterable[Markup] = (
        Markup("<mark>{}</mark>").format(part) if _PLACEHOLDER.fullmatch(part) else escape(part)
        for part in re.split(f"({_PLACEHOLDER.pattern})", text)
    )
    return Markup("").join(parts)
