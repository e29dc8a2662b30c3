"""KFP faces of the preparation: `prepare`, `preference_pairs`."""

from kfp import dsl

from components.core.images import image


@dsl.component(base_image=image("evaluate"), install_kfp_package=False)
def prepare(
    recipe: dict,  # type: ignore[type-arg]
    train: dsl.Output[dsl.Dataset],
    test: dsl.Output[dsl.Dataset],
    data_card: dsl.Output[dsl.HTML],
    card_json: dsl.Output[dsl.Artifact],
    data_summary: dsl.Output[dsl.HTML],
    quarantine: dsl.Output[dsl.Dataset],
    near_duplicates: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    summary_link: str = "data_summary.html",
) -> None:
    """Makes one clean, masked, deduplicated, leak-free dataset from its sources.

    Args:
        recipe: The fields of `DatasetRecipe`.
        train: JSON lines of Dialogue.
        test: JSON lines of Dialogue.
        data_card: What the two files hold, and what became of the rest.
        card_json: The same as JSON.
        data_summary: Evidently's data summary.
        quarantine: JSON lines of QuarantinedRow: what was left out, and why.
        near_duplicates: JSON lines of RemovedRow.
        metrics: Rows by split, left out, masked, near-duplicates.
        summary_link: Address of the summary, relative to the data card.
    """
    from components.core.step_metrics import log_metrics
    from components.prepare.prepare_step import run_step

    outputs = (train, test, data_card, card_json, data_summary, quarantine, near_duplicates)
    figures = run_step(recipe, [output.path for output in outputs], summary_link)
    log_metrics(metrics, figures)
    train.metadata["rows"], test.metadata["rows"] = figures["train_rows"], figures["test_rows"]


@dsl.component(base_image=image("evaluate"), install_kfp_package=False)
def preference_pairs(
    recipe: dict,  # type: ignore[type-arg]
    train: dsl.Input[dsl.Dataset],
    test: dsl.Input[dsl.Dataset],
    pairs: dsl.Output[dsl.Dataset],
    test_pairs: dsl.Output[dsl.Dataset],
    quarantine: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    bank: str = "",
) -> None:
    """Makes preference pairs of prepared dialogues: the reference against a wrong answer.

    Args:
        recipe: The fields of `PreferenceSettings`.
        train: JSON lines of Dialogue.
        test: JSON lines of Dialogue.
        pairs: JSON lines of PreferencePair, to train on.
        test_pairs: The same of the test's dialogues, to measure on.
        quarantine: JSON lines of QuarantinedRow: what was left out, and why.
        metrics: Pairs by split and reason, rows left out.
        bank: Folder of the catalogue that the data recipe names; empty for the built-in one.
    """
    from components.core.step_metrics import log_metrics
    from components.prepare.preferences.preference_step import run_preferences

    outputs = {"out": pairs.path, "test_out": test_pairs.path, "quarantine": quarantine.path}
    log_metrics(metrics, run_preferences(recipe, train.path, test.path, outputs, bank))
