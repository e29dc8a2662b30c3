"""`finist demo` as a person runs it, on a tiny random model: real S3, vLLM, adapter, Evidently."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from components.prepare.generate import generate
from components.prepare.load import load_bank
from components.train.tiny_model import write_tiny_model

pytestmark = pytest.mark.xdist_group("vllm")

RECIPE = Path(__file__).parent / "tiny.yaml"
SECONDS = 840


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "pipelines.cli", *map(str, arguments)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = generate(load_bank(), train_rows=400, test_rows=160, seed=1).train
    texts = [row.question + row.answer for row in rows]
    return write_tiny_model(tmp_path_factory.mktemp("tiny") / "base", texts)


def demo(home: Path, base: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("demo", "--recipe", RECIPE, "--base-model", base),
        env=os.environ | {"FINIST_HOME": str(home), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def left_behind(home: Path) -> list[str]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if str(home) in line and process.pid != os.getpid():
            found.append(line)
    return found


@pytest.mark.slow
@pytest.mark.timeout(SECONDS * 2)
def test_the_whole_loop_then_the_same_from_the_cache(home: Path, base: Path) -> None:
    first = demo(home, base)
    assert first.returncode == 0, first.stdout[-3000:] + first.stderr[-3000:]
    assert "report:" in first.stdout
    report = home / "report" / "report.html"
    page = report.read_text(encoding="utf-8")
    assert "emulator" in page.lower()
    assert len(page) < 3_000_000
    assert "watch.html" in page
    assert "data_card.html" in page
    pages = ("watch", "data_card", "orpo_curve", "distill_curve", "recovery")
    for link in (f"{page}.html" for page in pages):
        assert (home / "report" / link).stat().st_size > 1000
    summary = json.loads((home / "report" / "summary.json").read_text())
    contenders = {row["measures"]["contender"] for row in summary["standings"]}
    assert contenders == {"gigachat", "tuned", "orpo", "distilled", "quantized"}
    assert summary["candidate"] == "quantized"
    assert summary["agreement"]["judge"] == "judge"
    assert [gate["passed"] for gate in summary["gates"]] == [True, True, True]
    released = json.loads((home / "last_release.json").read_text())["model_uri"]
    assert released.startswith("s3://finist/models/")
    assert left_behind(home) == []

    second = demo(home, base)
    assert second.returncode == 0, second.stdout[-3000:] + second.stderr[-3000:]
    steps = len(re.findall(r" done ", first.stdout))
    assert len(re.findall(r" cached", second.stdout)) == steps > 30
    assert left_behind(home) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("send", "number", "code"),
    [(os.killpg, signal.SIGINT, 130), (os.kill, signal.SIGTERM, 143)],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_a_signal_leaves_no_process(
    tmp_path: Path, base: Path, send: Callable[[int, int], None], number: int, code: int
) -> None:
    started = subprocess.Popen(
        command("demo", "--recipe", RECIPE, "--base-model", base),
        env=os.environ | {"FINIST_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "state.json").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(2)
    send(started.pid, number)
    _, errors = started.communicate(timeout=60)
    assert started.returncode == code, errors
    assert "Traceback" not in errors
    assert left_behind(tmp_path) == []


def test_a_recipe_with_an_unknown_key_is_one_sentence(tmp_path: Path, base: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("sft:\n  learning_rte: 1\n")
    done = subprocess.run(
        command("demo", "--recipe", recipe, "--base-model", base),
        env=os.environ | {"FINIST_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") <= 2
    assert "learning_rte" in done.stderr


def test_a_missing_base_model_is_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        command("demo", "--recipe", RECIPE, "--base-model", tmp_path / "nowhere"),
        env=os.environ | {"FINIST_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "base model" in done.stderr
    assert "Traceback" not in done.stderr
