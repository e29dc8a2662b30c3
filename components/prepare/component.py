"""KFP face of the preparation: `prepare`."""

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
