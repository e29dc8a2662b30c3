"""Dialogues from a bank's catalogue: every product, intent and phrasing, varied and split."""

import hashlib
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product as combinations
from operator import itemgetter
from typing import Literal

from components.core.errors import CatalogueError
from components.core.schemas import Dialogue, Turn
from components.prepare.catalogue import Bank, Intent, Product, Variation

SOURCE = "synthetic:built-in-bank"
LICENCE = "Apache-2.0"

Split = Literal["train", "test"]


@dataclass(frozen=True)
class Corpus:
    """The two splits, each in a seeded order."""

    train: tuple[Dialogue, ...]
    test: tuple[Dialogue, ...]


@dataclass(frozen=True)
class _Pair:
    """One product under one intent, with the families of one split."""

    intent: Intent
    product: Product
    split: Split


@dataclass(frozen=True)
class _Question:
    """One wording of a pair's question, with the number of its family from 1."""

    pair: _Pair
    family: int
    text: str


def generate(bank: Bank, *, train_rows: int, test_rows: int, seed: int) -> Corpus:
    """Generates distinct dialogues; the same arguments give the same dialogues.

    Rows are dealt in turns: one for each pair of intent and product, then the next, so that every
    intent and product has its share. A pair's turns go over its families, plain wording first.

    Args:
        bank: The catalogue.
        train_rows: Dialogues for training, over the phrasing families of training.
        test_rows: Dialogues for the test, over families that training never shows; dealt evenly
            over the intents.
        seed: Any integer.

    Returns:
        Both splits.

    Raises:
        CatalogueError: The catalogue has too few products or phrasings for what was asked.
    """
    taken: set[str] = set()
    train = _split(bank, "train", train_rows, seed, taken)
    test = _split(bank, "test", test_rows, seed, taken)
    return Corpus(train=tuple(train), test=tuple(test))


def _split(bank: Bank, split: Split, rows: int, seed: int, taken: set[str]) -> list[Dialogue]:
    rng = random.Random(f"{seed}:{split}")
    streams = _streams(bank, split, rng)
    questions: list[_Question] = []
    while streams and len(questions) < rows:
        streams = [s for s in streams if len(questions) < rows and _deal(s, questions, taken)]
    if len(questions) < rows:
        raise CatalogueError(
            f"The bank gives {len(questions)} distinct {split} dialogues, {rows} were asked: "
            f"{rows - len(questions)} too few; add products or phrasings, or ask for fewer."
        )
    rng.shuffle(questions)
    return [_dialogue(question, seed) for question in questions]


def _streams(bank: Bank, split: Split, rng: random.Random) -> list[Iterator[_Question]]:
    """One stream of questions for each pair (train) or for each intent (test)."""
    streams = []
    for intent in bank.intents.values():
        pairs = [_Pair(intent, item, split) for item in bank.intent_products[intent.id]]
        own = [_questions(pair, bank.variation, rng.randrange(2**32)) for pair in pairs]
        streams += [_round_robin(own)] if split == "test" else own
    return streams


def _round_robin(
    streams: list[Iterator[_Question]],
) -> Iterator[_Question]:
    while streams:
        alive = []
        for stream in streams:
            if (item := next(stream, None)) is not None:
                alive.append(stream)
                yield item
        streams = alive


def _deal(stream: Iterator[_Question], questions: list[_Question], taken: set[str]) -> bool:
    """Takes the stream's next new question; False when the stream is at its end."""
    for question in stream:
        key = question.text.casefold()
        if key not in taken:
            taken.add(key)
            questions.append(question)
            return True
    return False


def _questions(pair: _Pair, variation: Variation, seed: int) -> Iterator[_Question]:
    """The pair's questions: every family in plain words, then again with variations."""
    rng = random.Random(seed)
    phrasings = pair.intent.train if pair.split == "train" else pair.intent.test
    plain = [phrasing.format_map(pair.product.words) for phrasing in phrasings]
    order = rng.sample(range(len(plain)), len(plain))
    varied = [_variants(plain[family], variation, rng) for family in order]
    for turn in range(max(len(variants) for variants in varied)):
        for family, variants in zip(order, varied, strict=True):
            if turn < len(variants):
                yield _Question(pair, family + 1, variants[turn])


def _variants(plain: str, variation: Variation, rng: random.Random) -> list[str]:
    """The plain question first, then with one addition, two, three; each in a random order."""
    leads = [""]
    if re.match(variation.lead_in_before, plain, re.IGNORECASE):
        leads += variation.lead_ins
    frames = combinations(("", *variation.greetings), leads, ("", *variation.closings))
    framed = [_framed(plain, *frame) for frame in frames if any(frame)]
    framed += [(1, _casual(plain)), (2, "здравствуйте " + _casual(plain))]
    rng.shuffle(framed)
    return [plain, *(question for _, question in sorted(framed, key=itemgetter(0)))]


def _framed(plain: str, greeting: str, lead: str, closing: str) -> tuple[int, str]:
    """How many additions there are, and the question with them."""
    question = lead + _lower(plain) if lead else plain
    return sum(map(bool, (greeting, lead, closing))), greeting + question + closing


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]


def _casual(text: str) -> str:
    """As typed in haste: no capitals, no guillemets, no closing mark."""
    return text.lower().replace("«", "").replace("»", "").rstrip("?.!")


def _dialogue(question: _Question, seed: int) -> Dialogue:
    intent, item, split = question.pair.intent, question.pair.product, question.pair.split
    key = hashlib.sha256(f"{seed}:{question.text}".encode()).hexdigest()
    answer = intent.answer.format_map(item.words)
    return Dialogue(
        dialogue_id=f"dlg-{key[:16]}",
        request_id=f"req-{key[16:32]}",
        response_id=f"rsp-{key[32:48]}",
        user_id=f"usr-{key[48:60]}",
        turns=(Turn(role="user", content=question.text), Turn(role="assistant", content=answer)),
        intent=intent.id,
        product=item.id,
        phrasing_family=f"{intent.id}/{split}-{question.family:02d}",
        facts=tuple(item.fact(name) for name in intent.fact_names),
        source=SOURCE,
        split=split,
        licence=LICENCE,
        provenance=f"generated from the catalogue, seed {seed}",
    )
