"""The recovery report's page: one HTML file with its plots and styles inside."""

from markupsafe import Markup

from components.evaluate.charts.recovery import recovery_chart, throughput_chart
from components.evaluate.page import template
from components.evaluate.recovery.recovered import TARGET, Recovery

NAMES = {"perplexity": "perplexity", "accuracy": "exact facts", "geval": "G-Eval"}


def render(recovery: Recovery) -> str:
    """Renders the page.

    Args:
        recovery: A quantized model against what it was before.

    Returns:
        HTML that loads nothing.
    """
    kept = {one.metric: one.recovery for one in recovery.metrics if one.recovery}
    short = [name for name, value in kept.items() if value.mean < TARGET]
    return template("recovery.html.jinja").render(
        found=recovery,
        quantization=recovery.quantization,
        lowest=recovery.lowest,
        target=TARGET,
        short=[named(name) for name in short],
        doubtful=[named(n) for n, v in kept.items() if v.low < TARGET and n not in short],
        named=named,
        charts={
            "recovery": Markup(
                recovery_chart({named(name): value for name, value in kept.items()}, TARGET)
            ),
            "throughput": Markup(_throughput(recovery)),
        },
    )


def named(metric: str) -> str:
    """Names a metric for people."""
    return NAMES.get(metric, metric.replace(".", " ").replace("_", " "))


def _throughput(recovery: Recovery) -> str:
    before = [(s.before.concurrency, s.before.tokens_per_second) for s in recovery.speeds]
    after = [(s.after.concurrency, s.after.tokens_per_second) for s in recovery.speeds]
    names = (recovery.before.contender, recovery.after.contender)
    return throughput_chart(before, after, names)
