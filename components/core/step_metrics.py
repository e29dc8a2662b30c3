"""The figures of a pipeline step: on its KFP card and in the artifact's file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol


class MetricsArtifact(Protocol):
    """What is needed of `kfp.dsl.Metrics`; core does not import kfp."""

    path: str

    def log_metric(self, metric: str, value: float) -> None:
        """Notes a figure in the artifact's metadata."""


def log_metrics(metrics: MetricsArtifact, values: Mapping[str, float]) -> None:
    """Logs figures and writes them as JSON.

    KFP keeps metrics in metadata only. Without a file, the cache of `kfp.local` takes the output
    for lost, and runs the step again each time.

    Args:
        metrics: The step's metrics artifact.
        values: Figures by name.
    """
    for name, value in values.items():
        metrics.log_metric(name, value)
    Path(metrics.path).write_text(json.dumps(dict(values), indent=1), encoding="utf-8")
