"""Synthesis against a real server: what is kept, what is rejected and why, cost, budget, resume."""

import itertools
import json
import socket
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from components.core.errors import EndpointError, RecipeError
from components.core.facts import fact_share
from components.core.json_lines import read_jsonl
from components.core.llm import Endpoint
from components.core.recipes import check_recipe
from components.core.schemas import Dialogue, QuarantinedRow
from components.core.tests.canned_server import Canned, CannedServer, serving
from components.prepare.load import load_bank
from components.prepare.synthesis.plan import manners, plan
from components.prepare.synthesis.results import SynthesisResult, family
from components.prepare.synthesis.settings import SyntheticSource
from components.prepare.synthesis.synthesize import synthesize
from components.prepare.synthesis.tests.teacher import (
    FIVE,
    faithful,
    is_judged,
    source,
    teaching,
    written,
)

BANK = load_bank()


def as_is(text: str) -> str:
    return text


def made(
    answer: Callable[[str], Canned], folder: Path, **changes: object
) -> tuple[SynthesisResult, CannedServer]:
    with serving(CannedServer(answer)) as server:
        return synthesize(BANK, source(server, **changes), folder, as_is), server


def test_rows_carry_everything_that_later_stages_need(tmp_path: Path) -> None:
    result, server = made(faithful, tmp_path, dialogues=40)
    rows = read_jsonl(result.dialogues, Dialogue)
    assert (result.planned, result.accepted, result.rejected_by_reason) == (40, 40, {})
    assert server.asked.total() == 80
    assert len({row.dialogue_id for row in rows}) == len({row.user_id for row in rows}) == 40
    assert len({row.intent for row in rows}) == 40, "every intent has its turn first"
    for row in rows:
        assert fact_share(row.facts, row.answer) == 1
        assert row.judge_score == pytest.approx(4.9)
        assert row.phrasing_family.startswith(f"{row.intent}/teacher.v1-")
        assert (row.source, row.split) == ("synthetic:teacher", "unassigned")
        assert row.provenance.startswith("canned, prompt v1, item ")
    assert read_jsonl(result.rejected, QuarantinedRow) == []
    assert set(result.scores) == {4.9}


def test_one_manner_of_one_intent_is_one_family_over_all_products() -> None:
    nowhere = Endpoint(base_url="http://127.0.0.1:9/v1", model="none")
    intents, products, ways = ("deposit_rate", "deposit_term"), 8, len(manners("v1"))
    asked = SyntheticSource(teacher=nowhere, intents=intents, dialogues=2 * products * ways)
    items = list(plan(BANK, asked))
    families = defaultdict(set)
    for item in items:
        families[family(item, asked)].add(item.product.id)
    assert len(families) == 2 * ways
    assert {len(found) for found in families.values()} == {products}
    assert all(item.repeat == 0 for item in items)


def test_more_dialogues_keep_the_first_ones_and_pay_for_the_new_only(tmp_path: Path) -> None:
    first, _ = made(faithful, tmp_path, dialogues=5)
    rows = first.dialogues.read_text("utf-8")
    more, server = made(faithful, tmp_path, dialogues=9)
    assert more.dialogues.read_text("utf-8").startswith(rows)
    assert server.asked.total() == 2 * 4


FAULTS = {
    "unparseable": lambda prompt: "Конечно! Вот ваш диалог: вопрос и ответ.",
    "missing-fact": lambda prompt: json.dumps(
        written(prompt) | {"answer": "Условия есть в офисе."}
    ),
    "product-not-named": lambda prompt: json.dumps(
        written(prompt) | {"question": "Какие условия?"}
    ),
    "long-answer": lambda prompt: json.dumps(written(prompt) | {"answer": "да " * 600}),
    "short-question": lambda prompt: json.dumps(written(prompt) | {"question": "А?"}),
    "not-russian": lambda prompt: json.dumps(
        written(prompt) | {"answer": "The rate is on the site"}
    ),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_bad_row_is_rejected_by_name_and_never_judged(kind: str, tmp_path: Path) -> None:
    result, server = made(teaching(FAULTS[kind]), tmp_path, dialogues=3)
    assert (result.accepted, result.rejected_by_reason) == (0, {kind: 3})
    rows = read_jsonl(result.rejected, QuarantinedRow)
    assert [(row.kind, row.line) for row in rows] == [(kind, 1), (kind, 2), (kind, 3)]
    assert all(row.row["intent"] in BANK.intents and row.reason for row in rows)
    assert not any(map(is_judged, server.asked))
    again, server = made(teaching(FAULTS[kind]), tmp_path, dialogues=3)
    assert (again.rejected_by_reason, server.asked.total()) == ({kind: 3}, 0)


@pytest.mark.parametrize(
    ("structured_output", "question"),
    [
        ("schema", {"type": "string"}),
        ("schema-with-lengths", {"type": "string", "minLength": 10, "maxLength": 90}),
    ],
)
def test_replies_are_bound_to_the_form_where_the_recipe_says_so(
    structured_output: str, question: dict[str, object], tmp_path: Path
) -> None:
    bound = {"structured_output": structured_output, "limits": {"question_characters": (10, 90)}}
    _, server = made(teaching(FAULTS["unparseable"]), tmp_path, dialogues=1, **bound)
    (asked,) = server.formats
    assert asked["json_schema"]["schema"]["properties"]["question"] == question
    assert asked["json_schema"]["schema"]["required"] == ["question", "answer"]
    _, server = made(teaching(FAULTS["unparseable"]), tmp_path, dialogues=1)
    assert server.formats == [None], "another form is another request"


@pytest.mark.parametrize(
    "wrapped",
    [
        "```json\n{}\n```",
        "Вот он:\n{}\nГотово {{и}} всё.",
        '<think>{{черновик}} {{"a": 1}}</think>{}',
    ],
)
def test_json_is_found_inside_other_words(wrapped: str, tmp_path: Path) -> None:
    def reply(prompt: str) -> str:
        return wrapped.format(json.dumps(written(prompt), ensure_ascii=False, indent=1))

    assert made(teaching(reply), tmp_path, dialogues=2)[0].accepted == 2


@pytest.mark.parametrize(
    "garbage",
    ["", "{" * 5000, '{"question": 1, "answer": []}', '{"question": "", "answer": "Да, можно"}',
     '{"question": "\\ud800 вопрос", "answer": "Ответ банка"}', "[1, 2]", '{"a":' * 3000, "\u0000"],
)  # fmt: skip
def test_garbage_is_counted_and_stops_nothing(garbage: str, tmp_path: Path) -> None:
    turns = itertools.count()

    def reply(prompt: str) -> str:
        return garbage if next(turns) % 2 else json.dumps(written(prompt))

    result, _ = made(teaching(reply), tmp_path, dialogues=4, concurrency=1)
    assert (result.accepted, result.rejected_by_reason) == (2, {"unparseable": 2})


def test_low_scores_and_unreadable_judges_are_told_apart(tmp_path: Path) -> None:
    scores = iter(["2", "4", "прекрасно", "5"])

    def answer(prompt: str) -> Canned:
        if not is_judged(prompt):
            return faithful(prompt)
        word = next(scores)
        return Canned(word, top={"4": 0.5, "3": 0.5} if word == "4" else {word: 1.0})

    result, _ = made(answer, tmp_path, dialogues=4, concurrency=1)
    assert result.rejected_by_reason == {"low-score": 2, "judge-unparseable": 1}
    assert result.scores == (2.0, 3.5, 5.0)
    reasons = [row.reason for row in read_jsonl(result.rejected, QuarantinedRow)]
    assert "G-Eval gives 3.50, less than 4." in reasons


def test_without_a_judge_rows_have_no_score(tmp_path: Path) -> None:
    result, server = made(faithful, tmp_path, judge=None, dialogues=3)
    assert [row.judge_score for row in read_jsonl(result.dialogues, Dialogue)] == [None] * 3
    assert (result.judge, result.scores, server.asked.total()) == ("", (), 3)


def test_a_question_asked_before_is_rejected(tmp_path: Path) -> None:
    def reply(prompt: str) -> str:
        texts = written(prompt)
        return json.dumps(texts | {"question": texts["question"].partition("(")[0]})

    kept = {"intents": ["deposit_rate"], "products": ["sokol"]}
    result, _ = made(teaching(reply), tmp_path, dialogues=5, **kept)
    assert (result.accepted, result.rejected_by_reason) == (1, {"repeated-question": 4})


def test_put_off_requests_are_asked_again_and_failed_ones_in_the_next_run(tmp_path: Path) -> None:
    def put_off(prompt: str) -> Canned:
        return Canned(faithful(prompt).text, failures=(429,), top=FIVE)

    result, _ = made(put_off, tmp_path / "patient", dialogues=3, retries=1)
    assert result.accepted == 3
    result, _ = made(put_off, tmp_path / "hasty", dialogues=3, retries=0)
    assert result.rejected_by_reason == {"teacher-error": 3}
    assert result.cost.teacher.requests == 0
    result, _ = made(faithful, tmp_path / "hasty", dialogues=3)
    assert result.accepted == 3


def test_an_unreachable_teacher_is_one_sentence_and_what_came_before_is_kept(
    tmp_path: Path,
) -> None:
    made(faithful, tmp_path, dialogues=2)
    with socket.socket() as unused, serving(CannedServer(faithful)) as server:
        unused.bind(("127.0.0.1", 0))
        away = Endpoint(base_url=f"http://127.0.0.1:{unused.getsockname()[1]}/v1", model="canned")
        with pytest.raises(EndpointError, match=r"127\.0\.0\.1.*already received are kept"):
            synthesize(BANK, source(server, teacher=away, dialogues=3), tmp_path, as_is)
    result, server = made(faithful, tmp_path, dialogues=3)
    assert (result.accepted, server.asked.total()) == (3, 2)


def test_the_meter_counts_tokens_and_money(tmp_path: Path) -> None:
    prices = {"prompt": 1_000_000, "completion": 2_000_000}
    result, _ = made(faithful, tmp_path, dialogues=4, judge_prices=prices, currency="USD")
    cost = result.cost
    assert (cost.judge.requests, cost.judge.prompt_tokens, cost.judge.completion_tokens) == (
        4,
        28,
        4,
    )
    assert (cost.judge.money, cost.teacher.money, cost.money) == (28 + 8, 0, 36)
    assert "36.00 USD" in result.table()
    again, _ = made(faithful, tmp_path, dialogues=4, judge_prices=prices)
    assert (again.cost.money, again.cost.judge.requests_of_this_run) == (36, 0)


def test_the_budget_stops_new_requests_and_a_larger_one_goes_on(tmp_path: Path) -> None:
    prices = {"judge_prices": {"prompt": 1_000_000}, "concurrency": 2}
    result, server = made(faithful, tmp_path, dialogues=20, budget=7 * 5, **prices)
    assert 5 * 7 <= result.cost.money <= 6 * 7
    assert result.cost.stopped
    assert result.accepted == result.cost.judge.requests
    assert result.accepted + result.not_asked == 20
    assert server.asked.total() == result.cost.teacher.requests + result.cost.judge.requests
    paid = server.asked.total()
    same, server = made(faithful, tmp_path, dialogues=20, budget=7 * 5, **prices)
    assert (same.accepted, same.not_asked, server.asked.total()) == (
        result.accepted, result.not_asked, 0,
    )  # fmt: skip
    rest, server = made(faithful, tmp_path, dialogues=20, **prices)
    assert (rest.accepted, rest.not_asked, rest.cost.stopped) == (20, 0, False)
    assert server.asked.total() + paid == 40


def test_no_text_leaves_unmasked(tmp_path: Path) -> None:
    def reply(prompt: str) -> str:
        texts = written(prompt)
        return json.dumps(texts | {"question": texts["question"] + " Мой номер 79991234567."})

    def mask(text: str) -> str:
        return text.replace("79991234567", "[ТЕЛЕФОН]").replace("Финист", "[БАНК]")

    with serving(CannedServer(teaching(reply))) as server:
        synthesize(BANK, source(server, dialogues=2), tmp_path, mask)
    sent = "\n".join([*server.asked, *server.systems])
    assert "79991234567" not in sent
    assert "Финист" not in sent
    assert "[ТЕЛЕФОН]" in sent
    assert "[БАНК]" in sent


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"intents": ["absent"]}, "intent 'absent'.*deposit_rate"),
        ({"products": ["absent"]}, "product 'absent'.*sokol"),
        ({"intents": ["deposit_rate"], "products": ["ladya"]}, "no product that has one"),
        ({"manners_version": "v9"}, r"no manners 'v9'.*manners\.v1\.yaml"),
    ],
)
def test_a_source_that_fits_no_bank_is_refused(
    changes: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=message):
        made(faithful, tmp_path, **changes)


def test_prices_and_budget_have_one_currency() -> None:
    content = {"teacher": {"base_url": "http://t/v1", "model": "m"}, "dialogues": 1}
    prices = {"prompt": 1, "currency": "USD"}
    with pytest.raises(RecipeError, match="prices are in USD, the rest in RUB"):
        check_recipe("r", content | {"judge_prices": prices}, SyntheticSource)
    check_recipe("r", content | {"judge_prices": prices, "currency": "USD"}, SyntheticSource)
    check_recipe("r", content | {"judge_prices": {"prompt": 1}, "currency": "EUR"}, SyntheticSource)
