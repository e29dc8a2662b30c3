"""What is served, and how: a deploy request and the settings of a profile."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.core.errors import BadInputError
from components.core.recipes import load_recipe

PROFILES = Path(__file__).parent / "profiles"

QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
"""An amount as Kubernetes writes it: `500m`, `8`, `64Gi`."""


class ModelServer(BaseModel):
    """Which weights are served, and under which names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z]([-a-z0-9]{0,48}[a-z0-9])?$")
    """The InferenceService's name; KServe appends `-predictor` for the Service."""
    storage_uri: str = Field(pattern=r"^(s3|pvc)://[^/]+/.+")
    served_model_name: str = Field(pattern=r"^[A-Za-z0-9][-A-Za-z0-9_./]*$")
    """The name that clients write into `model`."""


class DeploySettings(BaseModel):
    """A profile of serving. Where GPU pods may run is not here: the chart's runtime says it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    namespace: str = "finist"
    runtime: str = "finist-vllm"
    """The ServingRuntime of charts/finist."""
    service_account: str = "finist-model-reader"
    """Its secret reads the weights from S3."""
    priority_class: str | None = None
    dtype: str = Field(default="auto", pattern=r"^(auto|float32|bfloat16|float16)$")
    max_model_len: int = Field(default=8192, ge=64)
    """Tokens of prompt and answer together."""
    gpus: int = Field(default=0, ge=0)
    """Also the tensor parallel size; 0 serves on the CPU."""
    cpu: str = Field(default="4", pattern=QUANTITY)
    memory: str = Field(default="16Gi", pattern=QUANTITY)
    shared_memory: str = Field(default="1Gi", pattern=QUANTITY)
    """Size of /dev/shm, through which the workers of one server talk; counts as memory."""
    arguments: tuple[str, ...] = ()
    """Further flags of vLLM."""
    timeout_seconds: int = Field(default=120, ge=1)
    """Limit of a whole answer; KServe's own default is 60."""
    ready_seconds: float = Field(default=1800.0, gt=0)
    """How long the server may take to come up: scheduling, download of weights, loading."""


def read_profile(name: str) -> DeploySettings:
    """Reads a profile.

    Args:
        name: A file in `profiles/` without its ending, or a path to another YAML file.

    Raises:
        RecipeError: There is no such profile, or it has an unknown key or a bad value.
    """
    named = PROFILES / f"{name}.yaml"
    path = Path(name) if name.endswith((".yaml", ".yml")) else named
    return load_recipe(path, DeploySettings)


def model_server(name: str, storage_uri: str, served_model_name: str) -> ModelServer:
    """Checks what is asked to be served.

    Raises:
        BadInputError: A value cannot be used; the sentence names it.
    """
    try:
        return ModelServer(name=name, storage_uri=storage_uri, served_model_name=served_model_name)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field, value = first["loc"][0], first["input"]
        raise BadInputError(f"deploy: {field} {value!r}: {first['msg'].lower()}.") from error
