"""Masks personal data in texts and dialogues with placeholders."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property

from pydantic import BaseModel, ConfigDict

from components.core.schemas import Dialogue
from components.prepare.personal_data.addresses import find_addresses
from components.prepare.personal_data.emails import find_emails
from components.prepare.personal_data.kinds import KINDS, PLACEHOLDERS, Kind, Span
from components.prepare.personal_data.names import find_names
from components.prepare.personal_data.numbers import NATIONAL, find_numbers

PUBLIC_DIGITS = 5
"""An entry of `public` with fewer digits names no number."""


class MaskingSettings(BaseModel):
    """What is masked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kinds: tuple[Kind, ...] = KINDS
    """Which kinds of personal data."""
    public: tuple[str, ...] = ()
    """What stays although it looks personal: the bank's own numbers, e-mail addresses or domains,
    office addresses, product names. Toll-free numbers (8 800) stay anyway."""


@dataclass(frozen=True)
class Masker:
    """Finds and replaces personal data; picklable, and quick to make."""

    settings: MaskingSettings = field(default_factory=MaskingSettings)

    def find(self, text: str, keep: Iterable[str] = ()) -> list[Span]:
        """Finds personal data.

        Args:
            text: A text.
            keep: Phrases that stay, beside `settings.public`.

        Returns:
            Spans that do not overlap, from left to right.
        """
        found: list[Span] = []
        for finder in self._finders:
            for span in finder(text):
                if span.kind in self.settings.kinds and not _overlaps(span, found):
                    found.append(span)
        if not found:
            return found
        kept = _zones(text, (*self.settings.public, *keep))
        return sorted(span for span in found if not _overlaps(span, kept))

    def mask_text(self, text: str, keep: Iterable[str] = ()) -> tuple[str, Counter[str]]:
        """Masks a text.

        Placeholders change what stands around a piece of text, so it is read again until nothing
        more is found: masking a masked text changes nothing.

        Args:
            text: A text.
            keep: Phrases that stay, beside `settings.public`.

        Returns:
            The masked text, and how many pieces of each kind were masked.
        """
        counts: Counter[str] = Counter()
        while spans := self.find(text, keep):
            for span in reversed(spans):
                text = text[: span.start] + PLACEHOLDERS[span.kind] + text[span.end :]
            counts.update(span.kind for span in spans)
        return text, counts

    def mask_dialogue(self, dialogue: Dialogue) -> tuple[Dialogue, Counter[str]]:
        """Masks every turn; the facts and their values in the turns stay.

        Args:
            dialogue: A dialogue.

        Returns:
            The dialogue (the same object when nothing was found), and the counts by kind.
        """
        keep = [value for fact in dialogue.facts for value in (fact.value, *fact.accepted)]
        masked = [self.mask_text(turn.content, keep) for turn in dialogue.turns]
        counts: Counter[str] = sum((count for _, count in masked), Counter())
        if not counts:
            return dialogue, counts
        turns = tuple(
            turn.model_copy(update={"content": text})
            for turn, (text, _) in zip(dialogue.turns, masked, strict=True)
        )
        return dialogue.model_copy(update={"turns": turns}), counts

    @cached_property
    def _finders(self) -> tuple[Callable[[str], list[Span]], ...]:
        """Certain kinds first: a later finder gets only what is left."""
        lowered = frozenset(entry.lower() for entry in self.settings.public)
        numbers = {"".join(filter(str.isdigit, entry)) for entry in self.settings.public}
        digits = frozenset(n[-NATIONAL:] for n in numbers if len(n) >= PUBLIC_DIGITS) | numbers
        return (
            lambda text: find_emails(text, lowered),
            lambda text: find_numbers(text, digits),
            find_addresses,
            find_names,
        )


def _overlaps(span: Span, others: Iterable[Span]) -> bool:
    return any(span.start < other.end and other.start < span.end for other in others)


def _zones(text: str, phrases: Iterable[str]) -> list[Span]:
    """Where the phrases stand, in any letter case; the kind means nothing here."""
    lowered, zones = text.lower(), []
    for phrase in filter(None, phrases):
        start = lowered.find(phrase.lower())
        while start >= 0:
            zones.append(Span(start, start + len(phrase), "name"))
            start = lowered.find(phrase.lower(), start + 1)
    return zones
