"""Against the real vLLM: it weighs texts as the model's own probabilities say.

Recovery's losses are checked here too, beside the benchmarks', since a server takes long to start;
and the laptop's stack starts it, from an InferenceService.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from components.core.errors import DeployError
from components.core.json_lines import write_jsonl
from components.core.llm import Endpoint
from components.core.schemas import Dialogue
from components.evaluate.benchmarks.finance_tasks import (
    ChoiceDocument,
    choice_documents,
    read_dialogues,
)
from components.evaluate.benchmarks.harness import run_benchmarks
from components.evaluate.benchmarks.settings import BenchmarkSettings
from components.evaluate.recovery.measure import measure_served
from components.evaluate.recovery.settings import ServedSettings
from components.prepare.subset import Subset
from components.train.tiny_model import write_tiny_model
from components.train.tokenized_dialogues import IGNORED, ids_and_labels
from pipelines.local import stack
from pipelines.local.vllm import START_SECONDS, serve_python

pytestmark = pytest.mark.xdist_group("vllm")

QUESTIONS = 12


class Served(NamedTuple):
    """A model of random weights, and the server that has it."""

    endpoint: Endpoint
    folder: Path
    documents: list[ChoiceDocument]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    documents = choice_documents(read_dialogues(None), Subset(), QUESTIONS, seed=0)
    texts = [text for document in documents for text in (document.question, *document.options)]
    model = write_tiny_model(folder / "tiny", texts)
    with vllm(model, folder / "home") as url:
        yield Served(Endpoint(base_url=url, model="tiny"), model, documents)


@pytest.mark.slow
def test_options_weigh_what_the_model_says(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINIST_HOME", str(tmp_path / "home"))
    settings = BenchmarkSettings(benchmarks=("bank_choice", "bank_facts"), questions=QUESTIONS)
    results = run_benchmarks(served.endpoint, served.folder, settings, tmp_path / "out.json")
    choice, facts = results.tasks
    expected = own_scores(served.folder, served.documents)
    assert choice.scores == expected
    assert len(set(expected.values())) == 2
    assert facts.n == QUESTIONS


@pytest.mark.slow
def test_the_served_loss_is_the_models_own(served: Served, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "test.jsonl", read_dialogues(None)[:60])
    settings = ServedSettings(
        dialogues=QUESTIONS, max_length=500, concurrency=(1, 4), output_tokens=8
    )
    out = tmp_path / "figures.json"
    found = measure_served(served.endpoint, served.folder, tmp_path / "test.jsonl", out, settings)
    assert len(found.dialogues) == QUESTIONS
    by_id = {each.dialogue_id: each for each in read_dialogues(tmp_path / "test.jsonl")}
    own = own_losses(served.folder, [by_id[one.dialogue_id] for one in found.dialogues])
    for one, (nats, tokens) in zip(found.dialogues, own, strict=True):
        assert one.tokens == tokens
        assert one.nats / tokens == pytest.approx(nats / tokens, abs=1e-3)
    assert [load.output_tokens for load in found.loads] == [16, 32]


def own_losses(folder: Path, dialogues: Sequence[Dialogue]) -> list[tuple[float, int]]:
    """Cross-entropy and number of the answers' tokens, by the training's own labels, in float32."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    found = []
    for dialogue in dialogues:
        ids, labels = (torch.tensor(each) for each in ids_and_labels(dialogue.turns, tokenizer))
        with torch.no_grad():
            logits = model(ids[None]).logits[0, :-1]
        loss = torch.nn.functional.cross_entropy(logits, labels[1:], reduction="sum")
        found.append((float(loss), int((labels[1:] != IGNORED).sum())))
    return found


def own_scores(folder: Path, documents: list[ChoiceDocument]) -> dict[str, float]:
    """1 where the model itself, without server and harness, finds the right option likeliest."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def weight(question: str, option: str) -> float:
        turns = [{"role": "user", "content": question}]
        prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        given, whole = (
            tokenizer(text, return_tensors="pt").input_ids for text in (prompt, prompt + option)
        )
        with torch.no_grad():
            each = model(whole).logits[0, :-1].log_softmax(-1)
        chosen = each.gather(1, whole[0, 1:, None])[:, 0]
        return float(chosen[given.shape[1] - 1 :].sum())

    return {
        f"finist_bank_choice/{document.id}": float(
            max(document.options, key=lambda option: weight(document.question, option))
            == document.options[document.answer]
        )
        for document in documents
    }


@contextmanager
def vllm(model: Path, home: Path) -> Iterator[str]:
    """Serves a model on the laptop's stack; gives the API's URL."""
    try:
        serve_python()
    except DeployError as error:
        pytest.skip(str(error))
    try:
        stack.start((), home=home)
        stack.add_inference_service("tiny", model.as_uri(), ("--max-model-len=512",), home)
        yield stack.wait_ready(seconds=START_SECONDS, home=home)["tiny"].url
    finally:
        stack.stop(home)
