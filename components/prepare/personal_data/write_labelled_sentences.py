"""Writes the labelled sentences that masking is measured with.

`python -m components.prepare.personal_data.write_labelled_sentences` fills the sentences of
`labelled/*.yaml`, which come from no recognizer. Each half has its own people, streets and
wordings.
"""

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import yaml

from components.core.json_lines import write_jsonl
from components.core.schemas import Row
from components.prepare.personal_data.kinds import KINDS, Kind
from components.prepare.personal_data.labelled_values import Values

HERE = Path(__file__).parent
SENTENCES = HERE / "labelled_sentences.jsonl"
SEED = 20261123
FILLS = {"positive": 4, "negative": 3}
SLOT = re.compile(r"\{(\w+)\}")
CASES = {"": 0, "gen": 1, "dat": 2, "ins": 3, "acc": 4}
NAME_SLOTS = {"fio", "io", "if", "first", "last", "initials", "pet", "latin"}
SAME_KIND: dict[str, Kind] = {"passport_words": "passport", "inn_company": "inn"}
LOWERED, UNSPACED, SWAPPED, BARE = 0.15, 0.15, 0.15, 0.3
"""Shares of sentences typed in lower case, without spaces after commas, with a typing error and
without the closing mark."""

Half = Literal["development", "held_out"]


class GoldSpan(Row):
    """Where personal data stands, in characters, and of which kind."""

    start: int
    end: int
    kind: Kind


class LabelledSentence(Row):
    """A sentence and the personal data in it; a hard negative has none."""

    half: Half
    text: str
    spans: tuple[GoldSpan, ...]


def labelled_sentences(seed: int = SEED) -> Iterator[LabelledSentence]:
    """Makes the sentences of both halves.

    Args:
        seed: The same seed gives the same sentences.
    """
    halves: tuple[Half, Half] = ("development", "held_out")
    for half in halves:
        content = yaml.safe_load((HERE / f"labelled/{half}.yaml").read_text("utf-8"))
        for sort, fills in FILLS.items():
            for place, template in enumerate(content[sort]):
                for fill in range(fills):
                    rng = random.Random(f"{seed}:{half}:{sort}:{place}:{fill}")
                    text, spans = _sentence(template, rng, content)
                    yield LabelledSentence(half=half, text=text, spans=spans)


def _sentence(
    template: str, rng: random.Random, half: dict[str, Any]
) -> tuple[str, tuple[GoldSpan, ...]]:
    values, text, spans = Values(rng, half), "", []
    unspaced = rng.random() < UNSPACED
    for place, part in enumerate(SLOT.split(template)):
        if place % 2 == 0:
            text += part.replace(", ", ",") if unspaced and place else part
            continue
        value = _value(part, values, half)
        if (kind := _kind(part)) is not None:
            spans.append(GoldSpan(start=len(text), end=len(text) + len(value), kind=kind))
        text += value
    return _typed(text, spans, rng), tuple(spans)


def _kind(slot: str) -> Kind | None:
    if slot.partition("_")[0] in NAME_SLOTS:
        return "name"
    kind = SAME_KIND.get(slot, slot)
    return next((known for known in KINDS if known == kind), None)


def _value(slot: str, values: Values, half: dict[str, Any]) -> str:
    if slot == "bik":
        return values.bik
    what, _, case = slot.partition("_")
    if what not in NAME_SLOTS or what == "latin":
        return str(getattr(values, slot)())
    return _person(what, case, values.rng, half["people"])


def _person(what: str, case: str, rng: random.Random, people: list[list[str]]) -> str:
    person = rng.choice(people)
    forms = [*person[:4], _accusative(person)]
    last, first, patronymic = forms[CASES[case]].split()
    short = f"{first[0]}.{rng.choice(('', ' '))}{patronymic[0]}."
    return {
        "fio": rng.choice((f"{last} {first} {patronymic}", f"{first} {patronymic} {last}")),
        "io": f"{first} {patronymic}",
        "if": rng.choice((f"{first} {last}", f"{last} {first}")),
        "first": first,
        "last": last,
        "initials": rng.choice((f"{last} {short}", f"{short} {last}")),
        "pet": person[4],
    }[what]


def _accusative(person: list[str]) -> str:
    """A man's is the genitive; a woman's ends in -у or -ю, or stays."""
    if person[0].endswith("ич"):
        return person[1]
    endings = (("ая", "ую"), ("а", "у"), ("я", "ю"))
    words = []
    for word in person[0].split():
        old, new = next((pair for pair in endings if word.endswith(pair[0])), ("", ""))
        words.append(word.removesuffix(old) + new)
    return " ".join(words)


def _typed(text: str, spans: list[GoldSpan], rng: random.Random) -> str:
    """As people type: lengths stay, so that the spans hold."""
    if rng.random() < LOWERED:
        text = text.lower()
    if rng.random() < SWAPPED:
        text = _swapped(text, spans, rng)
    if rng.random() < BARE and not (spans and spans[-1].end == len(text)):
        text = text.rstrip(".?!")
    return text


def _swapped(text: str, spans: list[GoldSpan], rng: random.Random) -> str:
    """Two neighbouring small letters change places, somewhere outside the personal data."""
    places = [
        i
        for i in range(len(text) - 1)
        if text[i : i + 2].isalpha() and text[i : i + 2].islower()
        if not any(span.start - 1 <= i < span.end for span in spans)
    ]
    if not places:
        return text
    i = rng.choice(places)
    return text[:i] + text[i + 1] + text[i] + text[i + 2 :]


if __name__ == "__main__":
    write_jsonl(SENTENCES, labelled_sentences())
