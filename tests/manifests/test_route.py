"""The canary rule: exactly N of the hundred buckets, and nobody who was in is put out."""

import itertools
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kubernetes_tools import CHART, run_helm, template

BUCKETS = [f"{number:02d}" for number in range(100)]


@cache
def rules(percent: int) -> dict[str, Any]:
    rendered = template(
        f"--set=route.canaryPercent={percent}", "--show-only=templates/route/httproute.yaml"
    )
    return {rule["name"]: rule for rule in rendered[0]["spec"]["rules"]}


def header(rule: dict[str, Any]) -> dict[str, str]:
    (match,) = rule["matches"]
    (found,) = match["headers"]
    return dict(found)


def matched(percent: int) -> set[str]:
    """Buckets on the candidate's side; a gateway matches the whole value of a header."""
    expression = header(rules(percent)["canary"])["value"]
    return {bucket for bucket in BUCKETS if re.fullmatch(expression, bucket)}


def test_so_many_buckets_match_as_the_percent_says(tmp_path: Path) -> None:
    """All the 101 percents in one run of helm, by a chart that has the helper template only."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("{apiVersion: v2, name: buckets, version: 0.0.1}")
    helpers = CHART / "templates" / "_helpers.tpl"
    (tmp_path / "templates" / "_helpers.tpl").write_text(helpers.read_text())
    (tmp_path / "templates" / "all.yaml").write_text(
        '{{ range $n := until 101 }}\n{{ $n }}: {{ include "finist.buckets" $n | squote }}{{ end }}'
    )
    done = run_helm("template", "x", str(tmp_path))
    expressions: dict[int, str] = yaml.safe_load(done.stdout)
    assert len(expressions) == 101
    for percent, expression in expressions.items():
        found = {bucket for bucket in BUCKETS if re.fullmatch(expression, bucket)}
        assert found == set(BUCKETS[:percent]), percent


def test_a_ramp_never_moves_a_dialogue_back() -> None:
    ramp = [matched(percent) for percent in (0, 1, 5, 10, 25, 50, 100)]
    assert all(earlier < later for earlier, later in itertools.pairwise(ramp))


@pytest.mark.parametrize("value", ["", "1", "001", "100", "x", "-1", " 00"])
def test_what_is_no_bucket_never_reaches_the_candidate(value: str) -> None:
    for percent in (0, 10, 100):
        expression = header(rules(percent)["canary"])["value"]
        assert not re.fullmatch(expression, value)


def test_a_forced_side_comes_before_the_buckets_and_the_baseline_is_last() -> None:
    assert list(rules(10)) == ["forced-candidate", "forced-baseline", "canary", "baseline"]
    assert header(rules(10)["forced-candidate"]) == {
        "name": "x-finist-variant",
        "value": "candidate",
    }
    assert "headers" not in rules(10)["baseline"]["matches"][0]


def test_each_rule_leads_to_its_side_within_two_minutes() -> None:
    backends = {name: rule["backendRefs"][0]["name"] for name, rule in rules(10).items()}
    candidate, baseline = "tuned-predictor", "finist-gigachat-adapter"
    assert backends == {
        "forced-candidate": candidate,
        "forced-baseline": baseline,
        "canary": candidate,
        "baseline": baseline,
    }
    limits = {"request": "120s", "backendRequest": "120s"}
    assert all(rule["timeouts"] == limits for rule in rules(10).values())
