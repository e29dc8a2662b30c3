"""The build pipeline's contenders: served one after the other, as the pool holds one, and asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.deploy.component import deploy, remove
from components.evaluate.component import answer, benchmark, measure_served
from components.evaluate.contenders import ContenderSettings
from components.publish.component import upload
from pipelines.build.place import Place, Stages, Task, server_name
from pipelines.build.training import Trained


@dataclass(frozen=True)
class Asked:
    """What the contenders' steps take."""

    questions: Mapping[str, Any]
    """Parameters of `answer` that are the same for all."""
    profile: Any
    model_name: Any
    base: Any
    """The base model's artifact."""
    benchmarks: Mapping[str, Any]
    """Parameters of `benchmark` that are the same for all."""
    served: Mapping[str, Any]
    """Parameters of `measure_served` that are the same for all."""


@dataclass(frozen=True)
class Contenders:
    """Everybody's answers, and what else was measured while they were served."""

    answers: Mapping[str, Any]
    """Artifacts by the contender's name; the baseline's is not here."""
    candidate: Task
    """The step that started the candidate's server, which stays."""
    candidate_uri: Any
    last: Task
    """The last step that asks a server."""
    benchmarks: Mapping[str, Any]
    """Artifacts by name, `base` among them; empty where the recipe has none."""
    figures: Mapping[str, Any]
    """Losses and speeds of the served model before and after quantization, by name."""


def serve(place: Place, stages: Stages, trained: Trained, asked: Asked, after: Task) -> Contenders:
    """Adds the steps that serve and ask the contenders.

    Args:
        place: What tasks need.
        stages: Which contenders and benchmarks there are.
        trained: The models.
        asked: What the steps take.
        after: The step after which the pool is free.

    Returns:
        The answers; the candidate is asked last.
    """
    answers: dict[str, Any] = {}
    benchmarks: dict[str, Any] = {}
    figures: dict[str, Any] = {}
    for each in stages.contenders:
        answers[each.name], after = _outside(place, each, asked, after)
    if stages.benchmarks:
        benchmarks["base"], after = _base_benchmarks(place, asked, after)
    for name in sorted(trained.models, key=lambda name: name == stages.candidate):
        uri = _uploaded(place, name, trained.models[name], asked)
        server = _server(place, name, uri, asked).after(after)
        answers[name], after = _answers(place, name, server, asked, uri)
        if stages.benchmarks and name in stages.compared:
            after = _benchmark(place, name, server, asked, uri).after(after)
            benchmarks[name] = after.outputs["results"]
        if stages.quantize and name in stages.compared:
            after = _measured(place, name, server, asked, uri).after(after)
            figures[name] = after.outputs["figures"]
        if name != stages.candidate:
            after = _gone(place, name, asked).after(after)
    return Contenders(answers, server, uri, after, benchmarks, figures)


def _outside(place: Place, who: ContenderSettings, asked: Asked, after: Task) -> tuple[Any, Task]:
    """Asks a contender that is not trained here: somebody's endpoint, or a large prompted model."""
    if who.weights:
        return _for_a_while(place, who, asked, after)
    task = answer(
        contender=who.name,
        endpoint=who.base_url,
        model=who.model,
        api_key_env=who.api_key_env,
        prompt=who.prompt,
        retries=who.asking.retries,
        deadline_seconds=who.asking.deadline_seconds,
        **{**asked.questions, "concurrency": who.asking.concurrency},
    ).set_display_name(f"answer-{who.name}")
    return place.step(task, place.outside).outputs["answers"], after


def _for_a_while(
    place: Place, who: ContenderSettings, asked: Asked, after: Task
) -> tuple[Any, Task]:
    """Serves a model, asks it, removes it; gives the answers and the removal."""
    server = _server(place, who.name, who.weights, asked).after(after)
    weights = server.outputs["model_uri"]  # the version that a pointer like latest meant
    answers, task = _answers(place, who.name, server, asked, weights, who.prompt)
    return answers, _gone(place, who.name, asked).after(task)


def _base_benchmarks(place: Place, asked: Asked, after: Task) -> tuple[Any, Task]:
    uri = _uploaded(place, "base", asked.base, asked)
    server = _server(place, "base", uri, asked).after(after)
    task = _benchmark(place, "base", server, asked, uri)
    return task.outputs["results"], _gone(place, "base", asked).after(task)


def _uploaded(place: Place, name: str, model: Any, asked: Asked) -> Any:
    task = upload(model=model, name=asked.model_name).set_display_name(f"upload-{name}")
    return place.step(task, place.store, place.server).outputs["candidate_uri"]


def _server(place: Place, name: str, uri: Any, asked: Asked) -> Task:
    name = server_name(name)
    task = deploy(name=name, storage_uri=uri, served_model_name=name, profile=asked.profile)
    return place.step(task.set_display_name(f"deploy-{name}"), place.store, place.server)


def _gone(place: Place, name: str, asked: Asked) -> Task:
    name = server_name(name)
    task = remove(name=name, profile=asked.profile).set_display_name(f"remove-{name}")
    return place.step(task, place.server)


def _answers(
    place: Place, name: str, server: Task, asked: Asked, uri: Any, prompt: str = ""
) -> tuple[Any, Task]:
    task = answer(
        contender=name,
        endpoint=server.outputs["endpoint"],
        model=server_name(name),
        weights=uri,
        prompt=prompt,
        **asked.questions,
    ).set_display_name(f"answer-{name}")
    return place.step(task).outputs["answers"], task


def _benchmark(place: Place, name: str, server: Task, asked: Asked, uri: Any) -> Task:
    task = benchmark(
        endpoint=server.outputs["endpoint"],
        model=server_name(name),
        weights=uri,
        **asked.benchmarks,
    )
    return place.step(task.set_display_name(f"benchmark-{name}"))


def _measured(place: Place, name: str, server: Task, asked: Asked, uri: Any) -> Task:
    task = measure_served(
        endpoint=server.outputs["endpoint"], model=server_name(name), weights=uri, **asked.served
    )
    return place.step(task.set_display_name(f"measure-{name}"))
