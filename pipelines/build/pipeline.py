"""The build pipeline: data, fine-tuning, weights in S3, a model server, evaluation, watch.

One function for both places. `Place` says what differs: nothing on a laptop but where the server
is started; GPUs, secrets, retries in a cluster (`pipelines.cluster`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kfp import dsl

from components.deploy.component import deploy
from components.evaluate.component import answer, leaderboard
from components.monitor.component import watch
from components.prepare.component import prepare
from components.publish.component import publish
from components.train.component import base_model as fetch_base_model
from components.train.component import merge, sft

Task = Any
"""A `kfp.dsl.PipelineTask`; kfp's own types are not exported."""


class BuildOutputs(NamedTuple):
    """What a run gives: pages to look at, figures, and the published model."""

    report: dsl.HTML
    watch: dsl.HTML
    data_card: dsl.HTML
    data_summary: dsl.HTML
    curve: dsl.HTML
    board: dsl.Artifact
    model_uri: str


def _leave(*tasks: Task) -> None:
    """Changes nothing."""


@dataclass(frozen=True)
class Place:
    """What tasks need where the pipeline runs."""

    every: Callable[[Task], None] = field(default=_leave)
    """Applied to each task: caching, retries, timeouts."""
    store: Callable[[Task], None] = field(default=_leave)
    """Applied to tasks that speak to S3."""
    data: Callable[[Task], None] = field(default=_leave)
    """Applied to the task that prepares data: keys of outside models, a lasting work folder."""
    train: Callable[[Task], None] = field(default=_leave)
    """Applied to the task that trains: GPUs."""
    server: Callable[[Task], None] = field(default=_leave)
    """Applied to the task that starts a model server."""
    order: Callable[[Task, Task], None] = field(default=_leave)
    """Applied to the task that asks the baseline and the one that starts the model server."""


def build_pipeline(place: Place) -> Any:
    """Gives the build pipeline for a place.

    Args:
        place: What tasks need there.

    Returns:
        A KFP pipeline: call it to run under `kfp.local`, compile it for a cluster.
    """

    @dsl.pipeline(name="finist-build", description="From data to a compared candidate.")
    def build(
        data: dict,  # type: ignore[type-arg]  # KFP knows plain dict
        recipe: dict,  # type: ignore[type-arg]
        subset: dict,  # type: ignore[type-arg]
        base_model: str = "smollm2-135m-instruct",
        baseline_endpoint: str = "http://finist-gigachat-adapter.finist/v1",
        baseline_model: str = "GigaChat",
        baseline_prompt: str = "",
        emulated_baseline: bool = False,
        model_name: str = "finist-assistant",
        profile: str = "a100x4",
        questions: int = 0,
        max_tokens: int = 256,
        concurrency: int = 32,
    ) -> BuildOutputs:
        dataset = prepare(recipe=data)
        asked = {
            "questions": questions,
            "max_tokens": max_tokens,
            "concurrency": concurrency,
            "test": dataset.outputs["test"],
            "subset": subset,
        }
        baseline = answer(
            contender="gigachat",
            endpoint=baseline_endpoint,
            model=baseline_model,
            prompt=baseline_prompt,
            **asked,
        ).set_display_name("answer-baseline")
        base = fetch_base_model(name=base_model)
        tuned = sft(
            recipe=recipe,
            subset=subset,
            base=base.outputs["model"],
            train=dataset.outputs["train"],
            test=dataset.outputs["test"],
        )
        merged = merge(base=base.outputs["model"], adapter=tuned.outputs["adapter"])
        published = publish(model=merged.outputs["merged"], name=model_name)
        server = deploy(
            name="tuned",
            storage_uri=published.outputs["model_uri"],
            served_model_name="tuned",
            profile=profile,
        )
        candidate = answer(
            contender="tuned",
            endpoint=server.outputs["endpoint"],
            model="tuned",
            weights=published.outputs["model_uri"],
            **asked,
        ).set_display_name("answer-tuned")
        drift = watch(reference=dataset.outputs["train"], current=candidate.outputs["answers"])
        board = leaderboard(
            baseline=baseline.outputs["answers"],
            candidate=candidate.outputs["answers"],
            losses=tuned.outputs["losses"],
            emulated_baseline=emulated_baseline,
            base_model=base_model,
            watch_link="watch.html",
            data_card_link="data_card.html",
        )
        everything = (dataset, baseline, base, tuned, merged, published, server, candidate, drift)
        for task in (*everything, board):
            place.every(task)
        for task in (dataset, base, published, server):
            place.store(task)
        place.data(dataset)
        place.train(tuned)
        place.server(server)
        place.order(baseline, server)
        return BuildOutputs(
            report=board.outputs["report"],
            watch=drift.outputs["report"],
            data_card=dataset.outputs["data_card"],
            data_summary=dataset.outputs["data_summary"],
            curve=tuned.outputs["curve"],
            board=board.outputs["board"],
            model_uri=published.outputs["model_uri"],
        )

    return build
