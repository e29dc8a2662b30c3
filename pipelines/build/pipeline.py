"""The build pipeline: data, fine-tuning, candidates, evaluation, gates, a published model, watch.

One function for both places. `Place` says what differs: nothing on a laptop but where a server is
started; GPUs, secrets, retries in a cluster (`pipelines.cluster`). `Stages` says which of the
stages that a recipe may leave out are there.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from kfp import dsl

from components.evaluate.component import answer, gate, leaderboard, recovery
from components.evaluate.judging.agreement import LOCAL
from components.monitor.component import watch
from components.prepare.component import prepare
from components.publish.component import publish
from components.train.component import base_model as fetch_base_model
from pipelines.build.contenders import Asked, Contenders, serve
from pipelines.build.judging import JudgeGiven, ask_judge, make_judge
from pipelines.build.place import Place, Stages, Task
from pipelines.build.training import Recipes, Trained, train


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

    @dsl.pipeline(name="finist-build", description="From data to a judged and published model.")
    def build(
        data: dict,  # type: ignore[type-arg]  # KFP knows plain dict
        recipe: dict,  # type: ignore[type-arg]
        subset: dict,  # type: ignore[type-arg]
        preferences: dict,  # type: ignore[type-arg]
        orpo_recipe: dict,  # type: ignore[type-arg]
        distill_recipe: dict,  # type: ignore[type-arg]
        quantize_recipe: dict,  # type: ignore[type-arg]
        served_settings: dict,  # type: ignore[type-arg]
        grading: dict,  # type: ignore[type-arg]
        judge_recipe: dict,  # type: ignore[type-arg]
        judge_settings: dict,  # type: ignore[type-arg]
        benchmark_settings: dict,  # type: ignore[type-arg]
        prices: dict,  # type: ignore[type-arg]
        gates: dict,  # type: ignore[type-arg]
        base_model: str = "smollm2-135m-instruct",
        student_model: str = "",
        baseline_endpoint: str = "http://finist-gigachat-adapter.finist/v1",
        baseline_model: str = "GigaChat",
        baseline_prompt: str = "",
        baseline_weights: str = "",
        baseline_concurrency: int = 10,
        emulated_baseline: bool = False,
        judge_endpoint: str = "",
        judge_model: str = "",
        judge_key: str = "",
        model_name: str = "finist-assistant",
        profile: str = "a100x4",
        questions: int = 0,
        max_tokens: int = 256,
        concurrency: int = 32,
    ) -> outputs:  # type: ignore[valid-type]
        dataset = place.step(prepare(recipe=data), place.store, place.data)
        rows = {name: dataset.outputs[name] for name in ("train", "test")}
        fetched = place.step(fetch_base_model(name=base_model), place.store, place.fetch)
        base = fetched.outputs["model"]
        recipes = Recipes(
            sft=recipe,
            subset=subset,
            preferences=preferences,
            orpo=orpo_recipe,
            distill=distill_recipe,
            student_model=student_model,
            quantize=quantize_recipe,
        )
        trained = train(place, parts, recipes, base, rows)
        given = JudgeGiven(
            settings=judge_settings,
            grading=grading,
            sft=judge_recipe,
            endpoint=judge_endpoint,
            model=judge_model,
            key=judge_key,
            profile=profile,
        )
        made, free = None, trained.last
        if parts.judge != "none":
            made = make_judge(place, parts, given, base, rows, trained.last)
            free = made.last
        asked = Asked(
            questions={
                "questions": questions,
                "max_tokens": max_tokens,
                "concurrency": concurrency,
                "test": rows["test"],
                "subset": subset,
            },
            profile=profile,
            model_name=model_name,
            base=base,
            benchmarks={"settings": benchmark_settings, "tokenizer": base, "test": rows["test"]},
            served={
                "settings": served_settings,
                "subset": subset,
                "tokenizer": base,
                "test": rows["test"],
            },
        )
        found = serve(place, parts, trained, asked, free)
        baseline = answer(
            contender="gigachat",
            endpoint=baseline_endpoint,
            model=baseline_model,
            prompt=baseline_prompt,
            weights=baseline_weights,
            **{**asked.questions, "concurrency": baseline_concurrency},
        ).set_display_name("answer-baseline")
        place.order(place.step(baseline, place.outside), found.candidate)
        answers = {"gigachat": baseline.outputs["answers"], **found.answers}
        figures = {}
        if parts.benchmarks:
            figures["base_benchmarks"] = found.benchmarks["base"]
            figures["candidate_benchmarks"] = found.benchmarks[parts.candidate]
        if made:
            answers, figures["agreement"] = ask_judge(place, made, given, answers, found.last)
        kept = None
        if parts.quantize:
            kept = place.step(recovered(parts, trained, found, answers))
            figures["recovery"] = kept.outputs["evidence"]
        described = LOCAL if parts.judge == "local" else ""
        drift = place.step(watch(reference=rows["train"], current=answers[parts.candidate]))
        board = leaderboard(
            baseline=answers.pop("gigachat"),
            candidate=answers.pop(parts.candidate),
            losses=trained.losses.outputs["losses"],
            gates=gates,
            prices=prices,
            judge_described=described,
            emulated_baseline=emulated_baseline,
            base_model=base_model,
            watch_link="watch.html",
            data_card_link="data_card.html",
            recovery_link="recovery.html" if kept else "",
            **{f"contender_{number}": each for number, each in enumerate(answers.values(), 1)},
            **figures,
        )
        passed = place.step(gate(board=place.step(board).outputs["board"]))
        published = publish(
            candidate_uri=found.candidate_uri,
            base_model=fetched.outputs["address"],
            run=place.run,
            data_recipe=data,
            subset=subset,
            sft_recipe=recipe,
            orpo_recipe=orpo_recipe,
            quantize_recipe=quantize_recipe,
            board=board.outputs["board"],
            data_card=dataset.outputs["card_json"],
            emulated_baseline=emulated_baseline,
            judge_described=described,
            **({"recovery": kept.outputs["evidence"]} if kept else {}),
        ).after(passed)
        place.step(published, place.store)
        return outputs(  # type: ignore[no-any-return]
            report=board.outputs["report"],
            watch=drift.outputs["report"],
            data_card=dataset.outputs["data_card"],
            data_summary=dataset.outputs["data_summary"],
            board=board.outputs["board"],
            model_uri=published.outputs["model_uri"],
            **trained.curves,
            **({"recovery": kept.outputs["report"]} if kept else {}),
        )

    return build


def recovered(
    stages: Stages, trained: Trained, found: Contenders, answers: Mapping[str, Any]
) -> Task:
    """Adds the step that compares the quantized model with what it was before."""
    before, after = stages.compared
    measured = {}
    if stages.benchmarks:
        measured = {
            "before_benchmarks": found.benchmarks[before],
            "after_benchmarks": found.benchmarks[after],
        }
    return recovery(
        before_answers=answers[before],
        after_answers=answers[after],
        before_figures=found.figures[before],
        after_figures=found.figures[after],
        quantization=trained.quantization,
        **measured,
    )


def _outputs(stages: Stages) -> Any:
    """What a run gives: pages to look at, figures, and the published model."""
    pages: Mapping[str, bool] = {
        **dict.fromkeys(("report", "watch", "data_card", "data_summary", "curve"), True),
        "orpo_curve": stages.orpo,
        "distill_curve": stages.distill,
        "recovery": stages.quantize,
    }
    fields = [(name, dsl.HTML) for name, there in pages.items() if there]
    return NamedTuple("BuildOutputs", [*fields, ("board", dsl.Artifact), ("model_uri", str)])
