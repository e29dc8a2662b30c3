"""Benchmarks run by the real harness against a real HTTP server."""

import json
from pathlib import Path

import pytest

from components.core.errors import BadInputError, EndpointError, MissingModelError, RecipeError
from components.core.json_lines import read_jsonl
from components.core.llm import Endpoint
from components.core.tests.canned_server import serving
from components.evaluate.benchmarks.finance_tasks import (
    ChoiceDocument,
    GeneralDocument,
    choice_documents,
    facts_documents,
    read_dialogues,
)
from components.evaluate.benchmarks.harness import GENERAL, run_benchmarks
from components.evaluate.benchmarks.results import BenchmarkResults, flat, read_results
from components.evaluate.benchmarks.settings import BenchmarkSettings
from components.evaluate.benchmarks.tests.benchmark_server import BenchmarkServer, write_tokenizer
from components.prepare.subset import Subset

FEW = BenchmarkSettings(benchmarks=("bank_choice",), questions=4, retries=0)


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    return write_tokenizer(tmp_path / "model")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FINIST_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def ends_right(documents: list[ChoiceDocument] | list[GeneralDocument], text: str) -> bool:
    """Whether a weighed text ends with the right option of the question that it puts."""
    return any(
        f"user\n{each.question}<|im_end|>\n<|im_start|>assistant\n{each.options[each.answer]}"
        == text.removeprefix("<|im_start|>")
        for each in documents
    )


def choices(questions: int) -> list[ChoiceDocument]:
    return choice_documents(read_dialogues(None), Subset(), questions, seed=0)


def run(
    server: BenchmarkServer, tokenizer: Path, settings: BenchmarkSettings, weights: str = ""
) -> BenchmarkResults:
    endpoint = Endpoint(base_url=server.url, model="bank")
    return run_benchmarks(
        endpoint, tokenizer, settings, tokenizer.parent / "out.json", weights=weights
    )


def test_a_model_is_measured_once(tokenizer: Path) -> None:
    """It knows the bank's values, every second general answer, and states half of the facts."""
    settings = BenchmarkSettings(questions=6)
    documents = choices(6)
    general = read_jsonl(GENERAL, GeneralDocument)
    asked = facts_documents(read_dialogues(None), Subset(), 6)
    said = {each.question: each.reference for each in asked[::2]}
    server = BenchmarkServer(
        tokenizer,
        lambda text: ends_right(documents, text) or ends_right(general[::2], text),
        lambda question: said.get(question, "не знаю"),
    )
    with serving(server):
        results = run(server, tokenizer, settings)
        requests = (len(server.weighed), len(server.conversations))
        again = run(server, tokenizer, settings)
    assert (len(server.weighed), len(server.conversations)) == requests
    assert again == results == read_results(tokenizer.parent / "out.json")
    assert [(task.n, task.version) for task in results.tasks] == [
        (6, "1.0"),
        (6, "1.0"),
        (80, "1.0"),
    ]
    choice, facts, knowledge = results.tasks
    assert set(choice.scores.values()) == {1.0}
    assert facts.scores == {
        f"finist_bank_facts/{each.id}": float(each.question in said) for each in asked
    }
    assert all(knowledge.scores[f"finist_general/{each.id}"] == 1 for each in general[::2])
    assert [message["role"] for message in server.conversations[0]] == ["user"]
    assert knowledge.value is not None
    assert knowledge.value.low < knowledge.value.mean < knowledge.value.high
    assert flat(results)["benchmark_bank_choice"] == 1.0


@pytest.mark.slow
def test_an_interrupted_run_goes_on_where_it_stopped(tokenizer: Path) -> None:
    documents = choices(4)
    dying = BenchmarkServer(tokenizer, lambda text: ends_right(documents, text), answers_until=7)
    with serving(dying), pytest.raises(EndpointError, match="cannot be used"):
        run(dying, tokenizer, FEW, weights="s3://weights")
    healthy = BenchmarkServer(tokenizer, lambda text: ends_right(documents, text))
    with serving(healthy):
        results = run(healthy, tokenizer, FEW, weights="s3://weights")
    assert set(results.tasks[0].scores.values()) == {1.0}
    first, second = (
        {text for text in server.weighed if "1 + 1" not in text} for server in (dying, healthy)
    )
    assert len(first) == 6
    assert len(second) == 4 * 4 - len(first)
    assert not first & second


@pytest.mark.slow
@pytest.mark.parametrize("how", [{"weighs": False}, {"refuses": 404}], ids=["left out", "refused"])
def test_an_endpoint_that_cannot_weigh_is_named(tokenizer: Path, how: dict[str, int]) -> None:
    server = BenchmarkServer(tokenizer, lambda text: True, **how)  # type: ignore[arg-type]
    with serving(server), pytest.raises(EndpointError, match="such as bank_facts"):
        run(server, tokenizer, FEW)
    assert len(server.weighed) <= 1


@pytest.mark.slow
def test_open_benchmarks_come_from_a_mirror_or_are_skipped(tokenizer: Path, tmp_path: Path) -> None:
    server = BenchmarkServer(tokenizer, lambda text: text.endswith(("Answer: C", "Ответ: B")))
    settings = BenchmarkSettings(
        benchmarks=("mmlu_finance", "mera_rummlu", "rummlu_finance"),
        data={
            "mmlu_finance": write_mmlu(tmp_path / "mmlu"),
            "mera_rummlu": write_mera(tmp_path / "mera"),
        },
    )
    with serving(server):
        mmlu, mera, skipped = run(server, tokenizer, settings).tasks
    assert (mmlu.n, mmlu.value and mmlu.value.mean) == (7 * 2, 0.5)
    shown = [text for text in server.weighed if "Answer:" in text]
    assert len(shown) == 7 * 2 * 4
    assert all(text.count("Answer:") == 6 for text in shown)
    assert mera.scores == {"finist_mera_rummlu/0": 1.0, "finist_mera_rummlu/1": 0.0}
    assert skipped.value is None
    assert skipped.skipped.startswith("not reachable: the data set CohereForAI/Global-MMLU")
    assert "data: {rummlu_finance: DIR}" in skipped.skipped


def write_mera(folder: Path) -> Path:
    """Three questions, two about economics, laid out as the hub's `MERA-evaluation/MERA` is."""
    (folder / "data").mkdir(parents=True)
    rows = [
        {
            "instruction": "Вопрос: {text}\nA) {option_a} B) {option_b}\nОтвет:",
            "inputs": {"text": subject, "option_a": "да", "option_b": "нет"},
            "outputs": right,
            "meta": {"id": 7, "domain": subject},
        }
        for subject, right in (("marketing", "B"), ("virology", "B"), ("econometrics", "A"))
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "data" / "train.jsonl").write_text(lines)
    card = "configs:\n  - config_name: rummlu\n    data_files:\n      - split: train\n"
    (folder / "README.md").write_text(f"---\n{card}        path: data/train.jsonl\n---\n")
    return folder


def write_mmlu(folder: Path) -> Path:
    """Two questions and five shots a subject, laid out as the hub's `cais/mmlu` is."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from components.evaluate.benchmarks.scoring import FINANCE_SUBJECTS

    configs = []
    for subject in sorted(FINANCE_SUBJECTS):
        (folder / subject).mkdir(parents=True)
        for split, rows in (("dev", 5), ("test", 2)):
            columns = {
                "question": [f"{subject} {split} {n}?" for n in range(rows)],
                "choices": [["a", "b", "c", "d"]] * rows,
                "answer": [n + 1 for n in range(rows)] if split == "test" else [0] * rows,
            }
            pq.write_table(pa.table(columns), folder / subject / f"{split}-00000-of-00001.parquet")
        files = "".join(
            f"      - split: {split}\n        path: {subject}/{split}-*\n"
            for split in ("dev", "test")
        )
        configs.append(f"  - config_name: {subject}\n    data_files:\n{files}")
    (folder / "README.md").write_text("---\nconfigs:\n" + "".join(configs) + "---\n")
    return folder


@pytest.mark.slow
def test_an_unknown_task_is_named(tokenizer: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        "{ability: general, metric: acc, harness_folder: mmlu/default,"
        " harness_tasks: [mmlu_magic], dataset: cais/mmlu}"
    )
    server = BenchmarkServer(tokenizer, lambda text: True)
    with serving(server), pytest.raises(BadInputError, match=r"no task 'mmlu_magic'.*mmlu_"):
        run(server, tokenizer, FEW.model_copy(update={"benchmarks": (str(recipe),)}))


@pytest.mark.slow
def test_a_task_file_that_the_harness_refuses_is_named(tokenizer: Path, tmp_path: Path) -> None:
    settings = own_task(tmp_path, "task: mine\ndataset_path: json\noutput_type: riddle\n")
    server = BenchmarkServer(tokenizer, lambda text: True)
    with (
        serving(server),
        pytest.raises(BadInputError, match=r"mine_task.yaml cannot be used: .*riddle"),
    ):
        run(server, tokenizer, settings)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read"),
        ("task: [unclosed", "cannot be read"),
        ("- a list", "names no `task`"),
        ("group: mine", "names no `task`"),
    ],
)
def test_an_unreadable_task_file_is_named(
    tokenizer: Path, tmp_path: Path, content: str | None, told: str
) -> None:
    settings = own_task(tmp_path, content)
    server = BenchmarkServer(tokenizer, lambda text: True)
    with serving(server), pytest.raises(BadInputError, match=f"mine_task.yaml {told}"):
        run(server, tokenizer, settings)
    assert server.weighed == []


def own_task(folder: Path, content: str | None) -> BenchmarkSettings:
    if content is not None:
        (folder / "mine_task.yaml").write_text(content)
    (folder / "mine.yaml").write_text(
        "{ability: general, metric: acc, documents: general, task_files: ["
        f"{folder / 'mine_task.yaml'}]}}"
    )
    return FEW.model_copy(update={"benchmarks": (str(folder / "mine.yaml"),)})


def test_a_missing_tokenizer_is_named(tokenizer: Path, tmp_path: Path) -> None:
    server = BenchmarkServer(tokenizer, lambda text: True)
    with serving(server), pytest.raises(MissingModelError, match="There is no tokenizer in"):
        run(server, tmp_path / "nowhere", FEW)


def test_an_endpoint_that_is_away_is_named(tokenizer: Path) -> None:
    server = BenchmarkServer(tokenizer, lambda text: True)
    server.url = "http://127.0.0.1:9/v1"
    with pytest.raises(EndpointError, match="cannot be used"):
        run(server, tokenizer, FEW)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"benchmarks": ("magic",)}, "There is no recipe .*bank_choice.yaml"),
        ({"data": {"mmlu_finance": Path("/data")}}, "reads no data set in this run"),
        ({"data": {"bank_choice": Path("/data")}}, "reads no data set in this run"),
        ({"subset": Subset(products=("magic",))}, "the product 'magic'"),
    ],
)
def test_settings_that_fit_nothing_are_named(
    tokenizer: Path, changes: dict[str, object], told: str
) -> None:
    server = BenchmarkServer(tokenizer, lambda text: True)
    with serving(server), pytest.raises(RecipeError, match=told):
        run(server, tokenizer, FEW.model_copy(update=changes))
