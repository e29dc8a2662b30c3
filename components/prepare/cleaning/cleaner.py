"""Cleans a dialogue, or says why it is left out."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from components.core.schemas import Dialogue, QuarantinedRow, Turn
from components.prepare.cleaning.characters import repair
from components.prepare.cleaning.language import evident, follows_the_rest, language_of
from components.prepare.cleaning.links import is_own, leaned_on, strip_links
from components.prepare.cleaning.quality import POOR, UNREADABLE, Rules, first_fault
from components.prepare.cleaning.settings import CleaningSettings
from components.prepare.cleaning.wording import PHRASES, PhraseKind, find_phrase

RAW_FACTOR = 4
"""Markup may make a raw message so many times longer than its limit; longer ones are not read."""
MOST_ROUNDS = 8
"""Times that a message is mended until nothing changes: two, unless things are nested."""
SHOWN_CHARACTERS = 500
"""Characters of each message that a quarantined row shows."""

_WITH_LINE = re.compile(r"(?P<file>.+):(?P<line>\d+)")
_SAYS_SOMETHING = re.compile(r"[^\s.,:;()\[\]«»\"'–—-]")

Turns = tuple[Turn, ...]


@dataclass(frozen=True)
class Rejected:
    """Why a dialogue is left out."""

    kind: str
    """Short and stable; languages have one each, for example `language-en`."""
    reason: str
    """One sentence: what is wrong."""


@dataclass(frozen=True)
class Cleaner:
    """Cleans dialogues by one set of settings; picklable, and holds nothing else."""

    settings: CleaningSettings = field(default_factory=CleaningSettings)

    def clean(self, dialogue: Dialogue) -> Dialogue | Rejected:
        """Cleans one dialogue; cleaning the result again changes nothing.

        Args:
            dialogue: From any source; ids, facts and split are left alone.

        Returns:
            The dialogue with repaired messages and its language, or why it is left out.

        Raises:
            RecipeError: The settings name a file of phrases that cannot be used.
        """
        turns = oversized(dialogue.turns, self.settings, RAW_FACTOR) or mended(
            dialogue, self.settings
        )
        if isinstance(turns, Rejected):
            return turns
        language = language_among(turns, self.settings) or dialogue.language
        if rejected := _fault(turns, language, self.settings):
            return rejected
        if turns == dialogue.turns and language == dialogue.language:
            return dialogue
        return dialogue.model_copy(update={"turns": turns, "language": language})


def quarantined(dialogue: Dialogue, rejected: Rejected) -> QuarantinedRow:
    """Makes the row of `quarantine.jsonl` for a dialogue that was left out.

    Args:
        dialogue: As it was before cleaning; its provenance says file and line.
        rejected: Why.

    Returns:
        The row, with each message cut to `SHOWN_CHARACTERS`.
    """
    place = _WITH_LINE.fullmatch(dialogue.provenance)
    turns = [(turn.role, turn.content[:SHOWN_CHARACTERS]) for turn in dialogue.turns[:10]]
    return QuarantinedRow(
        file=place["file"] if place else dialogue.provenance or dialogue.source,
        line=int(place["line"]) if place else 0,
        reason=rejected.reason,
        kind=rejected.kind,
        row={"dialogue_id": dialogue.dialogue_id, "source": dialogue.source, "turns": turns},
    )


def _fault(turns: Turns, language: str, settings: CleaningSettings) -> Rejected | None:
    """The first thing that is wrong; encodings before language, language before the dictionary."""
    return (
        oversized(turns, settings, 1)
        or _given_away(turns, settings)
        or _poor(turns, settings, UNREADABLE)
        or _foreign(language, settings)
        or _poor(turns, settings, POOR)
    )


def oversized(turns: Turns, settings: CleaningSettings, factor: int) -> Rejected | None:
    """Checks the lengths.

    Args:
        turns: Raw or mended messages.
        settings: The limits.
        factor: The limits are so many times higher; above 1, nothing is too short.

    Returns:
        What is too long or too short, or None.
    """
    if len(turns) > settings.max_turns:
        limit = settings.max_turns
        return Rejected("too-many-turns", f"It has {len(turns)} turns; up to {limit} are kept.")
    for turn in turns:
        limit = factor * _limit(turn, settings)
        if len(turn.content) > limit:
            reason = f"A message has {len(turn.content)} characters; up to {limit} are kept."
            return Rejected(f"too-long-{_side(turn)}", reason)
        least = settings.min_answer_characters if turn.role == "assistant" and factor == 1 else 0
        if len(turn.content) < least:
            return Rejected("too-short-answer", f"An answer has less than {least} characters.")
    return None


def _limit(turn: Turn, settings: CleaningSettings) -> int:
    if turn.role == "user":
        return settings.max_question_characters
    return settings.max_answer_characters


def _side(turn: Turn) -> str:
    return {"user": "question", "assistant": "answer", "system": "prompt"}[turn.role]


def mended(dialogue: Dialogue, settings: CleaningSettings) -> Turns | Rejected:
    """Repairs the messages' characters and takes out web addresses.

    Args:
        dialogue: Addresses that its facts hold stay.
        settings: What to do with addresses, and which are the bank's own.

    Returns:
        The messages, or why there are none.
    """
    found: list[str] = []
    keep = _kept_links(dialogue, settings, found)
    texts = [_stable(turn.content, keep) for turn in dialogue.turns]
    if found and settings.links == "reject":
        return Rejected("link", f"A message holds the web address {found[0][:100]!r}.")
    if found and (link := _needed_link(dialogue, keep)):
        return Rejected("link", f"A sentence would break without the web address {link[:100]!r}.")
    if not all(map(_SAYS_SOMETHING.search, texts)):
        return Rejected("empty", "A message is empty once markup and web addresses are gone.")
    return tuple(
        turn if turn.content == text else turn.model_copy(update={"content": text})
        for turn, text in zip(dialogue.turns, texts, strict=True)
    )


def _needed_link(dialogue: Dialogue, keep: Callable[[str], bool]) -> str:
    return next(filter(None, (leaned_on(repair(t.content), keep) for t in dialogue.turns)), "")


def _stable(text: str, keep: Callable[[str], bool]) -> str:
    """Mends until nothing changes: a tag taken out may leave another tag, or an address."""
    for _ in range(MOST_ROUNDS):
        after = strip_links(repair(text), keep)
        if after == text:
            break
        text = after
    return text


def _kept_links(
    dialogue: Dialogue, settings: CleaningSettings, found: list[str]
) -> Callable[[str], bool]:
    """An address stays on the bank's own domains, and where it is a fact of the answer.

    Those that do not stay are noted in `found`.
    """
    facts = [spelling for fact in dialogue.facts for spelling in (fact.value, *fact.accepted)]

    def keep(link: str) -> bool:
        if is_own(link, settings.own_domains) or any(link in fact for fact in facts):
            return True
        found.append(link)
        return settings.links == "keep"

    return keep


def _given_away(turns: Turns, settings: CleaningSettings) -> Rejected | None:
    path = settings.phrases or PHRASES
    for turn in turns:
        if found := find_phrase(turn.content, _phrase_kinds(turn, settings), path):
            return Rejected(found[0], f"A message ({_side(turn)}) says {found[1]!r}.")
    return None


def _phrase_kinds(turn: Turn, settings: CleaningSettings) -> tuple[PhraseKind, ...]:
    leftovers: tuple[PhraseKind, ...] = ("boilerplate", "template") if settings.boilerplate else ()
    if turn.role == "assistant" and settings.refusals:
        return ("refusal", *leftovers)
    return leftovers if turn.role != "system" else ()


def language_among(turns: Turns, settings: CleaningSettings) -> str:
    """Tells the language of a dialogue: a side in one that is not kept decides.

    Args:
        turns: Mended messages.
        settings: Which languages are kept.

    Returns:
        An ISO 639-1 code; empty when neither side nor both together tell.
    """
    kept = settings.languages
    sides = [_said_by(turns, role) for role in ("assistant", "user")]
    known = {side: evident(side) for side in sides}
    told = {language for language in known.values() if language}
    for side in sorted((side for side in sides if not known[side]), key=len, reverse=True):
        if not (told and follows_the_rest(side)) and (language := language_of(side, kept)):
            told.add(language)
    foreign = sorted(told.difference(kept))
    return next(iter((*foreign, *told)), "") or language_of(" ".join(sides), kept)


def _said_by(turns: Turns, role: str) -> str:
    return " ".join(turn.content for turn in turns if turn.role == role)


def _foreign(language: str, settings: CleaningSettings) -> Rejected | None:
    if language in settings.languages:
        return None
    kept = ", ".join(settings.languages)
    return Rejected(f"language-{language}", f"Its language is {language!r}; kept are: {kept}.")


def _poor(turns: Turns, settings: CleaningSettings, rules: Rules) -> Rejected | None:
    if not settings.statistical_filter:
        return None
    for turn in turns:
        if turn.role != "system" and (fault := first_fault(turn.content, settings.quality, rules)):
            kind, wrong = fault
            return Rejected(kind, f"A message ({_side(turn)}) {wrong}.")
    return None
