"""KFP faces of the evaluation: answers, judge, benchmarks, recovery, leaderboard, gate."""

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
    retries: int = 4,
    deadline_seconds: float = 240.0,
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
        retries: Further tries of a request that the endpoint put off.
        deadline_seconds: For one request, its retries and waits included.
    """
    from pathlib import Path

    from components.core.llm import Asking, Endpoint
    from components.core.recipes import check_recipe
    from components.core.step_metrics import log_metrics
    from components.evaluate.answers import Contender, answer_file
    from components.evaluate.measures import flat, measure
    from components.prepare.subset import Subset

    where = Endpoint(base_url=endpoint, model=model, api_key_env=api_key_env)
    how = Asking(
        max_tokens=max_tokens,
        concurrency=concurrency,
        retries=retries,
        deadline_seconds=deadline_seconds,
    )
    who = Contender(name=contender, endpoint=where, prompt=prompt, asking=how, weights=weights)
    part = check_recipe("the recipe's subset", subset, Subset)
    found = answer_file(Path(test.path), Path(answers.path), who, questions, part)
    answers.metadata["weights"] = weights
    log_metrics(metrics, flat(measure(found.answers)))


@dsl.component(base_image=image("evaluate"), install_kfp_package=False)
def graded_answers(
    grading: dict,  # type: ignore[type-arg]
    train: dsl.Input[dsl.Dataset],
    test: dsl.Input[dsl.Dataset],
    graded_train: dsl.Output[dsl.Dataset],
    graded_test: dsl.Output[dsl.Dataset],
) -> None:
    """Makes answers of known grades from the built-in bank, to teach a judge and to measure one.

    Args:
        grading: The recipe's `judge.grading:`, the fields of `GradingSettings`.
        train: JSON lines of Dialogue.
        test: JSON lines of Dialogue in phrasing families that `train` does not have.
        graded_train: JSON lines of Dialogue: the judge's prompt and the grade.
        graded_test: The same for the judge to be measured on.
    """
    from pathlib import Path

    from components.core.recipes import check_recipe
    from components.evaluate.judging.graded_answers import GradingSettings, grade_file

    settings = check_recipe("the recipe's grading", grading, GradingSettings)
    read = Path(train.path), Path(test.path)
    grade_file(*read, Path(graded_train.path), Path(graded_test.path), settings)


@dsl.component(base_image=image("evaluate"), install_kfp_package=False)
def judge(
    endpoint: str,
    model: str,
    api_key_env: str,
    settings: dict,  # type: ignore[type-arg]
    answers: dsl.Input[dsl.Dataset],
    judged: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Judges a contender's answers by the criteria of a rubric (G-Eval).

    Args:
        endpoint: URL of the judge's OpenAI-compatible API, with `/v1`.
        model: The name under which the judge is served.
        api_key_env: Name of the environment variable that holds the key; empty for none.
        settings: The recipe's `judge.settings:`, the fields of `JudgeSettings`.
        answers: JSON lines of Answer.
        judged: The same rows with their scores.
        metrics: Mean scores and failures.
    """
    from pathlib import Path

    from components.core.llm import Endpoint
    from components.core.recipes import check_recipe
    from components.core.step_metrics import log_metrics
    from components.evaluate.judging.cached_judge import JudgeSettings
    from components.evaluate.judging.judge_answers import judge_file
    from components.evaluate.measures import flat, measure

    where = Endpoint(base_url=endpoint, model=model, api_key_env=api_key_env)
    how = check_recipe("the recipe's judge", settings, JudgeSettings)
    found = judge_file(Path(answers.path), Path(judged.path), where, how)
    log_metrics(metrics, flat(measure(found)))


@dsl.component(base_image=image("evaluate"), install_kfp_package=False)
def judge_agreement(
    endpoint: str,
    model: str,
    api_key_env: str,
    settings: dict,  # type: ignore[type-arg]
    graded: dsl.Input[dsl.Dataset],
    agreement: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Measures how well a judge's scores follow known grades.

    Args:
        endpoint: URL of the judge's OpenAI-compatible API, with `/v1`.
        model: The name under which the judge is served.
        api_key_env: Name of the environment variable that holds the key; empty for none.
        settings: The recipe's `judge.settings:`, the fields of `JudgeSettings`.
        graded: Graded answers that the judge did not learn from.
        agreement: JSON of JudgeAgreement.
        metrics: Rank correlations and errors.
    """
    from pathlib import Path

    from components.core.llm import Endpoint
    from components.core.recipes import check_recipe
    from components.core.step_metrics import log_metrics
    from components.evaluate.judging.agreement import flat, measure_agreement, write_agreement
    from components.evaluate.judging.cached_judge import JudgeSettings

    where = Endpoint(base_url=endpoint, model=model, api_key_env=api_key_env)
    how = check_recipe("the recipe's judge", settings, JudgeSettings)
    found = measure_agreement(Path(graded.path), where, how)
    write_agreement(found, Path(agreement.path))
    log_metrics(metrics, flat(found))


@dsl.component(base_image=image("evaluate"), install_kfp_package=False)
def benchmark(
    endpoint: str,
    model: str,
    weights: str,
    settings: dict,  # type: ignore[type-arg]
    tokenizer: dsl.Input[dsl.Model],
    test: dsl.Input[dsl.Dataset],
    results: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Runs benchmarks of lm-evaluation-harness against a served model.

    Args:
        endpoint: URL of an OpenAI-compatible API, with `/v1`.
        model: The name under which the model is served.
        weights: Address of the weights that are served.
        settings: The recipe's `benchmarks:`, the fields of `BenchmarkSettings`.
        tokenizer: A model folder with the tokenizer of the served model.
        test: JSON lines of Dialogue, from which the bank's own tasks are made.
        results: JSON of BenchmarkResults.
        metrics: Each benchmark's figure.
    """
    from pathlib import Path

    from components.core.llm import Endpoint
    from components.core.recipes import check_recipe
    from components.core.step_metrics import log_metrics
    from components.evaluate.benchmarks.harness import run_benchmarks
    from components.evaluate.benchmarks.results import flat
    from components.evaluate.benchmarks.settings import BenchmarkSettings

    where = Endpoint(base_url=endpoint, model=model)
    how = check_recipe("the recipe's benchmarks", settings, BenchmarkSettings)
    folder, out, asked = Path(tokenizer.path), Path(results.path), Path(test.path)
    log_metrics(metrics, flat(run_benchmarks(where, folder, how, out, asked, weights)))


@dsl.component(base_image=image("evaluate"), install_kfp_package=False)
def measure_served(
    endpoint: str,
    model: str,
    weights: str,
    settings: dict,  # type: ignore[type-arg]
    subset: dict,  # type: ignore[type-arg]
    tokenizer: dsl.Input[dsl.Model],
    test: dsl.Input[dsl.Dataset],
    figures: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Measures a served model: its loss on held-out dialogues, and how fast it writes.

    Args:
        endpoint: URL of an OpenAI-compatible API, with `/v1`, that weighs texts, as vLLM does.
        model: The name under which the model is served.
        weights: Address of the weights that are served.
        settings: The recipe's `served:`, the fields of `ServedSettings`.
        subset: The recipe's `subset:`, the fields of `Subset`.
        tokenizer: A model folder with the tokenizer and chat template of the served model.
        test: JSON lines of Dialogue that the model never learnt from.
        figures: JSON of ServedFigures.
        metrics: Loss, perplexity, tokens a second, times.
    """
    from pathlib import Path

    from components.core.llm import Endpoint
    from components.core.recipes import check_recipe
    from components.core.step_metrics import log_metrics
    from components.evaluate.recovery.measure import measure_served
    from components.evaluate.recovery.served_figures import flat
    from components.evaluate.recovery.settings import ServedSettings
    from components.prepare.subset import Subset

    where = Endpoint(base_url=endpoint, model=model)
    how = check_recipe("the recipe's served", settings, ServedSettings)
    part = check_recipe("the recipe's subset", subset, Subset)
    files = Path(tokenizer.path), Path(test.path), Path(figures.path)
    log_metrics(metrics, flat(measure_served(where, *files, how, part, weights)))


@dsl.component(base_image=image("evaluate"), install_kfp_package=False)
def recovery(
    before_answers: dsl.Input[dsl.Dataset],
    after_answers: dsl.Input[dsl.Dataset],
    before_figures: dsl.Input[dsl.Artifact],
    after_figures: dsl.Input[dsl.Artifact],
    quantization: dsl.Input[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    evidence: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    before_benchmarks: dsl.Input[dsl.Artifact] | None = None,
    after_benchmarks: dsl.Input[dsl.Artifact] | None = None,
) -> None:
    """Says what quantization kept of a model's quality, and what it gave in speed and size.

    Args:
        before_answers: JSON lines of Answer of the model before, judged or not.
        after_answers: JSON lines of Answer of the quantized model to the same questions.
        before_figures: JSON of ServedFigures of the model before.
        after_figures: JSON of ServedFigures of the quantized model.
        quantization: What the quantize step wrote: scheme, sizes, layers left alone.
        report: The HTML page.
        evidence: JSON of Recovery, for the leaderboard's gates.
        metrics: Recovery by metric, and factors of speed and size.
        before_benchmarks: JSON of BenchmarkResults of the model before.
        after_benchmarks: JSON of BenchmarkResults of the quantized model.
    """
    from pathlib import Path

    from components.core.step_metrics import log_metrics
    from components.evaluate.recovery.recovered import flat
    from components.evaluate.recovery.report import RecoveryInputs, write_recovery

    measured = [Path(each.path) for each in (before_benchmarks, after_benchmarks) if each]
    inputs = RecoveryInputs(
        answers=(Path(before_answers.path), Path(after_answers.path)),
        figures=(Path(before_figures.path), Path(after_figures.path)),
        quantization=Path(quantization.path),
        benchmarks=(measured[0], measured[1]) if measured else None,
    )
    log_metrics(metrics, flat(write_recovery(inputs, Path(report.path), Path(evidence.path))))


@dsl.component(base_image=image("evaluate"), install_kfp_package=False)
def leaderboard(
    gates: dict,  # type: ignore[type-arg]
    prices: dict,  # type: ignore[type-arg]
    baseline: dsl.Input[dsl.Dataset],
    candidate: dsl.Input[dsl.Dataset],
    losses: dsl.Input[dsl.Dataset],
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Metrics],
    board: dsl.Output[dsl.Artifact],
    contender_1: dsl.Input[dsl.Dataset] | None = None,
    contender_2: dsl.Input[dsl.Dataset] | None = None,
    contender_3: dsl.Input[dsl.Dataset] | None = None,
    contender_4: dsl.Input[dsl.Dataset] | None = None,
    contender_5: dsl.Input[dsl.Dataset] | None = None,
    contender_6: dsl.Input[dsl.Dataset] | None = None,
    agreement: dsl.Input[dsl.Artifact] | None = None,
    base_benchmarks: dsl.Input[dsl.Artifact] | None = None,
    candidate_benchmarks: dsl.Input[dsl.Artifact] | None = None,
    recovery: dsl.Input[dsl.Artifact] | None = None,
    judge_described: str = "",
    emulated_baseline: bool = True,
    base_model: str = "",
    watch_link: str = "",
    data_card_link: str = "",
    recovery_link: str = "",
) -> None:
    """Ranks a candidate, and all beside it, against the baseline, with a report and gates.

    Args:
        gates: The recipe's gates, the fields of `Gates`.
        prices: By contender, the fields of `Prices`; a price that is not here is unknown.
        baseline: JSON lines of Answer, judged or not.
        candidate: JSON lines of Answer to the same questions: the model to be released.
        losses: JSON lines of LossPoint.
        report: The HTML page.
        summary: Every contender's figures.
        board: The leaderboard as JSON, with a verdict for each gate.
        contender_1: Answers of one more contender; so are the next ones. KFP has no lists of
            artifacts that several steps made.
        contender_2: See `contender_1`.
        contender_3: See `contender_1`.
        contender_4: See `contender_1`.
        contender_5: See `contender_1`.
        contender_6: See `contender_1`.
        agreement: JSON of JudgeAgreement.
        base_benchmarks: JSON of BenchmarkResults of the base model.
        candidate_benchmarks: JSON of BenchmarkResults of the candidate.
        recovery: JSON of Recovery of the candidate, where it was quantized.
        judge_described: What the judge is, in a few words, for the sentence that cautions.
        emulated_baseline: The baseline is the laptop's stand-in for GigaChat; the page says so.
        base_model: The model that stands in for GigaChat, a folder, an address or a name.
        watch_link: Address of the watch report, relative to the page; empty for none.
        data_card_link: Address of the data card, relative to the page; empty for none.
        recovery_link: Address of the recovery report, relative to the page; empty for none.
    """
    from pathlib import Path

    from components.core.prices import Prices
    from components.core.recipes import check_recipe
    from components.core.step_metrics import log_metrics
    from components.evaluate.gates import Gates
    from components.evaluate.leaderboard import summary as figures
    from components.evaluate.page import Links
    from components.evaluate.report import ReportInputs, write_report

    others = (contender_1, contender_2, contender_3, contender_4, contender_5, contender_6)
    files = [Path(each.path) for each in (baseline, candidate, *others) if each]
    measured = [Path(each.path) for each in (base_benchmarks, candidate_benchmarks) if each]
    inputs = ReportInputs(
        answers=files,
        losses=Path(losses.path),
        agreement=Path(agreement.path) if agreement else None,
        judge_described=judge_described,
        benchmarks=(measured[0], measured[1]) if measured else None,
        prices={name: check_recipe(f"prices of {name}", of, Prices) for name, of in prices.items()},
        gates=check_recipe("the recipe's gates", gates, Gates),
        recovery=Path(recovery.path) if recovery else None,
        links=Links(watch=watch_link, data_card=data_card_link, recovery=recovery_link),
        emulated_baseline=emulated_baseline,
        base_model=base_model,
    )
    log_metrics(summary, figures(write_report(inputs, Path(report.path), Path(board.path))))


@dsl.component(base_image=image("evaluate"), install_kfp_package=False)
def gate(board: dsl.Input[dsl.Artifact], verdicts: dsl.Output[dsl.Metrics]) -> None:
    """Stops the run, before anything is published, when the candidate did not pass a gate.

    Args:
        board: The leaderboard as JSON.
        verdicts: 1 for a gate that was passed; written only when all were.
    """
    from pathlib import Path

    from components.core.step_metrics import log_metrics
    from components.evaluate.gates import enforce
    from components.evaluate.leaderboard import read_board

    checked = read_board(Path(board.path)).gates
    enforce(checked)
    log_metrics(verdicts, {verdict.gate.name: float(verdict.passed) for verdict in checked})
