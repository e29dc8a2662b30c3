"""Masks personal data in texts and dialogues with placeholders."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial

from pydantic import BaseModel, ConfigDict

from components.core.schemas import Dialogue
from components.prepare.personal_data.addresses import find_addresses
from components.prepare.personal_data.emails import find_emails
from components.prepare.personal_data.kinds import KINDS, PLACEHOLDERS, Kind, Span
from components.prepare.personal_data.names import find_names
from components.prepare.personal_data.numbers import NATIONAL, find_numbers


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
        found = [span for finder in self._finders for span in finder(text)]
        if not found:
            return []
        taken = _zones(text, (*self.settings.public, *keep))
        return sorted(
            span for span in found if span.kind in self.settings.kinds and _takes(span, taken)
        )

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
            text = "".join(_pieces(text, spans))
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
        numbers = ("".join(filter(str.isdigit, entry)) for entry in self.settings.public)
        digits = frozenset(number[-NATIONAL:] for number in numbers)
        return (
            partial(find_emails, public=lowered),
            partial(find_numbers, public=digits),
            find_addresses,
            find_names,
        )


def _pieces(text: str, spans: list[Span]) -> Iterator[str]:
    """What stays and the placeholders between, in the text's order."""
    end = 0
    for span in spans:
        yield text[end : span.start]
        yield PLACEHOLDERS[span.kind]
        end = span.end
    yield text[end:]


def _zones(text: str, phrases: Iterable[str]) -> bytearray:
    """One byte a character: 1 where a phrase stands, in any letter case."""
    zones, lowered = bytearray(len(text)), text.lower()
    for phrase in filter(None, phrases):
        if phrase.lower() in lowered:
            for match in re.finditer(re.escape(phrase), text, re.IGNORECASE):
                zones[match.start() : match.end()] = b"\1" * len(match.group())
    return zones


def _takes(span: Span, taken: bytearray) -> bool:
    """Takes the characters of a span unless one of them is taken."""
    if any(taken[span.start : span.end]):
        return False
    taken[span.start : span.end] = b"\1" * (span.end - span.start)
    return True
