"""KFP faces of the evaluation: `answer` and `leaderboard`."""

from kfp import dsl

from components.core.images import image


@dsl.component(base_image=image("evaluate"), install_kfp_package=False)
def answer(
    contender: str,
    endpoint: str,
    model: str,
    questions: int,
    max_tokens: int,
    concurrency: int,
    subset: dict,  # type: ignore[type-arg]
    test: dsl.Input[dsl.Dataset],
    answers: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    prompt: str = "",
    api_key_env: str = "",
    weights: str = "",
) -> None:
    """Asks a contender the test questions.

    Args:
        contender: Its name in the leaderboard.
        endpoint: URL of an OpenAI-compatible API, with `/v1`.
        model: The name under which the model is served.
        questions: How many to ask at most, balanced over intents; 0 for all.
        max_tokens: Limit of an answer.
        concurrency: Requests in flight.
        subset: The recipe's `subset:`, the fields of `Subset`.
        test: JSON lines of Dialogue.
        answers: JSON lines of Answer.
        metrics: Accuracy, times, tokens, outcomes.
        prompt: A file of `prompts/` sent as the system message; empty for none.
        api_key_env: Name of the environment variable that holds the key; empty for none.
        weights: Address of the weights that are served. Two models may answer at one endpoint,
            one after the other: this tells their answers apart in the cache and in the lineage.
    """
    from pathlib import Path

    from components.core.llm import Asking, Endpoint
    from components.core.recipes import check_recipe
    from components.core.step_metrics import log_metrics
    from components.evaluate.answers import Contender, answer_file
    from components.evaluate.measures import flat, measure
    from components.prepare.subset import Subset

    where = Endpoint(base_url=endpoint, model=model, api_key_env=api_key_env)
    how = Asking(max_tokens=max_tokens, concurrency=concurrency)
    who = Contender(name=contender, endpoint=where, prompt=prompt, asking=how)
    part = check_recipe("the recipe's subset", subset, Subset)
    found = answer_file(Path(test.path), Path(answers.path), who, questions, part).answers
    answers.metadata["weights"] = weights
    log_metrics(metrics, flat(measure(found)))


@dsl.component(base_image=image("evaluate"), install_kfp_package=False)
def leaderboard(
    baseline: dsl.Input[dsl.Dataset],
    candidate: dsl.Input[dsl.Dataset],
    losses: dsl.Input[dsl.Dataset],
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Metrics],
    board: dsl.Output[dsl.Artifact],
    tuned: dsl.Input[dsl.Dataset] | None = None,
    distilled: dsl.Input[dsl.Dataset] | None = None,
    emulated_baseline: bool = True,
    base_model: str = "",
    watch_link: str = "",
    data_card_link: str = "",
) -> None:
    """Ranks a candidate, and what was made beside it, against the baseline, with a report.

    Args:
        baseline: JSON lines of Answer.
        candidate: JSON lines of Answer to the same questions.
        losses: JSON lines of LossPoint.
        report: The HTML page.
        summary: Every contender's figures.
        board: The leaderboard as JSON (`summary.json`).
        tuned: Answers of the model after SFT, where the candidate went on from it.
        distilled: Answers of the student.
        emulated_baseline: The baseline is the laptop's stand-in for GigaChat; the page says so.
        base_model: The model that stands in for GigaChat, a folder, an address or a name.
        watch_link: Address of the watch report, relative to the page; empty for none.
        data_card_link: Address of the data card, relative to the page; empty for none.
    """
    from pathlib import Path

    from components.core.step_metrics import log_metrics
    from components.evaluate.leaderboard import summary as figures
    from components.evaluate.report import Links, write_report

    asked = (baseline, candidate, tuned, distilled)
    sources = [Path(answers.path) for answers in asked if answers]
    links = Links(watch=watch_link, data_card=data_card_link)
    page, json_file = Path(report.path), Path(board.path)
    curve = Path(losses.path)
    standings = write_report(sources, curve, page, json_file, links, emulated_baseline, base_model)
    log_metrics(summary, figures(standings))
