"""Presidio's own recognizers on the labelled sentences, beside ours.

`python -m components.prepare.personal_data.compare_presidio` says why masking does not call them:
they miss Mir cards and dictated addresses, and cost seconds and hundreds of megabytes to import.
Presidio is needed for this comparison only.
"""

import resource
import time
from typing import Any

import typer

from components.core.json_lines import read_jsonl
from components.prepare.personal_data.kinds import Kind, Span
from components.prepare.personal_data.masking import Masker
from components.prepare.personal_data.measure import Finder, measure, table
from components.prepare.personal_data.write_labelled_sentences import SENTENCES, LabelledSentence

COMPARED: tuple[Kind, ...] = ("phone", "email", "card")


def presidio_finder() -> Finder:
    """Makes a finder of Presidio's three recognizers for what it knows in Russia.

    Returns:
        A function from a text to spans.
    """
    import tldextract
    from presidio_analyzer import predefined_recognizers as ready

    # EmailRecognizer downloads the list of public suffixes on its first use; the packaged copy
    # will do.
    vars(tldextract)["extract"] = tldextract.TLDExtract(suffix_list_urls=())
    recognizers: list[tuple[Kind, str, Any]] = [
        ("email", "EMAIL_ADDRESS", ready.EmailRecognizer()),
        ("card", "CREDIT_CARD", ready.CreditCardRecognizer()),
        ("phone", "PHONE_NUMBER", ready.PhoneRecognizer(supported_regions=("RU",))),
    ]

    def find(text: str) -> list[Span]:
        return [
            Span(result.start, result.end, kind)
            for kind, entity, recognizer in recognizers
            for result in recognizer.analyze(text, [entity])
        ]

    return find


def _timed(name: str, find: Finder, sentences: list[LabelledSentence]) -> None:
    find(sentences[0].text)
    started = time.process_time()
    scores = measure(sentences, find)
    microseconds = (time.process_time() - started) / len(sentences) * 1e6
    typer.echo(f"\n{name}: {microseconds:.0f} us of one core a sentence\n")
    typer.echo(table({kind: scores[kind] for kind in COMPARED}))


def main() -> None:
    """Prints both tables, and what Presidio's import costs."""
    sentences = read_jsonl(SENTENCES, LabelledSentence)
    _timed("Finist (all kinds)", Masker().find, sentences)
    started, before = time.process_time(), _megabytes()
    find = presidio_finder()
    seconds, grown = time.process_time() - started, _megabytes() - before
    typer.echo(f"\nImport of Presidio: {seconds:.1f} s of CPU time, {grown:.0f} MiB")
    _timed("Presidio (three kinds)", find, sentences)


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
