"""deepeval's GEval in its own environment, with the same served model behind both."""

import json
import os
from pathlib import Path

import pytest
from fastapi import Request, Response
from fastapi.responses import JSONResponse
from typer.testing import CliRunner

from components.core.errors import BadInputError
from components.core.json_lines import write_jsonl
from components.core.llm import Endpoint
from components.core.tests.canned_server import Canned, CannedServer, logprobs, serving
from components.evaluate.judging.cached_judge import JudgeSettings
from components.evaluate.judging.compare_deepeval import ENVIRONMENT, Agreement, app, compare
from components.evaluate.judging.rubric import read_rubric
from components.evaluate.judging.tests.judged_rows import criterion_of, row

PLACE = Path(os.environ.get("FINIST_DEEPEVAL", ENVIRONMENT))
needs_deepeval = pytest.mark.skipif(
    not (PLACE / "bin" / "python").exists(), reason="deepeval has no environment here"
)


class WholeReplies(CannedServer):
    """A server that also answers at once, as deepeval asks, beside streaming, as we do."""

    async def chat(self, request: Request) -> Response:
        body = await request.json()
        if body.get("stream"):
            return await super().chat(request)
        canned = self.answer(body["messages"][-1]["content"])
        top = canned.top if body.get("logprobs") else None
        choice = {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": canned.text},
            "logprobs": logprobs(canned.text, top) if top else None,
        }
        head = {"id": "1", "object": "chat.completion", "created": 0, "model": self.model}
        return JSONResponse(head | {"choices": [choice]})


def weighed(prompt: str) -> Canned:
    """Correctness: a tail under 1%, which deepeval leaves out; tone: prose; others: certain."""
    criterion = criterion_of(prompt)
    if criterion == "tone" and "номер 2?" in prompt:
        return Canned("Вежливо")
    if criterion == "correctness":
        top = {"5": 0.6, "4": 0.392, "1": 0.008} if "номер 1?" in prompt else {"2": 1.0}
        return Canned("5" if "номер 1?" in prompt else "2", top=top)
    return Canned("4", top={"4": 1.0})


@needs_deepeval
@pytest.mark.slow
def test_the_two_agree_but_for_what_each_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FINIST_HOME", raising=False)
    write_jsonl(tmp_path / "answers.jsonl", [row(1), row(2), row(3, "")])
    out = tmp_path / "agreement.jsonl"
    with serving(WholeReplies(weighed)) as server:
        options = ["--answers", str(tmp_path / "answers.jsonl"), "--endpoint", server.url]
        options += ["--model", "canned", "--environment", str(PLACE), "--out", str(out)]
        ran = CliRunner().invoke(app, options)
    assert ran.exit_code == 0, ran.output
    lines = out.read_text("utf-8").splitlines()
    found = {each.criterion: each for each in map(Agreement.model_validate_json, lines)}
    assert set(found) == {"correctness", "completeness", "tone", "safety"}
    ours, theirs = 0.6 * 5 + 0.392 * 4 + 0.008, (0.6 * 5 + 0.392 * 4) / 0.992
    correctness = found["correctness"]
    assert correctness.answers == 2
    assert correctness.spearman == pytest.approx(1.0)
    assert correctness.mean_absolute_difference == pytest.approx((theirs - ours) / 2)
    assert correctness.largest[0].dialogue_id == "d1"
    assert correctness.largest[0].deepeval == pytest.approx(theirs)
    assert found["safety"].mean_absolute_difference == pytest.approx(0)
    assert (found["tone"].answers, found["tone"].spearman) == (1, None)
    assert (found["tone"].unscored_by_us, found["tone"].unscored_by_deepeval) == (1, 1)
    assert "correctness" in ran.output


@needs_deepeval
@pytest.mark.slow
def test_with_its_own_template_deepeval_asks_in_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FINIST_HOME", raising=False)
    asked: list[str] = []

    def judge(prompt: str) -> Canned:
        if "Evaluation Steps:" not in prompt:
            return Canned("3", top={"3": 1.0})
        asked.append(prompt)
        return Canned(json.dumps({"reason": "ок", "score": 4}))

    with serving(WholeReplies(judge)) as server:
        endpoint = Endpoint(base_url=server.url, model="canned")
        found = compare(
            [row(1)], endpoint, JudgeSettings(), tmp_path / "out", PLACE, own_template=True
        )
    assert len(asked) == 4
    assert all(row(1).reference in prompt for prompt in asked)
    assert not any("Additional Context" in prompt for prompt in asked)
    for criterion in read_rubric("bank_answer.v1").criteria:
        assert sum(all(step in prompt for step in criterion.steps) for prompt in asked) == 1
    assert [each.largest[0].ours for each in found] == pytest.approx([3.0] * 4)
    assert [each.largest[0].deepeval for each in found] == pytest.approx([4.0] * 4)


def test_without_its_environment_the_command_says_how_to_make_it(tmp_path: Path) -> None:
    endpoint = Endpoint(base_url="http://127.0.0.1:9/v1", model="canned")
    with pytest.raises(BadInputError, match=r"uv venv .* -r images/deepeval/requirements\.txt"):
        compare([row(1)], endpoint, JudgeSettings(), tmp_path, tmp_path / "absent")
