"""The build pipeline's judge: an outside model, or the base model fine-tuned here on grades."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.deploy.component import deploy, remove
from components.evaluate.component import graded_answers, judge, judge_agreement
from components.publish.component import upload
from components.train.component import sft
from pipelines.build.place import Place, Stages, Task
from pipelines.build.training import merged


@dataclass(frozen=True)
class JudgeGiven:
    """The pipeline's parameters that judging takes."""

    settings: Any
    grading: Any
    sft: Any
    endpoint: Any
    model: Any
    key: Any
    profile: Any


@dataclass(frozen=True)
class JudgeMade:
    """What there is before anybody is judged."""

    graded: Task
    """Its outputs: graded answers to learn from, and others to measure the judge on."""
    model: Any
    """The local judge's artifact; None for an outside judge."""
    last: Task
    """The step that needs the GPUs last."""


def make_judge(
    place: Place,
    stages: Stages,
    given: JudgeGiven,
    base: Any,
    rows: Mapping[str, Any],
    after: Task,
) -> JudgeMade:
    """Adds the steps that grade answers and, for a local judge, train on the grades.

    Args:
        place: What tasks need.
        stages: Which kind of judge there is.
        given: What the steps take.
        base: The base model's artifact: the local judge comes from it, not from a contender.
        rows: The artifacts `train` and `test`.
        after: The step after which the pool is free.

    Returns:
        What `ask_judge` needs.
    """
    graded = place.step(graded_answers(grading=given.grading, **rows))
    if stages.judge != "local":
        return JudgeMade(graded, None, after)
    taught = {"train": graded.outputs["graded_train"], "test": graded.outputs["graded_test"]}
    trained = sft(recipe=given.sft, subset={}, base=base, **taught).set_display_name("sft-judge")
    place.step(trained, place.store, place.train).after(after)
    return JudgeMade(graded, merged(place, base, trained), trained)


def ask_judge(
    place: Place,
    made: JudgeMade,
    given: JudgeGiven,
    answers: Mapping[str, Any],
    after: Task,
) -> tuple[dict[str, Any], Any]:
    """Adds the steps that judge everybody's answers, and that measure the judge.

    Args:
        place: What tasks need.
        made: From `make_judge`.
        given: What the steps take.
        answers: Artifacts by the contender's name.
        after: The step after which nobody else is asked: the judge would disturb the times.

    Returns:
        The judged answers by name, and the artifact of the judge's agreement.
    """
    if made.model is None:
        asked = {"endpoint": given.endpoint, "model": given.model, "api_key_env": given.key}
        need = place.outside
    else:
        server = _served(place, made.model, given).after(after)
        asked = {"endpoint": server.outputs["endpoint"], "model": "judge", "api_key_env": ""}
        need = place.every
    asked["settings"] = given.settings
    tasks = {
        name: place.step(judge(answers=each, **asked).set_display_name(f"judge-{name}"), need)
        for name, each in answers.items()
    }
    agreement = judge_agreement(graded=made.graded.outputs["graded_test"], **asked)
    place.step(agreement, need)
    if made.model is not None:
        gone = remove(name="judge", profile=given.profile).set_display_name("remove-judge")
        place.step(gone, place.server).after(agreement, *tasks.values())
    judged = {name: task.outputs["judged"] for name, task in tasks.items()}
    return judged, agreement.outputs["agreement"]


def _served(place: Place, model: Any, given: JudgeGiven) -> Task:
    sent = upload(model=model, name="finist-judge").set_display_name("upload-judge")
    uri = place.step(sent, place.store, place.server).outputs["candidate_uri"]
    task = deploy(name="judge", storage_uri=uri, served_model_name="judge", profile=given.profile)
    return place.step(task.set_display_name("deploy-judge"), place.store, place.server)
