"""A served model measured over HTTP: its loss by hand, the work that is timed, what is refused."""

import shutil
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from components.core.errors import BadInputError, EndpointError, MissingModelError
from components.core.json_lines import write_jsonl
from components.core.llm import Endpoint
from components.core.tests.canned_server import serving
from components.evaluate.benchmarks.finance_tasks import read_dialogues
from components.evaluate.benchmarks.tests.benchmark_server import TEMPLATE, write_tokenizer
from components.evaluate.recovery.measure import UNKNOWN, machine, measure_served
from components.evaluate.recovery.served_figures import ServedFigures, flat
from components.evaluate.recovery.settings import ServedSettings
from components.evaluate.recovery.tests.measured_server import MeasuredServer
from components.train.base_model import TEMPLATE as MARKING
from components.train.tokenized_dialogues import IGNORED, ids_and_labels

FEW = ServedSettings(
    dialogues=5,
    concurrency=(1, 4),
    rounds=2,
    fewest_requests=4,
    output_tokens=12,
    warm_up_tokens=2,
)


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    folder = write_tokenizer(tmp_path / "model")
    shutil.copyfile(MARKING, folder / "chat_template.jinja")
    return folder


@pytest.fixture
def test(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "test.jsonl", read_dialogues(None)[:40])
    return tmp_path / "test.jsonl"


def measure(
    server: MeasuredServer, tokenizer: Path, test: Path, settings: ServedSettings = FEW
) -> ServedFigures:
    with serving(server):
        where = Endpoint(base_url=server.url, model="bank")
        return measure_served(where, tokenizer, test, test.parent / "figures.json", settings)


def test_the_loss_is_that_of_the_tokens_that_training_counts(tokenizer: Path, test: Path) -> None:
    found = measure(MeasuredServer(), tokenizer, test)
    dialogues = {dialogue.dialogue_id: dialogue for dialogue in read_dialogues(test)}
    reads = AutoTokenizer.from_pretrained(tokenizer)
    assert len(found.dialogues) == 5
    for one in found.dialogues:
        ids, labels = ids_and_labels(dialogues[one.dialogue_id].turns, reads)
        learnt = [token for token in labels if token != IGNORED]
        assert one.tokens == len(learnt)
        assert learnt[-1] == ids[-1] == reads.eos_token_id
        assert one.nats == pytest.approx(sum(learnt) / 100, abs=1e-9)
    nats, tokens = (sum(getattr(d, name) for d in found.dialogues) for name in ("nats", "tokens"))
    assert found.loss == pytest.approx(nats / tokens, abs=1e-9)
    assert flat(found)["heldout_loss"] == found.loss
    assert (found.model, found.weights, found.too_long) == ("bank", "/models/bank", 0)
    assert (found.served, found.dequantized) == ("/models/bank", False)
    written = (test.parent / "figures.json").read_text()
    assert ServedFigures.model_validate_json(written) == found


def test_both_models_do_the_same_work(tokenizer: Path, test: Path) -> None:
    """Four answers one by one, eight by fours, after warm-ups of one and of four short ones."""
    server = MeasuredServer()
    found = measure(server, tokenizer, test)
    assert [(load.concurrency, load.requests, load.output_tokens) for load in found.loads] == [
        (1, 4, 48),
        (4, 8, 96),
    ]
    lengths = [body["max_tokens"] for body in server.bodies]
    assert lengths == [2] * 1 + [12] * 4 + [2] * 4 + [12] * 8
    assert server.most_in_flight == 4
    assert all(body["ignore_eos"] and body["temperature"] == 0 for body in server.bodies)
    assert len({body["cache_salt"] for body in server.bodies}) == 4
    assert [message["role"] for message in server.bodies[0]["messages"]] == ["user"]
    for load in found.loads:
        assert 0 < load.first_token_p50 <= load.first_token_p95 <= load.latency_p95 <= load.seconds
        assert load.tokens_per_second == pytest.approx(load.output_tokens / load.seconds)


def test_what_does_not_fit_is_left_out_and_counted(tokenizer: Path, test: Path) -> None:
    found = measure(MeasuredServer(), tokenizer, test)
    lengths = sorted(len(each) for each in _ids(tokenizer, test, found))
    shorter = FEW.model_copy(update={"max_length": lengths[-1]})
    again = measure(MeasuredServer(window=lengths[-1] - 1), tokenizer, test, shorter)
    longest = sum(length == lengths[-1] for length in lengths)
    assert (again.too_long, len(again.dialogues)) == (longest, 5 - longest)
    with pytest.raises(BadInputError, match="None of 5 dialogues"):
        measure(MeasuredServer(), tokenizer, test, FEW.model_copy(update={"max_length": 16}))


def _ids(tokenizer: Path, test: Path, found: ServedFigures) -> list[list[int]]:
    asked = {one.dialogue_id for one in found.dialogues}
    reads = AutoTokenizer.from_pretrained(tokenizer)
    return [
        ids_and_labels(each.turns, reads)[0]
        for each in read_dialogues(test)
        if each.dialogue_id in asked
    ]


@pytest.mark.parametrize(
    ("server", "says"),
    [
        (MeasuredServer(weighs=False), "no log-probabilities of the prompt"),
        (MeasuredServer(window=20), r"HTTP 400.*too long.*lower `max_length`"),
        (MeasuredServer(knows_ignore_eos=False), "it wrote 3 tokens and not 2"),
    ],
    ids=["weighs nothing", "short window", "ends early"],
)
def test_a_server_that_cannot_be_measured_says_why(
    server: MeasuredServer, says: str, tokenizer: Path, test: Path
) -> None:
    with pytest.raises(EndpointError, match=says):
        measure(server, tokenizer, test)


def test_a_server_that_is_away_says_so(tokenizer: Path, test: Path) -> None:
    nowhere = Endpoint(base_url="http://127.0.0.1:9/v1", model="bank")
    with pytest.raises(EndpointError, match="cannot be used"):
        measure_served(nowhere, tokenizer, test, test.parent / "figures.json", FEW)
    assert not (test.parent / "figures.json").exists()


def test_a_folder_without_tokenizer_or_marks_is_refused(tokenizer: Path, test: Path) -> None:
    (tokenizer / "chat_template.jinja").write_text(TEMPLATE)
    with pytest.raises(BadInputError, match="does not mark answers"):
        measure(MeasuredServer(), tokenizer, test)
    with pytest.raises(MissingModelError, match="holds no tokenizer"):
        measure(MeasuredServer(), tokenizer.parent / "nowhere", test)


def test_the_machine_is_named_only_where_it_is_known() -> None:
    assert "cores" in machine(Endpoint(base_url="http://localhost:1/v1", model="a"))
    assert machine(Endpoint(base_url="http://vllm.bank.example/v1", model="a")) == UNKNOWN
