"""`finist demo`: the whole loop on this machine, by the build pipeline under `kfp.local`."""

import contextlib
import hashlib
import os
import shutil
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
from kfp import local
from pydantic import BaseModel, ConfigDict
from rich.console import Console

from components.core.errors import FinistError, PortInUseError
from components.gigachat.wire import EMULATOR_MODEL
from pipelines.build.pipeline import build_pipeline
from pipelines.build.place import Place, Task
from pipelines.build.recipe import BuildRecipe, read_recipe
from pipelines.local import inference, s3, stack
from pipelines.local.disk import blamed
from pipelines.local.launch import ADAPTER
from pipelines.local.ports import LOOPBACK, claim, free_ports
from pipelines.local.release import Release, write_release
from pipelines.local.state import (
    NOT_OURS,
    REPOSITORY,
    home_directory,
    read_file,
    replace_text,
)
from pipelines.local.step_console import StepConsole

ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "34359738368",
    "MALLOC_TOP_PAD_": "536870912",
}
"""glibc keeps freed memory instead of faulting it in again at each step (DESIGN section 5)."""

THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Threads that wait sleep: with anything else running on two cores, spinning costs 3.5 times."""

QUIET = {"DO_NOT_TRACK": "1", "TOKENIZERS_PARALLELISM": "false"}
PAGES = (
    "report",
    "watch",
    "data_card",
    "data_summary",
    "curve",
    "orpo_curve",
    "distill_curve",
    "recovery",
)
"""Outputs of the pipeline that are kept as pages, as far as the recipe has their stages."""


class LastRun(BaseModel):
    """The last run that came to its end: a run of the same key can reuse all of it."""

    model_config = ConfigDict(frozen=True)

    key: str = ""
    adapter_port: int = 0
    deployment: str = ""
    """Names its deployment in the cache."""


@dataclass(frozen=True)
class Run:
    """One run of the demo."""

    home: Path
    recipe: BuildRecipe
    base: Path
    """The base model's folder."""
    last: LastRun
    adapter_port: int
    deployment: str = field(default_factory=lambda: uuid4().hex)

    def key(self) -> str:
        """Names the run by its code, recipe and base model."""
        digest = hashlib.sha256(self.recipe.model_dump_json().encode())
        digest.update(f"{code_hash()} {self.base} {self.adapter_port}".encode())
        return digest.hexdigest()

    def deployment_key(self) -> str:
        """Names the deployment in the cache: a new one, unless the last run was this, and ended.

        A cached deployment is only as good as the server behind it, which `stop` took away; it
        may be reused only when every answer that was to come from that server is there too.
        """
        return self.last.deployment if self.last.key == self.key() else self.deployment


def run(recipe: Path, base: Path, console: Console) -> Path:
    """Runs the loop: data, training, S3, serving, evaluation, watch; stops all it started.

    Args:
        recipe: A build recipe, or the name of one.
        base: The base model's folder.
        console: Where progress goes.

    Returns:
        The report's HTML file.

    Raises:
        FinistError: A step could not do its work; the sentence says why.
    """
    began = time.monotonic()
    home = home_directory()
    last = _last_run(home)
    this = Run(home, read_recipe(recipe), base, last, _adapter_port(last))
    started = time.time()
    with blamed(home):
        try:
            outputs = _run_and_stop(this, console)
        except FinistError:
            _show_failed(home, started, console)
            raise
        report = _keep(this, outputs)
    console.print(f"the loop took {time.monotonic() - began:.0f} s")
    return report


def code_hash() -> str:
    """Hashes what decides a step's outcome, so that the cache forgets when the code changes."""
    digest = hashlib.sha256()
    for path in sorted((REPOSITORY / "components").rglob("*")):
        if path.suffix in {".py", ".yaml", ".json", ".jinja"} and "tests" not in path.parts:
            digest.update(path.relative_to(REPOSITORY).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _run_and_stop(this: Run, console: Console) -> dict[str, Any]:
    """Runs the pipeline with its services, and leaves no process, whatever happens."""
    try:
        with _environment(ALLOCATOR | QUIET | {"FINIST_HOME": str(this.home)}):
            _start_services(this, console)
            return _run_pipeline(this, console)
    finally:
        _stop_children()
        stack.stop(this.home)


def _start_services(this: Run, console: Console) -> None:
    """Starts S3, and without waiting for it the baseline, which is asked last."""
    began = time.monotonic()
    stack.start(stack.ALL_SERVICES, {ADAPTER: this.adapter_port}, this.home)
    # Its server needs a minute of one core, and is asked nothing before the model is trained.
    stack.add_baseline(this.base, this.home)
    with console.status("starting S3"):
        stack.wait_ready((s3.NAME,), home=this.home)
    console.print(f"  {'services':<18} [green]up[/]   {time.monotonic() - began:6.1f} s")


def _run_pipeline(this: Run, console: Console) -> dict[str, Any]:
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(this.home / "runs"),
        enable_caching=True,
        cache_root=str(this.home / "cache"),
    )
    variables = {
        **THREADS,
        **stack.store_environment(this.home),
        "FINIST_DEPLOY_DIRECTORY": str(this.home / inference.FOLDER),
        "FINIST_CHECKPOINTS": f"s3://{s3.BUCKET}/checkpoints",
    }
    log = this.home / "logs" / "build.log"
    warnings.filterwarnings("ignore", message=".*have no effect in the current local runner")
    with StepConsole(log, console) as steps, _environment(variables):
        try:
            with contextlib.redirect_stdout(steps):
                task = _pipeline(this)(**_arguments(this))
        except RuntimeError as error:
            reason = steps.error or f"{error}."
            raise FinistError(f"{reason} (all that the steps printed: {log})") from error
    return dict(task.outputs)


def _laptop(deployment: str) -> Place:
    """What tasks need here: a cache that knows the code, and a server that is really there."""
    code = code_hash()

    def every(task: Task) -> None:
        task.set_env_variable("FINIST_CODE", code)
        task.set_env_variable("HF_HUB_OFFLINE", "1")

    def server(task: Task) -> None:
        task.set_caching_options(True, cache_key=deployment)

    def fetch(task: Task) -> None:
        task.set_env_variable("HF_HUB_OFFLINE", os.environ.get("HF_HUB_OFFLINE", "0"))

    def order(baseline: Task, server: Task) -> None:
        baseline.after(server)

    return Place(every=every, server=server, fetch=fetch, order=order, run=deployment)


def _pipeline(this: Run) -> Any:
    return build_pipeline(_laptop(this.deployment_key()), this.recipe.stages())


def _arguments(this: Run) -> dict[str, Any]:
    return this.recipe.parameters() | {
        "base_model": str(this.base),
        "baseline_endpoint": f"http://{LOOPBACK}:{this.adapter_port}/v1",
        "baseline_model": EMULATOR_MODEL,
        "baseline_weights": str(this.base),
        "emulated_baseline": True,
        "profile": "laptop",
    }


def _keep(this: Run, outputs: Mapping[str, Any]) -> Path:
    """Keeps what a finished run leaves: its pages, the model's address, what a next run reuses."""
    report = _collect(this.home, outputs)
    write_release(this.home, Release(model_uri=outputs["model_uri"]))
    ended = LastRun(
        key=this.key(), adapter_port=this.adapter_port, deployment=this.deployment_key()
    )
    replace_text(_last_run_path(this.home), ended.model_dump_json())
    return report


def _collect(home: Path, outputs: Mapping[str, Any]) -> Path:
    """Puts the run's pages beside one another, under names that a browser opens."""
    folder = home / "report"
    folder.mkdir(exist_ok=True)
    for name in set(PAGES) & set(outputs):
        shutil.copyfile(outputs[name].path, folder / f"{name}.html")
    shutil.copyfile(outputs["board"].path, folder / "summary.json")
    return folder / "report.html"


def _show_failed(home: Path, started: float, console: Console) -> None:
    """Keeps the report of a run that ended after it: where a gate failed, it says why."""
    for page in home.glob("runs/*/leaderboard/report"):
        if page.stat().st_mtime >= started:
            (home / "report").mkdir(exist_ok=True)
            shutil.copyfile(page, home / "report" / "report.html")
            console.print(f"the report of this run: {home / 'report' / 'report.html'}")


def _last_run_path(home: Path) -> Path:
    return home / "cache" / "last_run.json"


def _last_run(home: Path) -> LastRun:
    found = read_file(_last_run_path(home), LastRun, NOT_OURS)
    return found or LastRun(adapter_port=free_ports(1)[0])


def _adapter_port(last: LastRun) -> int:
    """Takes the last run's port if it is free, since endpoints are part of the cache's key."""
    try:
        return claim(last.adapter_port, ADAPTER)
    except PortInUseError:
        return free_ports(1)[0]


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Sets variables for the children of this process, and takes them back."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _stop_children() -> None:
    """Ends a step that an interrupted run left behind."""
    children = psutil.Process().children(recursive=True)
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.terminate()
    _, alive = psutil.wait_procs(children, timeout=10)
    for child in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
