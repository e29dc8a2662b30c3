"""Preference pairs from dialogues with facts: the reference answer against a corruption of it."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from components.core.errors import LeakageError
from components.core.schemas import Dialogue, PreferencePair, QuarantinedRow, Turn
from components.prepare.catalogue import Bank
from components.prepare.preferences.corruptions import corrupt, is_right
from components.prepare.preferences.leaks import without_test_text
from components.prepare.preferences.settings import PreferenceSettings, Reason
from components.prepare.subset import select


def make_pairs(
    dialogues: Iterable[Dialogue], settings: PreferenceSettings, bank: Bank
) -> Iterator[PreferencePair]:
    """Corrupts reference answers, about equally often for each reason, intent and product.

    Args:
        dialogues: Of any split; held in memory. One whose answer lacks a listed fact, or that
            lists none, gives no pair.
        settings: Which dialogues, which corruptions, how many.
        bank: The catalogue that the wrong values come from.

    Yields:
        Pairs, each with the split of its dialogue; the same arguments give the same pairs.

    Raises:
        LeakageError: A training dialogue asks a question of the test.
        RecipeError: `settings.subset` names a product or an intent that no dialogue has.
    """
    rows = list(dialogues)
    usable = [row for row in rows if is_right(row) and prompt_of(row)]
    by_split = defaultdict[str, list[Dialogue]](list)
    for row in usable:
        by_split[row.split].append(row)
    for split in sorted(by_split):
        chosen = select(by_split[split], settings.subset)
        made = _corrupted(chosen, settings, bank)
        for pair in without_test_text(made, rows, settings.leakage):
            if isinstance(pair, QuarantinedRow):
                raise LeakageError(pair.reason)
            yield pair


def prompt_of(dialogue: Dialogue) -> tuple[Turn, ...]:
    """Gives what was said up to the user's last message before the reference answer.

    Args:
        dialogue: Its last message of the assistant is the reference.

    Returns:
        The turns; none when no user spoke before the answer.
    """
    turns = dialogue.turns
    answer = max(place for place, turn in enumerate(turns) if turn.role == "assistant")
    asked = [place for place in range(answer) if turns[place].role == "user"]
    return turns[: asked[-1] + 1] if asked else ()


def pair_id(source: str, prompt: Sequence[Turn], chosen: str, rejected: str) -> str:
    """Gives the id of a pair: the same content has the same id.

    Args:
        source: As in `PreferencePair`.
        prompt: As in `PreferencePair`.
        chosen: As in `PreferencePair`.
        rejected: As in `PreferencePair`.
    """
    said = [source, *(f"{turn.role}:{turn.content}" for turn in prompt), chosen, rejected]
    digest = hashlib.sha256(json.dumps(said, ensure_ascii=False).encode())
    return f"prf-{digest.hexdigest()[:16]}"


def _corrupted(
    dialogues: Sequence[Dialogue], settings: PreferenceSettings, bank: Bank
) -> Iterator[PreferencePair]:
    """Gives each dialogue the reasons that were used least: for its product and intent, at all."""
    used = Counter[tuple[str, ...]]()

    def drafts(dialogue: Dialogue) -> Iterator[tuple[Reason, str]]:
        for reason in _least_used(dialogue, settings.reasons, used):
            if rejected := corrupt(dialogue, reason, bank, settings.seed):
                yield reason, rejected

    for dialogue in dialogues:
        for reason, rejected in islice(drafts(dialogue), settings.pairs_per_dialogue):
            used.update(_counted(dialogue, reason))
            yield _pair(dialogue, rejected, reason, settings)


def _counted(dialogue: Dialogue, reason: Reason) -> tuple[tuple[str, ...], ...]:
    """What a reason is counted by, the most telling first."""
    return (
        (reason, dialogue.intent, dialogue.product),
        (reason, dialogue.intent),
        (reason,),
    )


def _least_used(
    dialogue: Dialogue, reasons: Sequence[Reason], used: Counter[tuple[str, ...]]
) -> list[Reason]:
    return sorted(reasons, key=lambda reason: [used[key] for key in _counted(dialogue, reason)])


def _pair(
    dialogue: Dialogue, rejected: str, reason: Reason, settings: PreferenceSettings
) -> PreferencePair:
    source, prompt = f"corruption:{settings.bank_name}", prompt_of(dialogue)
    return PreferencePair(
        pair_id=pair_id(source, prompt, dialogue.answer, rejected),
        dialogue_id=dialogue.dialogue_id,
        prompt=prompt,
        chosen=dialogue.answer,
        rejected=rejected,
        facts=dialogue.facts,
        intent=dialogue.intent,
        product=dialogue.product,
        source=source,
        reason=reason,
        licence=dialogue.licence,
        split=dialogue.split,
    )
