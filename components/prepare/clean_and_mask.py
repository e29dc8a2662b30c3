"""The step that every row passes on its own: cleaned, then masked."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydantic import JsonValue

from components.core.schemas import Dialogue, QuarantinedRow
from components.prepare.cleaning.cleaner import Cleaner, Rejected, quarantined
from components.prepare.personal_data.masking import Masker

DIALOGUES_MASKED = "dialogues masked"
MASKED = "masked "
"""Counter keys: how many dialogues had personal data, and `masked <kind>` how many places."""


@dataclass(frozen=True)
class CleanAndMask:
    """Cleans and masks a shard's rows; picklable."""

    cleaner: Cleaner
    masker: Masker

    def __call__(
        self, rows: Iterable[Dialogue]
    ) -> Iterator[Dialogue | QuarantinedRow | Counter[str]]:
        """Gives each row cleaned and masked, or quarantined; the counts come last."""
        counts = Counter[str]()
        for row in rows:
            cleaned = self.cleaner.clean(row)
            if isinstance(cleaned, Rejected):
                yield mask_quarantined(quarantined(row, cleaned), self.masker)
                continue
            masked, found = self.masker.mask_dialogue(cleaned)
            counts[DIALOGUES_MASKED] += bool(found)
            counts.update({MASKED + kind: places for kind, places in found.items()})
            yield masked
        yield counts


def mask_quarantined(row: QuarantinedRow, masker: Masker) -> QuarantinedRow:
    """Masks what a rejected row shows: its file and line say where the whole of it stands.

    Args:
        row: As its reader made it.
        masker: What counts as personal data.

    Returns:
        The row with every text in it masked.
    """
    reason, _ = masker.mask_text(row.reason)
    return row.model_copy(update={"row": _mask(row.row, masker), "reason": reason})


def _mask(value: JsonValue, masker: Masker) -> JsonValue:
    if isinstance(value, str):
        return masker.mask_text(value)[0]
    if isinstance(value, dict):
        return {key: _mask(item, masker) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_mask(item, masker) for item in value]
    return value
