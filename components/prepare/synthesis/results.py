"""What a synthesis leaves behind: accepted dialogues, rejected rows, the table and the cost."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from components.core.json_lines import write_jsonl
from components.core.schemas import Dialogue, QuarantinedRow, Turn
from components.core.whole_files import write_text
from components.prepare.synthesis.cost import Cost, Spent
from components.prepare.synthesis.drafts import Draft, Fault
from components.prepare.synthesis.plan import Item
from components.prepare.synthesis.settings import SyntheticSource

DIALOGUES, REJECTED, SUMMARY = "dialogues.jsonl", "rejected.jsonl", "synthesis.json"
JOURNAL = "journal.jsonl"
LONGEST_SHOWN = 2_000
"""Characters of a reply that a rejected row shows."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one item.

    Attributes:
        item: What was asked for.
        draft: The teacher's texts, where they could be read.
        reply: The teacher's whole reply, where they could not.
        score: G-Eval's score, where a judge gave one.
        fault: Why it was rejected; None when it was not.
    """

    item: Item
    draft: Draft | None = None
    reply: str = ""
    score: float | None = None
    fault: Fault | None = None


class SynthesisResult(BaseModel):
    """The files of a synthesis, its table of accepted and rejected rows, and its cost."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dialogues: Path
    """JSON lines of `Dialogue`, all accepted."""
    rejected: Path
    """JSON lines of `QuarantinedRow`; `file` is the source, `line` the item's number from 1."""
    source: str
    """As the rows carry it, for example `synthetic:teacher`."""
    teacher: str
    """The teacher's model."""
    judge: str
    """The judge's model; empty without a judge."""
    prompts: tuple[str, ...]
    """Names of the prompts, with their versions."""
    threshold: float
    planned: int
    """Dialogues asked for; accepted, rejected and not asked add up to it."""
    accepted: int
    rejected_by_reason: dict[str, int]
    """Rejected rows by kind, the most frequent first."""
    not_asked: int
    """Left out, or left without a score, since the budget was used up."""
    scores: tuple[float, ...]
    """G-Eval's scores of all judged rows, kept or not, to two decimals."""
    cost: Cost
    note: str = ""

    def table(self) -> str:
        """Gives counts by reason and the cost, as lines for a terminal."""
        counts = {"accepted": self.accepted, **self.rejected_by_reason}
        if self.not_asked:
            counts["not asked: budget"] = self.not_asked
        rows = [f"{name:<24}{count:>8}" for name, count in counts.items()]
        cost = self.cost
        roles = (("teacher", self.teacher, cost.teacher), ("judge", self.judge, cost.judge))
        used = [_used(role, model, spent) for role, model, spent in roles if model]
        limit = "" if cost.budget is None else f" of a budget of {cost.budget:.2f}"
        return "\n".join([*rows, *used, f"{cost.money:.2f} {cost.currency}{limit}"])


def _used(role: str, model: str, spent: Spent) -> str:
    return (
        f"{role} {model}: {spent.requests} requests ({spent.requests_of_this_run} in this run), "
        f"{spent.prompt_tokens} tokens in, {spent.completion_tokens} out"
    )


def write_results(
    work_dir: Path, source: SyntheticSource, verdicts: Iterable[Verdict], cost: Cost
) -> SynthesisResult:
    """Writes the three files, each whole or not at all.

    Args:
        work_dir: Where to.
        source: The settings.
        verdicts: What became of each item that was asked for, in any order.
        cost: What it took.

    Returns:
        Paths, table and cost, as in `synthesis.json`.
    """
    ordered = list(_without_repeats(sorted(verdicts, key=lambda each: each.item.number)))
    kept = [each for each in ordered if each.fault is None]
    left_out = [each for each in ordered if each.fault is not None]
    paths = work_dir / DIALOGUES, work_dir / REJECTED
    write_jsonl(paths[0], (_dialogue(each, source) for each in kept))
    write_jsonl(paths[1], (_rejected(each, source) for each in left_out))
    result = _result(paths, source, ordered, cost)
    write_text(work_dir / SUMMARY, result.model_dump_json(indent=2) + "\n")
    return result


def _result(
    paths: tuple[Path, Path], source: SyntheticSource, verdicts: list[Verdict], cost: Cost
) -> SynthesisResult:
    reasons = Counter(each.fault[0] for each in verdicts if each.fault)
    return SynthesisResult(
        dialogues=paths[0],
        rejected=paths[1],
        source=f"synthetic:{source.name}",
        teacher=source.teacher.model,
        judge=source.judge.model if source.judge else "",
        prompts=_prompts(source),
        threshold=source.threshold,
        planned=source.dialogues,
        accepted=len(verdicts) - reasons.total(),
        rejected_by_reason=dict(reasons.most_common()),
        not_asked=source.dialogues - len(verdicts),
        scores=tuple(round(each.score, 2) for each in verdicts if each.score is not None),
        cost=cost,
        note=source.note,
    )


def _prompts(source: SyntheticSource) -> tuple[str, ...]:
    version = source.prompt_version
    teacher = (f"teacher_system.{version}", f"teacher_task.{version}")
    judge = (source.judging.prompt,) if source.judge else ()
    return (*teacher, f"manners.{source.manners_version}", *judge)


def _without_repeats(verdicts: Iterable[Verdict]) -> Iterator[Verdict]:
    """Rejects an accepted row whose question stood in an earlier accepted one."""
    seen: set[str] = set()
    for each in verdicts:
        if each.fault is None and each.draft:
            question = " ".join(each.draft.question.casefold().split())
            if question in seen:
                repeated = ("repeated-question", "An earlier row has the same question.")
                yield Verdict(each.item, each.draft, "", each.score, repeated)
                continue
            seen.add(question)
        yield each


def _dialogue(verdict: Verdict, source: SyntheticSource) -> Dialogue:
    item, draft = verdict.item, verdict.draft
    if draft is None:
        raise AssertionError(f"item {item.number} was accepted without a draft")
    key = hashlib.sha256(f"{source.name}:{source.seed}:{item.number}".encode()).hexdigest()
    texts = Turn(role="user", content=draft.question), Turn(role="assistant", content=draft.answer)
    return Dialogue(
        dialogue_id=f"dlg-{key[:16]}",
        request_id=f"req-{key[16:32]}",
        response_id=f"rsp-{key[32:48]}",
        user_id=f"usr-{key[48:60]}",
        turns=texts,
        intent=item.intent.id,
        product=item.product.id,
        phrasing_family=family(item, source),
        facts=item.facts,
        source=f"synthetic:{source.name}",
        licence=source.licence,
        provenance=f"{source.teacher.model}, prompt {source.prompt_version}, item {item.number}",
        judge_score=verdict.score,
    )


def family(item: Item, source: SyntheticSource) -> str:
    """Names the family of phrasing: one manner of asking for one intent, whatever the product."""
    return f"{item.intent.id}/{source.name}.{source.manners_version}-{item.manner.id}"


def _rejected(verdict: Verdict, source: SyntheticSource) -> QuarantinedRow:
    item, draft = verdict.item, verdict.draft
    kind, reason = verdict.fault or ("", "")
    row = {
        "model": source.teacher.model,
        "intent": item.intent.id,
        "product": item.product.id,
        "manner": item.manner.id,
        "score": verdict.score,
    }
    texts = {"question": draft.question, "answer": draft.answer} if draft else {}
    reply = {} if draft else {"reply": verdict.reply}
    shown = {name: text[:LONGEST_SHOWN] for name, text in (texts | reply).items()}
    return QuarantinedRow(
        file=f"synthetic:{source.name}",
        line=item.number + 1,
        reason=reason,
        kind=kind,
        row=row | shown,
    )
