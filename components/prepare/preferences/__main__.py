"""`python -m components.prepare.preferences`: preference pairs, from a shell."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from components.core.command_line import run
from components.prepare.load import BANK
from components.prepare.preferences.settings import REASONS, PreferenceSettings

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command()
def preferences(
    out: Annotated[Path, typer.Option(help="Pairs to train on, JSON lines.")],
    train: Annotated[Path | None, typer.Option(help="Dialogues to corrupt, JSON lines.")] = None,
    test: Annotated[Path | None, typer.Option(help="Dialogues whose text stays out.")] = None,
    test_out: Annotated[Path | None, typer.Option(help="Pairs of the test dialogues.")] = None,
    scored: Annotated[list[Path] | None, typer.Option(help="Answers that a judge scored.")] = None,
    csat: Annotated[list[Path] | None, typer.Option(help="Answers with customers' marks.")] = None,
    quarantine: Annotated[Path | None, typer.Option(help="Rows left out.")] = None,
    reason: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(REASONS)}.")] = None,
    per_dialogue: Annotated[int, typer.Option(help="Corruptions of one answer.")] = 1,
    rows: Annotated[int | None, typer.Option(help="Dialogues of each split; all if none.")] = None,
    score_margin: Annotated[float, typer.Option(help="Judge's points between answers.")] = 2.0,
    csat_margin: Annotated[float, typer.Option(help="CSAT points between answers.")] = 2.0,
    csat_match: Annotated[str, typer.Option(help="`question` or `intent`.")] = "question",
    bank: Annotated[Path, typer.Option(help="Folder of the bank's YAML files.")] = BANK,
    bank_name: Annotated[str, typer.Option(help="Stands in the pairs' source.")] = "built-in-bank",
    seed: Annotated[int, typer.Option(help="The same seed gives the same pairs.")] = 0,
) -> None:
    """Makes preference pairs (a better and a worse answer to one prompt) for ORPO.

    Examples:

    `python -m components.prepare.preferences --train out/train.jsonl --out out/pairs.jsonl`

    `python -m components.prepare.preferences --train out/train.jsonl --test out/test.jsonl
    --out out/pairs.jsonl --test-out out/test_pairs.jsonl --rows 2000 --reason other-product`

    `python -m components.prepare.preferences --scored scores.jsonl --csat marks.jsonl
    --csat-match intent --test out/test.jsonl --out out/pairs.jsonl`
    """  # noqa: D412
    from components.prepare.load import load_bank
    from components.prepare.preferences.files import PairFiles, PairSources, write_pairs

    files = PairFiles(out, quarantine or out.with_name(f"{out.stem}_quarantine.jsonl"), test_out)
    counts = write_pairs(
        PairSources(train, test, tuple(scored or ()), tuple(csat or ())),
        files,
        _settings(
            reasons=reason or REASONS,
            pairs_per_dialogue=per_dialogue,
            subset={"rows": rows, "seed": seed},
            bank_name=bank_name,
            seed=seed,
            score_margin=score_margin,
            csat_margin=csat_margin,
            csat_match=csat_match,
        ),
        load_bank(bank),
    )
    train_counts = Counter(pair.reason for pair in counts.pairs)
    test_counts = Counter(pair.reason for pair in counts.test_pairs if test_out)
    for name in sorted(train_counts | test_counts):
        print(f"{name:<16}{train_counts[name]:>10,} train{test_counts[name]:>10,} test")
    places = {(pair.intent, pair.product) for pair in counts.pairs}
    print(f"{len(counts.pairs):,} pairs over {len(places):,} intents and products: {out}")
    print(f"{counts.unusable:,} dialogues without facts, or whose answer lacks one: not used")
    if counts.left_out:
        kinds = ", ".join(f"{kind} {number:,}" for kind, number in counts.left_out.items())
        print(f"{counts.left_out.total():,} rows left out ({kinds}): {files.quarantine}")


def _settings(**values: object) -> PreferenceSettings:
    """Checks the options; a bad one is told in one sentence."""
    from pydantic import ValidationError

    from components.core.errors import BadInputError

    try:
        return PreferenceSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = " ".join(str(part) for part in first["loc"])
        raise BadInputError(f"The option for {field}: {first['msg']}.") from error


if __name__ == "__main__":
    run(app)
