"""The synthesis: a teacher writes dialogues from the bank's facts, checks and a judge sift them."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from tqdm import tqdm

from components.core.geval import Case, Judge, Judgement
from components.core.journal import Journal
from components.core.llm import Asking, Completion, Endpoint, Messages, client, for_each
from components.core.prompts import render_prompt
from components.core.schemas import Turn
from components.prepare.catalogue import Bank
from components.prepare.synthesis.cost import CostMeter
from components.prepare.synthesis.drafts import Draft, Fault, check_draft, read_reply
from components.prepare.synthesis.paid_endpoint import OutOfBudgetError, PaidEndpoint
from components.prepare.synthesis.plan import PROMPTS, Item, plan
from components.prepare.synthesis.record import Record, Role
from components.prepare.synthesis.results import JOURNAL, SynthesisResult, Verdict, write_results
from components.prepare.synthesis.settings import SyntheticSource


def synthesize(
    bank: Bank, source: SyntheticSource, work_dir: Path, mask: Callable[[str], str]
) -> SynthesisResult:
    """Has a teacher write dialogues, checks and judges them, and writes what is left.

    Every reply is kept in `work_dir/journal.jsonl` before anything else happens to it. A run that
    was killed, stopped by its budget or cut off from its endpoint goes on when it is started again
    on the same folder, and pays for no reply twice; replies that failed are asked for again.

    Args:
        bank: Products, facts and intents.
        source: Teacher, judge, how much, budget, limits.
        work_dir: Holds the journal and gets `dialogues.jsonl`, `rejected.jsonl`, `synthesis.json`.
        mask: Replaces personal data; every text passes it before it leaves for an endpoint.

    Returns:
        The files, the table of accepted and rejected rows by reason, the scores and the cost.

    Raises:
        EndpointError: The teacher or the judge is away, or refuses the key or the model.
        MissingSecretError: A key's variable is empty.
        RecipeError: The source names an unknown intent, product or version.
        BadInputError: There is no such prompt, or another run works in the same folder.
    """
    with Journal(work_dir / JOURNAL, Record) as journal:
        run = _Run(bank, source, journal, mask)
        asyncio.run(run.work())
    return write_results(work_dir, source, run.verdicts, run.meter.cost())


class _Run:
    """One run: what stays the same over its items, and what became of them."""

    def __init__(
        self,
        bank: Bank,
        source: SyntheticSource,
        journal: Journal[Record],
        mask: Callable[[str], str],
    ) -> None:
        """Counts what earlier runs paid for."""
        self.verdicts: list[Verdict] = []
        self.meter = CostMeter(source)
        self._bank, self._source, self._journal, self._mask = bank, source, journal, mask
        self._categories = {file.category: file.title for _, file in bank.files}
        self._system = render_prompt(PROMPTS, f"teacher_system.{source.prompt_version}")
        for record in journal.entries():
            self.meter.add(record, this_run=False)

    async def work(self) -> None:
        """Works through the plan."""
        source = self._source
        bar = tqdm(total=source.dialogues, desc="synthesis", mininterval=1)
        async with AsyncExitStack() as stack:
            teacher = await self._paid("teacher", source.teacher, stack)
            judge = await self._judge(stack)

            async def work(item: Item) -> None:
                try:
                    self.verdicts.append(await self._verdict(item, teacher, judge))
                except OutOfBudgetError:
                    return
                cost = self.meter.cost()
                bar.set_postfix_str(f"{cost.money:.2f} {cost.currency}", refresh=False)
                bar.update()

            with bar:
                await for_each(plan(self._bank, source), work, source.concurrency)

    async def _paid(self, role: Role, endpoint: Endpoint, stack: AsyncExitStack) -> PaidEndpoint:
        source = self._source
        patience = source if role == "teacher" else source.judging
        api = await stack.enter_async_context(
            client(endpoint, patience.retries, patience.deadline_seconds)
        )
        return PaidEndpoint(role, api, endpoint, self._journal, self.meter, self._mask)

    async def _judge(self, stack: AsyncExitStack) -> Judge | None:
        if self._source.judge is None:
            return None
        paid = await self._paid("judge", self._source.judge, stack)

        async def ask(messages: Messages, asking: Asking, sample: int) -> Completion:
            return await paid.ask(messages, asking, str(sample))

        return Judge(self._source.judging, ask)

    async def _verdict(self, item: Item, teacher: PaidEndpoint, judge: Judge | None) -> Verdict:
        asking = self._source.asking
        sample = f"{self._source.seed}:{item.number}"
        reply = await teacher.ask(self._messages(item), asking, sample)
        draft = read_reply(reply)
        if not isinstance(draft, Draft):
            return Verdict(item, reply=reply.text, fault=draft)
        fault = check_draft(draft, item, self._source.limits)
        if fault or judge is None:
            return Verdict(item, draft, fault=fault)
        case = Case(question=draft.question, answer=draft.answer, reference=item.truth)
        judgement = await judge.judge(case)
        fault = judge_fault(judgement, self._source.threshold)
        return Verdict(item, draft, score=judgement.score, fault=fault)

    def _messages(self, item: Item) -> Messages:
        category = self._categories[self._bank.category_of[item.product.id]]
        task = render_prompt(
            PROMPTS,
            f"teacher_task.{self._source.prompt_version}",
            bank=self._bank.variation.bank,
            category=category,
            product=item.product,
            intent=item.intent,
            truth=item.truth,
            facts=item.facts,
            manner=item.manner,
            repeat=item.repeat,
        )
        return (Turn(role="system", content=self._system), Turn(role="user", content=task))


def judge_fault(judgement: Judgement, threshold: float) -> Fault | None:
    """Says why a judged row is rejected.

    Args:
        judgement: G-Eval's.
        threshold: Least score that is kept.

    Returns:
        The kind and a sentence, or None when the row is kept.
    """
    if judgement.score is None:
        return f"judge-{judgement.failure}", f"The judge gave no score: {judgement.error}."
    if judgement.score < threshold:
        return "low-score", f"G-Eval gives {judgement.score:.2f}, less than {threshold:g}."
    return None
