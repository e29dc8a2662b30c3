"""A cluster in facts: what pipeline tasks and training jobs of several nodes ask of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

HOUR = 3600
STORE_KEYS = (
    "AWS_ENDPOINT_URL",
    "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "FINIST_BUCKET",
)
"""Keys of the store's Secret, and the environment variables that they become."""


DATA_KEYS = ("OPENAI_API_KEY", "FINIST_USER_SALT")
"""Keys of the data stage's Secret: a teacher's or judge's API key, the salt of hashed user ids."""

WORKSPACE = "/workspace"
TRAINING_HOME = "/tmp/finist"
"""Where a pod that trains writes checkpoints before they go to the store."""


@dataclass(frozen=True)
class Amounts:
    """CPU cores and memory of one task; requests equal limits."""

    cpu: str
    memory: str


@dataclass(frozen=True)
class Toleration:
    """A taint that a task accepts."""

    key: str
    operator: str
    effect: str


@dataclass(frozen=True)
class ClusterSettings:
    """A cluster; the defaults are one pool of 4 x A100 80 GB (manifests/overlays/a100x4)."""

    accelerator: str = "nvidia.com/gpu"
    gpus: int = 4
    gpu: str = "A100-80GB"
    """As the planner knows it (`components.train.planner.gpus`)."""
    node_selector: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType(
            {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"}
        )
    )
    tolerations: tuple[Toleration, ...] = (Toleration("nvidia.com/gpu", "Exists", "NoSchedule"),)
    shared_memory: str = "16Gi"
    """Size of /dev/shm: NCCL and data loaders share memory through it."""
    store_secret: str = "finist-s3"
    """A Secret with STORE_KEYS, in the namespace where the steps run."""
    data_secret: str = "finist-data"
    """A Secret with DATA_KEYS; may be absent where data comes from the bank's own files alone."""
    workspace_claim: str = "finist-workspace"
    """A PersistentVolumeClaim for what a retried data step goes on from: answers of a teacher that
    were paid for (manifests/base/workspace.yaml)."""
    shared_claim: str = "finist-training"
    """A PersistentVolumeClaim that pods on several nodes mount together (ReadWriteMany), with base
    model, data and checkpoints of a TrainJob. The bank makes it, from a class that can do so."""
    checkpoints: str = "s3://finist/checkpoints"
    """Where training keeps its checkpoints, so that an evicted pod goes on in another."""
    user: int = 10001
    """The images' own user."""
    step: Amounts = Amounts("4", "16Gi")
    training: Amounts = Amounts("32", "256Gi")
    step_seconds: int = 4 * HOUR
    training_seconds: int = 48 * HOUR
    server_seconds: int = 2 * HOUR
    retries: int = 2
    backoff: str = "30s"
    """Before the first retry; twice as long before each further one."""
    longest_backoff: str = "600s"

    @property
    def pool(self) -> str:
        """The pool in the planner's words."""
        return f"{self.gpus}x{self.gpu}"
