"""The command `finist`: the laptop stack and what runs on it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from components.core import command_line
from components.core.errors import MissingModelError
from components.train.planner.__main__ import plan
from pipelines import models_command
from pipelines.local.state import REPOSITORY

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Finist: a bank's own assistant, trained, served and compared on this machine.",
)
console = Console(highlight=False)
notes = Console(stderr=True, highlight=False)
DEFAULT_BASE = "smollm2-135m-instruct"

BaseModel = Annotated[
    str,
    typer.Option(
        help=f"{DEFAULT_BASE}, a folder of a checkpoint, a hub id, or an s3:// address of a model."
    ),
]


app.command()(plan)
app.add_typer(models_command.app, name="models")
app.command()(models_command.mirror)


@app.command()
def demo(
    recipe: Annotated[
        Path, typer.Option(help="A build recipe: a YAML file, or the name of one in recipes/.")
    ] = Path("smollm2-135m-laptop"),
    base_model: BaseModel = DEFAULT_BASE,
) -> None:
    """Run the whole loop here: data, training, S3, serving, evaluation, report.

    What a run has done is kept: a second run takes it from the cache, an interrupted training
    goes on from its last checkpoint.

    Example: finist demo

    Example: finist demo --recipe my-recipe.yaml --base-model ~/models/SmolLM2-360M-Instruct
    """
    from pipelines.local import demo as loop
    from pipelines.local import scoreboard
    from pipelines.local.state import home_directory

    checkpoint = _checkpoint(base_model, home_directory() / "models" / "base")
    report = loop.run(recipe, checkpoint, console)
    scoreboard.show(report.with_name("summary.json"), console)
    console.print(f"report: {report}", soft_wrap=True)
    console.print(
        'talk to the model: finist up, then finist ask "Какая ставка по вкладу «Сокол»?", '
        "then finist down"
    )


@app.command()
def compile(
    package: Annotated[Path, typer.Argument(help="The KFP package to write, .yaml.")],
    recipe: Annotated[
        Path, typer.Option(help="A build recipe: a YAML file, or the name of one in recipes/.")
    ] = Path("smollm2-135m-laptop"),
) -> None:
    """Write the build pipeline as a KFP package for a cluster.

    Example: finist compile build.yaml --recipe smollm2-135m-laptop
    """
    from pipelines.build.compile import write_package

    write_package(recipe, package)
    console.print(f"wrote {package}; upload it in the KFP UI, or with kfp pipeline create")


@app.command()
def up(
    base_model: BaseModel = DEFAULT_BASE,
    s3_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of S3; free one if absent.")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for all services.")] = 600.0,
) -> None:
    """Start S3, the last published model, and the GigaChat side; go on in the background.

    Example: finist up

    Example: finist up --base-model ~/models/SmolLM2-360M-Instruct --s3-port 9000

    With GIGACHAT_CREDENTIALS set, questions to GigaChat go to GigaChat itself; otherwise to an
    emulator whose answers come from the prompted base model.
    """
    from pipelines.local import stack

    began = time.monotonic()
    was_down = stack.status() is None
    with ExitStack() as undo:
        if was_down:
            undo.callback(_stop_started)
        _ask_for_services(base_model, {"s3": s3_port} if s3_port else {})
        _wait(timeout)
        undo.pop_all()
    console.print(f"up in {time.monotonic() - began:.0f} s")
    status()
    console.print('ask: finist ask "Какая ставка по вкладу?"    stop: finist down')


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="The customer's question, in Russian.")],
    model: Annotated[str, typer.Option(help="tuned or gigachat.")] = "tuned",
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 256,
) -> None:
    """Ask a model of the running stack; the answer is printed as it comes.

    Example: finist ask "Какая ставка по вкладу?"

    Example: finist ask "Как заблокировать карту?" --model gigachat
    """
    from components.gigachat.wire import EMULATOR_MODEL
    from pipelines.local import stack
    from pipelines.local.ask import service_of, stream_answer
    from pipelines.local.supervisor import BASELINE

    if model not in ("tuned", "gigachat"):
        raise typer.BadParameter("give tuned or gigachat", param_hint="--model")
    service = service_of("tuned" if model == "tuned" else "gigachat")
    if service.model == EMULATOR_MODEL:
        answers = Path(stack.service(BASELINE).model_uri or "the base model").name
        notes.print(f"[dim]an emulator of GigaChat: {answers}, prompted, answers[/dim]")
    for words in stream_answer(service, question, max_tokens):
        print(words, end="", flush=True)
    print()


@app.command()
def down() -> None:
    """Stop everything that `up` or the demo left running; data stays.

    Example: finist down
    """
    from pipelines.local import stack

    stopped = stack.stop()
    console.print(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running")


@app.command()
def status() -> None:
    """Show what runs, where it answers, and where its log is.

    Example: finist status
    """
    from pipelines.local import stack

    running = stack.status()
    if running is None:
        console.print("the stack is down; start it with `finist up`")
        return
    table = Table("service", "state", "url", "model", box=None)
    for name, one in running.services.items():
        table.add_row(name, one.phase, one.url, one.model or "")
    console.print(table)
    for name, one in running.services.items():
        if one.message:
            console.print(f"{name}: {one.message}")
    console.print(f"logs: {_logs()}")


def _ask_for_services(base_model: str, ports: Mapping[str, int]) -> None:
    """Tells the supervisor what should run: all of it, or less when GigaChat itself is there."""
    from pipelines.local import release, s3, stack
    from pipelines.local.launch import ADAPTER
    from pipelines.local.state import home_directory

    home = home_directory()
    if os.environ.get("GIGACHAT_CREDENTIALS"):
        notes.print("GIGACHAT_CREDENTIALS is set: questions to GigaChat leave this machine")
        stack.start((s3.NAME, ADAPTER), ports)
    else:
        checkpoint = _checkpoint(base_model, home / "models" / "base")
        stack.start(ports=ports)
        stack.add_baseline(checkpoint)
    published = release.read_release(home)
    if published is None:
        notes.print("no model was published yet: `make demo` trains and publishes one")
    elif not _served(published.model_uri):
        stack.add_inference_service(published.name, published.model_uri)


def _stop_started() -> None:
    from pipelines.local import stack

    notes.print("stopping what was started")
    stack.stop()


def _served(model_uri: str) -> bool:
    from pipelines.local import stack

    running = stack.status()
    return bool(running) and any(
        one.model_uri == model_uri for one in (running.services.values() if running else ())
    )


def _checkpoint(base_model: str, folder: Path) -> Path:
    """Gives the base model's folder, made at the first call from whatever was named.

    It bears the model's name, which the report shows.
    """
    base_model = _fixed(base_model)
    target = folder / base_model.removeprefix("s3://").replace("/", "--")
    for there in (Path(base_model).expanduser(), target):
        if (there / "config.json").is_file():
            return there
    target.parent.mkdir(parents=True, exist_ok=True)
    # In a process of its own: the libraries that read weights would stay in this one's memory.
    command = [sys.executable, "-m", "components.train", "base-model", str(target)]
    with notes.status(f"preparing the base model {base_model}"):
        done = subprocess.run(
            [*command, "--name", base_model],
            check=False,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
        )
    if done.returncode:
        words = done.stderr.strip() or f"preparing {base_model} ended with {done.returncode}"
        raise MissingModelError(words.splitlines()[-1].removeprefix("finist: "))
    return target


def _fixed(base_model: str) -> str:
    """Gives the version of a model in the store that a name such as `latest` stands for."""
    if not base_model.startswith("s3://"):
        return base_model
    from components.core.model_pointers import fixed
    from components.core.settings import StoreSettings

    models_command.use_laptop_store()
    return fixed(StoreSettings(), base_model)


def _wait(timeout: float) -> None:
    """Shows what is being waited for, and for how long."""
    from pipelines.local import stack

    began = time.monotonic()
    with notes.status("starting") as spinner:

        def show(waiting: Mapping[str, str]) -> None:
            seconds = time.monotonic() - began
            lines = [f"  {name}: {why}" for name, why in waiting.items()]
            spinner.update("\n".join([f"starting, {seconds:.0f} s", *lines]))

        report: Callable[[Mapping[str, str]], None] = show
        stack.wait_ready(seconds=timeout, report=report)


def _logs() -> Path:
    from pipelines.local.state import home_directory

    return home_directory() / "logs"


def main() -> None:
    """Runs the command with Finist's exit codes: 2 for a mistake one can mend, 130 for Ctrl-C."""
    command_line.run(app)


if __name__ == "__main__":
    main()
