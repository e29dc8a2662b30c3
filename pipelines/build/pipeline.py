"""The build pipeline: data, fine-tuning, weights in S3, model servers, evaluation, watch.

One function for both places. `Place` says what differs: nothing on a laptop but where a server is
started; GPUs, secrets, retries in a cluster (`pipelines.cluster`). `Stages` says which of the
stages that a recipe may leave out are there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kfp import dsl

from components.deploy.component import deploy, remove
from components.evaluate.component import answer, leaderboard
from components.monitor.component import watch
from components.prepare.component import preference_pairs, prepare
from components.publish.component import publish
from components.train.component import base_model as fetch_base_model
from components.train.component import distill, merge, orpo, preflight, sft

Task = Any
"""A `kfp.dsl.PipelineTask`; kfp's own types are not exported."""


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
    """Applied to the tasks that train: GPUs, a place for checkpoints."""
    server: Callable[[Task], None] = field(default=_leave)
    """Applied to the tasks that start and remove a model server."""
    order: Callable[[Task, Task], None] = field(default=_leave)
    """Applied to the task that asks the baseline and the last one that starts a model server."""
    gpus: str = ""
    """The pool that training is planned for, such as `4xA100-80GB`; empty where there is none."""


@dataclass(frozen=True)
class Stages:
    """Which stages a recipe has beside SFT."""

    orpo: bool = False
    distill: bool = False
    student: bool = False
    """Distillation trains a base model of its own, not some layers of the teacher."""


@dataclass(frozen=True)
class Recipes:
    """The pipeline's parameters that training steps take."""

    sft: Any
    subset: Any
    preferences: Any
    orpo: Any
    distill: Any
    student_model: Any


@dataclass(frozen=True)
class Trained:
    """What training gives."""

    models: Mapping[str, Any]
    """Merged models, by the contender's name."""
    last: Task
    """The step that needs the GPUs last."""
    candidate: str
    """The one to release: the last that is not a student."""
    losses: Task
    curves: Mapping[str, Any]


@dataclass(frozen=True)
class Contender:
    """A model that was served and asked."""

    published: Task
    server: Task
    answers: Task


def build_pipeline(place: Place, stages: Stages | None = None) -> Any:
    """Gives the build pipeline for a place.

    Args:
        place: What tasks need there.
        stages: Which optional stages it has; none of them when None.

    Returns:
        A KFP pipeline: call it to run under `kfp.local`, compile it for a cluster.
    """
    parts = stages or Stages()
    outputs = _outputs(parts)

    @dsl.pipeline(name="finist-build", description="From data to a compared candidate.")
    def build(
        data: dict,  # type: ignore[type-arg]  # KFP knows plain dict
        recipe: dict,  # type: ignore[type-arg]
        subset: dict,  # type: ignore[type-arg]
        preferences: dict,  # type: ignore[type-arg]
        orpo_recipe: dict,  # type: ignore[type-arg]
        distill_recipe: dict,  # type: ignore[type-arg]
        base_model: str = "smollm2-135m-instruct",
        student_model: str = "",
        baseline_endpoint: str = "http://finist-gigachat-adapter.finist/v1",
        baseline_model: str = "GigaChat",
        baseline_prompt: str = "",
        emulated_baseline: bool = False,
        model_name: str = "finist-assistant",
        profile: str = "a100x4",
        questions: int = 0,
        max_tokens: int = 256,
        concurrency: int = 32,
    ) -> outputs:  # type: ignore[valid-type]
        dataset = _step(place, prepare(recipe=data), place.store, place.data)
        rows = {name: dataset.outputs[name] for name in ("train", "test")}
        base = _step(place, fetch_base_model(name=base_model), place.store)
        recipes = Recipes(recipe, subset, preferences, orpo_recipe, distill_recipe, student_model)
        trained = _train(place, parts, recipes, base.outputs["model"], rows)
        asked = {
            "questions": questions,
            "max_tokens": max_tokens,
            "concurrency": concurrency,
            "test": rows["test"],
            "subset": subset,
        }
        served = _serve(place, trained, asked, {"name": model_name, "profile": profile})
        baseline = answer(
            contender="gigachat",
            endpoint=baseline_endpoint,
            model=baseline_model,
            prompt=baseline_prompt,
            **asked,
        ).set_display_name("answer-baseline")
        _step(place, baseline)
        candidate = served.pop(trained.candidate)
        place.order(baseline, candidate.server)
        best = candidate.answers.outputs["answers"]
        drift = _step(place, watch(reference=rows["train"], current=best))
        board = leaderboard(
            baseline=baseline.outputs["answers"],
            candidate=best,
            losses=trained.losses.outputs["losses"],
            emulated_baseline=emulated_baseline,
            base_model=base_model,
            watch_link="watch.html",
            data_card_link="data_card.html",
            **{name: one.answers.outputs["answers"] for name, one in served.items()},
        )
        _step(place, board)
        return outputs(  # type: ignore[no-any-return]
            report=board.outputs["report"],
            watch=drift.outputs["report"],
            data_card=dataset.outputs["data_card"],
            data_summary=dataset.outputs["data_summary"],
            board=board.outputs["board"],
            model_uri=candidate.published.outputs["model_uri"],
            **trained.curves,
        )

    return build


def _outputs(stages: Stages) -> Any:
    """What a run gives: pages to look at, figures, and the published candidate."""
    pages: Mapping[str, bool] = {
        **dict.fromkeys(("report", "watch", "data_card", "data_summary", "curve"), True),
        "orpo_curve": stages.orpo,
        "distill_curve": stages.distill,
    }
    fields = [(name, dsl.HTML) for name, there in pages.items() if there]
    return NamedTuple("BuildOutputs", [*fields, ("board", dsl.Artifact), ("model_uri", str)])


def _step(place: Place, task: Task, *needs: Callable[[Task], None]) -> Task:
    for need in (place.every, *needs):
        need(task)
    return task


def _train(
    place: Place, stages: Stages, recipes: Recipes, base: Any, rows: Mapping[str, Any]
) -> Trained:
    """SFT; then, as far as the recipe has them, ORPO from its adapter and a student."""
    fits = preflight(recipe=recipes.sft, orpo_recipe=recipes.orpo, gpus=place.gpus)
    tuned = sft(recipe=recipes.sft, subset=recipes.subset, base=base, **rows)
    _step(place, tuned, place.store, place.train).after(_step(place, fits, place.store))
    last, models = tuned, {"tuned": _merged(place, base, tuned)}
    curves = {"curve": tuned.outputs["curve"]}
    if stages.orpo:
        pairs = _step(place, preference_pairs(recipe=recipes.preferences, **rows))
        aligned = orpo(
            recipe=recipes.orpo,
            base=base,
            start=tuned.outputs["adapter"],
            pairs=pairs.outputs["pairs"],
            test_pairs=pairs.outputs["test_pairs"],
        )
        last = _step(place, aligned, place.store, place.train)
        models["orpo"] = _merged(place, base, aligned)
        curves["orpo_curve"] = aligned.outputs["curve"]
    candidate = list(models)[-1]
    if stages.distill:
        own = _student_base(place, recipes) if stages.student else base
        student = distill(
            recipe=recipes.distill,
            subset=recipes.subset,
            base=own,
            teacher=models[candidate],
            **rows,
        )
        last = _step(place, student, place.store, place.train)
        models["distilled"] = student.outputs["student"]
        curves["distill_curve"] = student.outputs["curve"]
    return Trained(models, last, candidate, tuned, curves)


def _student_base(place: Place, recipes: Recipes) -> Any:
    fetched = fetch_base_model(name=recipes.student_model)
    return _step(place, fetched.set_display_name("student-base"), place.store).outputs["model"]


def _merged(place: Place, base: Any, adapter: Task) -> Any:
    return _step(place, merge(base=base, adapter=adapter.outputs["adapter"])).outputs["merged"]


def _serve(
    place: Place, trained: Trained, asked: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Contender]:
    """Serves the models one after the other, since the pool holds one; the candidate stays."""
    served: dict[str, Contender] = {}
    before = trained.last
    for name in sorted(trained.models, key=lambda name: name == trained.candidate):
        served[name] = _contender(place, name, trained.models[name], asked, given)
        served[name].server.after(before)
        if name != trained.candidate:
            gone = remove(name=name, profile=given["profile"]).set_display_name(f"remove-{name}")
            before = _step(place, gone, place.server).after(served[name].answers)
    return served


def _contender(
    place: Place, name: str, model: Any, asked: Mapping[str, Any], given: Mapping[str, Any]
) -> Contender:
    published = publish(model=model, name=given["name"])
    published.set_display_name(f"publish-{name}")
    uri = _step(place, published, place.store).outputs["model_uri"]
    server = deploy(
        name=name, storage_uri=uri, served_model_name=name, profile=given["profile"]
    ).set_display_name(f"deploy-{name}")
    _step(place, server, place.store, place.server)
    answers = answer(
        contender=name, endpoint=server.outputs["endpoint"], model=name, weights=uri, **asked
    ).set_display_name(f"answer-{name}")
    return Contender(published, server, _step(place, answers))
