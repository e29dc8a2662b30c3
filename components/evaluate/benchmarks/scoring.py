"""Functions that the task files name with `!function`; lm-evaluation-harness calls them."""

from collections.abc import Mapping, Sequence
from typing import Any

from components.core.facts import fact_share
from components.core.schemas import Fact

FINANCE_SUBJECTS = frozenset(
    {
        "business_ethics",
        "econometrics",
        "high_school_macroeconomics",
        "high_school_microeconomics",
        "management",
        "marketing",
        "professional_accounting",
    }
)
"""Subjects of MMLU that a bank would name its own."""


def exact_facts(document: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Scores a generated answer by the facts that must stand in it.

    Args:
        document: A row of `FactsDocument`.
        results: The answer, alone in a list.

    Returns:
        `exact_facts`: the share of required facts that the answer states, in [0, 1].
    """
    facts = [Fact.model_validate(fact) for fact in document["facts"]]
    return {"exact_facts": fact_share(facts, results[0]) or 0.0}


def finance_subjects(documents: Any) -> Any:
    """Keeps the documents about economics and business.

    Args:
        documents: A `datasets.Dataset` of MERA's ruMMLU, whose `meta.domain` is MMLU's subject.

    Returns:
        The part of it.
    """
    return documents.filter(lambda row: row["meta"]["domain"] in FINANCE_SUBJECTS)
