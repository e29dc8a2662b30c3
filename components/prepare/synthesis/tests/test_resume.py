"""kill -9 in the middle of a synthesis, then the same command again: who pays for what."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from components.core.journal import Journal
from components.core.tests.canned_server import Canned, CannedServer, serving
from components.prepare.load import load_bank
from components.prepare.synthesis.record import Record
from components.prepare.synthesis.synthesize import synthesize
from components.prepare.synthesis.tests.teacher import faithful, source

ROOT = Path(__file__).resolve().parents[4]
ITEMS, CONCURRENCY = 20, 3


def slow(prompt: str) -> Canned:
    canned = faithful(prompt)
    return Canned(canned.text, top=canned.top, delay_seconds=0.05)


def started(server: CannedServer, folder: Path) -> subprocess.Popen[str]:
    recipe = folder.with_suffix(".yaml")
    endpoint = {"base_url": server.url, "model": "canned"}
    content = {"teacher": endpoint, "judge": endpoint, "dialogues": ITEMS}
    recipe.write_text(json.dumps(content | {"concurrency": CONCURRENCY}), "utf-8")  # JSON is YAML
    command = [sys.executable, "-m", "components.prepare.synthesis"]
    options = ["--recipe", str(recipe), "--work-dir", str(folder)]
    return subprocess.Popen(
        [*command, *options], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
def test_a_killed_run_goes_on_and_pays_for_nothing_twice(tmp_path: Path) -> None:
    with serving(CannedServer(slow)) as server:
        whole, cut = tmp_path / "whole", tmp_path / "cut"
        synthesize(load_bank(), source(server, dialogues=ITEMS, seed=0), whole, lambda text: text)
        server.asked.clear()
        first = started(server, cut)
        try:
            wait_until(lambda: server.asked.total() >= ITEMS)
        finally:
            os.kill(first.pid, signal.SIGKILL)
            first.communicate()
        before = server.asked.total()
        kept = len((cut / "journal.jsonl").read_bytes().splitlines())
        output, errors = started(server, cut).communicate(timeout=120)
        after = server.asked.total() - before
    print(
        f"calls: {before} before kill -9 ({kept} in the journal), {after} after; {2 * ITEMS} needed"
    )
    assert not (cut / "dialogues.jsonl.partial").exists()
    assert 0 < kept <= before < 2 * ITEMS
    assert before - kept <= CONCURRENCY
    assert 2 * ITEMS <= before + after <= 2 * ITEMS + CONCURRENCY
    assert (cut / "dialogues.jsonl").read_text("utf-8") == (whole / "dialogues.jsonl").read_text(
        "utf-8"
    )
    assert f"accepted{ITEMS:>24}" in output, errors


def test_ctrl_c_keeps_the_journal(tmp_path: Path) -> None:
    with serving(CannedServer(slow)) as server:
        run = started(server, tmp_path / "work")
        wait_until(lambda: server.asked.total() >= 5)
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "Traceback" not in errors
    with Journal(tmp_path / "work" / "journal.jsonl", Record) as journal:
        assert len(journal) >= 5 - CONCURRENCY
