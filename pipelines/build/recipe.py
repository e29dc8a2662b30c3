"""A build recipe: hyper-parameters of a run, one YAML file per model and size."""

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from components.core.recipes import load_recipe
from components.evaluate import contenders
from components.evaluate.benchmarks.settings import BenchmarkSettings
from components.evaluate.contenders import ContenderSettings, read_contenders
from components.evaluate.gates import RECOVERY, Gates, load_gates
from components.evaluate.judging.cached_judge import JudgeSettings
from components.evaluate.judging.graded_answers import GradingSettings
from components.evaluate.recovery.settings import ServedSettings
from components.prepare.preferences.settings import PreferenceSettings
from components.prepare.recipe import DatasetRecipe
from components.prepare.subset import Subset
from components.quantize.settings import RECIPES as QUANTIZE_RECIPES
from components.quantize.settings import QuantizeSettings
from components.train.settings import DistillSettings, OrpoSettings, SftSettings
from pipelines.build.place import Stages

RECIPES = Path(__file__).parent / "recipes"
CONTENDERS = Path(contenders.__file__).parent / "recipes"
BASELINE = "gigachat"
"""The contender that the pipeline asks by itself; a file of contenders may hold its prices."""


class EvaluationSettings(BaseModel):
    """How the contenders are asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    questions: int = Field(0, ge=0)
    """Test questions of the subset, balanced over facts; 0 asks all."""
    max_tokens: int = Field(256, ge=1)
    concurrency: int = Field(32, ge=1)


class JudgeRecipe(BaseModel):
    """Who judges the answers: an endpoint, or the base model fine-tuned here on graded answers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: str = ""
    """URL of an OpenAI-compatible API, with `/v1`; empty for the local judge."""
    model: str = ""
    api_key_env: str = ""
    """Name of the environment variable that holds the endpoint's key."""
    settings: JudgeSettings = JudgeSettings()
    grading: GradingSettings = GradingSettings()
    """The graded answers on which any judge is measured, and a local one learns."""
    sft: SftSettings | None = None
    """How the local judge is trained."""

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if bool(self.endpoint) == (self.sft is not None):
            raise ValueError("name either `endpoint` (with `model`) or `sft`")
        return self


class BuildRecipe(BaseModel):
    """A run of the build pipeline."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    subset: Subset = Subset()
    """Which dialogues are trained on and asked about; all by default."""
    sft: SftSettings = SftSettings()
    preferences: PreferenceSettings = PreferenceSettings()
    """How the pairs that `orpo` learns from are made."""
    orpo: OrpoSettings | None = None
    """Preference training after SFT; left out, there is none."""
    distill: DistillSettings | None = None
    """A smaller student of the candidate; left out, there is none."""
    quantize: QuantizeSettings | str = ""
    """The candidate in fewer bits: a file of `components/quantize/recipes/`, or the settings; left
    out, it is released as it was trained."""
    served: ServedSettings = ServedSettings()
    """How loss and speed are measured before and after quantization."""
    data: DatasetRecipe = DatasetRecipe()
    evaluation: EvaluationSettings = EvaluationSettings()
    contenders: str = ""
    """A file of `components/evaluate/recipes/`: whom to ask beside; empty for nobody."""
    judge: JudgeRecipe | None = None
    """Left out, nobody judges."""
    benchmarks: BenchmarkSettings | None = None
    """Left out, there are none."""
    gates: Gates | str = "gates"
    """What the candidate must show before it is published: a file of `recipes/`, or the gates. A
    quantized one must also pass `gates-recovery.yaml`, unless these name a recovery."""

    def parameters(self) -> dict[str, Any]:
        """Gives the recipe as parameters of the build pipeline."""
        return {
            "recipe": _plain(self.sft),
            "subset": _plain(self.subset),
            "preferences": _plain(self.preferences),
            "orpo_recipe": _plain(self.orpo),
            "distill_recipe": _plain(self.distill),
            "quantize_recipe": _plain(self._quantize()),
            "served_settings": _plain(self.served if self.quantize else None),
            "base_model": self.sft.base_model,
            "student_model": self.distill.base_model if self.distill else "",
            "data": self.data.model_dump(mode="json", exclude_unset=True, exclude_none=True),
            "benchmark_settings": _plain(self.benchmarks),
            "gates": _plain(self._gates()),
            "prices": {each.name: _plain(each.prices) for each in self._others() if each.prices},
            **self._baseline(),
            **self._judging(),
            **self.evaluation.model_dump(),
        }

    def stages(self) -> Stages:
        """Says which optional stages the recipe has."""
        return Stages(
            orpo=self.orpo is not None,
            distill=self.distill is not None,
            student=self.distill is not None and self.distill.student_layers is None,
            quantize=bool(self.quantize),
            judge="none" if self.judge is None else "local" if self.judge.sft else "outside",
            benchmarks=self.benchmarks is not None,
            contenders=tuple(each for each in self._others() if each.name != BASELINE),
        )

    def _gates(self) -> Gates:
        named = self.gates
        asked = load_gates(RECIPES / f"{named}.yaml") if isinstance(named, str) else named
        if not self.quantize or any(gate.metric.startswith(RECOVERY) for gate in asked.gates):
            return asked
        kept = load_gates(RECIPES / "gates-recovery.yaml")
        return Gates(gates=asked.gates + kept.gates)

    def _quantize(self) -> QuantizeSettings | None:
        named = self.quantize
        if isinstance(named, QuantizeSettings):
            return named
        return load_recipe(QUANTIZE_RECIPES / f"{named}.yaml", QuantizeSettings) if named else None

    def _others(self) -> tuple[ContenderSettings, ...]:
        return read_contenders(CONTENDERS / f"{self.contenders}.yaml") if self.contenders else ()

    def _baseline(self) -> dict[str, Any]:
        """How the baseline is asked, as far as the contenders' file says it."""
        for each in self._others():
            if each.name == BASELINE:
                return {
                    "baseline_endpoint": each.base_url,
                    "baseline_model": each.model,
                    "baseline_prompt": each.prompt,
                    "baseline_concurrency": each.asking.concurrency,
                }
        return {"baseline_concurrency": self.evaluation.concurrency}

    def _judging(self) -> dict[str, Any]:
        judge = self.judge
        return {
            "judge_settings": _plain(judge.settings if judge else None),
            "grading": _plain(judge.grading if judge else None),
            "judge_recipe": _plain(judge.sft if judge else None),
            "judge_endpoint": judge.endpoint if judge else "",
            "judge_model": judge.model if judge else "",
            "judge_key": judge.api_key_env if judge else "",
        }


def _plain(settings: BaseModel | None) -> dict[str, Any]:
    return settings.model_dump(mode="json", exclude_none=True) if settings else {}


def read_recipe(path: Path) -> BuildRecipe:
    """Reads a build recipe.

    Args:
        path: A YAML file, or the name of one in `recipes/`.

    Raises:
        RecipeError: The file cannot be used; names it and the key.
    """
    named = RECIPES / f"{path}.yaml"
    return load_recipe(named if named.exists() else path, BuildRecipe)
