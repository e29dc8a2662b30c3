import json
from dataclasses import dataclass, field
from pathlib import Path

from components.core.step_metrics import log_metrics


@dataclass
class Card:
    """As much of `kfp.dsl.Metrics` as is used; the demo's test runs the real one."""

    path: str
    figures: dict[str, float] = field(default_factory=dict)

    def log_metric(self, metric: str, value: float) -> None:
        self.figures[metric] = value


def test_figures_are_on_the_card_and_in_the_file(tmp_path: Path) -> None:
    card = Card(str(tmp_path / "metrics"))
    log_metrics(card, {"loss": 0.5})
    assert card.figures == {"loss": 0.5}
    assert json.loads((tmp_path / "metrics").read_text()) == {"loss": 0.5}
