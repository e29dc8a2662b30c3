"""What the tasks of a pipeline need in a Kubernetes cluster: GPUs, nodes, secrets, patience.

The laptop's runner ignores all of it, so a pipeline applies it through a `Place` only when it is
compiled for a cluster.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType

from kfp import kubernetes

from pipelines.build.pipeline import Place, Task

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


def place(settings: ClusterSettings | None = None) -> Place:
    """Gives what tasks need in a cluster, for the pipelines to apply.

    Args:
        settings: The cluster; the a100x4 pool when None.
    """
    cluster = settings or ClusterSettings()
    return Place(
        gpus=cluster.pool,
        every=partial(as_step, settings=cluster),
        store=partial(with_store, settings=cluster),
        data=partial(as_data, settings=cluster),
        train=partial(as_training, settings=cluster),
        server=partial(as_server, settings=cluster),
    )


def as_step(task: Task, settings: ClusterSettings) -> None:
    """Gives a task amounts, a time limit, retries with backoff and an unprivileged user.

    Args:
        task: The task, changed in place.
        settings: The cluster.
    """
    _with_amounts(task, settings.step)
    kubernetes.set_timeout(task, settings.step_seconds)
    kubernetes.set_security_context(
        task, run_as_user=settings.user, run_as_group=settings.user, run_as_non_root=True
    )
    task.set_retry(
        num_retries=settings.retries,
        backoff_duration=settings.backoff,
        backoff_factor=2,
        backoff_max_duration=settings.longest_backoff,
    )


def with_store(task: Task, settings: ClusterSettings) -> None:
    """Gives a task the S3 store: the Secret's keys become environment variables.

    Args:
        task: The task, changed in place.
        settings: The cluster.
    """
    kubernetes.use_secret_as_env(
        task, secret_name=settings.store_secret, secret_key_to_env={key: key for key in STORE_KEYS}
    )


def as_data(task: Task, settings: ClusterSettings) -> None:
    """Gives the data stage its keys, and a volume on which unfinished work outlives a pod.

    Args:
        task: The task, changed in place.
        settings: The cluster.
    """
    keys = {key: key for key in DATA_KEYS}
    kubernetes.use_secret_as_env(
        task, secret_name=settings.data_secret, secret_key_to_env=keys, optional=True
    )
    kubernetes.mount_pvc(task, pvc_name=settings.workspace_claim, mount_path=WORKSPACE)
    task.set_env_variable("FINIST_HOME", WORKSPACE)


def on_gpus(task: Task, count: int, settings: ClusterSettings) -> None:
    """Puts a task on the GPU nodes with so many GPUs and a large /dev/shm.

    Args:
        task: The task, changed in place.
        count: GPUs, at least one.
        settings: The cluster.

    Raises:
        ValueError: More GPUs than the pool has, so the task would wait for ever.
    """
    if not 1 <= count <= settings.gpus:
        raise ValueError(f"{count} GPUs for a task; the pool has {settings.gpus}")
    task.set_accelerator_type(settings.accelerator).set_accelerator_limit(count)
    for key, value in settings.node_selector.items():
        kubernetes.add_node_selector(task, label_key=key, label_value=value)
    for taint in settings.tolerations:
        kubernetes.add_toleration(task, key=taint.key, operator=taint.operator, effect=taint.effect)
    kubernetes.empty_dir_mount(
        task,
        volume_name="shared-memory",
        mount_path="/dev/shm",
        medium="Memory",
        size_limit=settings.shared_memory,
    )


def as_training(task: Task, settings: ClusterSettings) -> None:
    """Gives a task that trains the whole pool, days, and a place for its checkpoints.

    Args:
        task: The task, changed in place.
        settings: The cluster.
    """
    on_gpus(task, settings.gpus, settings)
    task.set_env_variable("FINIST_CHECKPOINTS", settings.checkpoints)
    task.set_env_variable("FINIST_HOME", TRAINING_HOME)
    _with_amounts(task, settings.training)
    kubernetes.set_timeout(task, settings.training_seconds)


def as_server(task: Task, settings: ClusterSettings) -> None:
    """Lets a task that starts a model server run each time: a server is no result to be cached.

    Args:
        task: The task, changed in place.
        settings: The cluster.
    """
    task.set_caching_options(False)
    kubernetes.set_timeout(task, settings.server_seconds)


def _with_amounts(task: Task, amounts: Amounts) -> None:
    task.set_cpu_request(amounts.cpu).set_cpu_limit(amounts.cpu)
    task.set_memory_request(amounts.memory).set_memory_limit(amounts.memory)
