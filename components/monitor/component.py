"""KFP face of the watch."""

from kfp import dsl

from components.core.images import image


@dsl.component(base_image=image("evaluate"), install_kfp_package=False)
def watch(
    reference: dsl.Input[dsl.Dataset],
    current: dsl.Input[dsl.Dataset],
    report: dsl.Output[dsl.HTML],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Compares current traffic with the training data.

    Args:
        reference: JSON lines of Dialogue: the training data.
        current: JSON lines of Answer: questions and answers as they were.
        report: Evidently's page.
        metrics: Drift by column, quality of the answers.
    """
    from pathlib import Path

    from components.core.step_metrics import log_metrics
    from components.monitor.watch import watch_files

    paths = (Path(reference.path), Path(current.path), Path(report.path))
    log_metrics(metrics, watch_files(*paths))
