"""What the tasks of a pipeline need in a Kubernetes cluster: GPUs, nodes, secrets, patience.

The laptop's runner ignores all of it, so a pipeline applies it through a `Place` only when it is
compiled for a cluster.
"""

from functools import partial

from kfp import dsl, kubernetes

from components.core.cluster import (
    DATA_KEYS,
    STORE_KEYS,
    TRAINING_HOME,
    WORKSPACE,
    Amounts,
    ClusterSettings,
)
from pipelines.build.place import Place, Task


def place(settings: ClusterSettings | None = None) -> Place:
    """Gives what tasks need in a cluster, for the pipelines to apply.

    Args:
        settings: The cluster; the a100x4 pool when None.
    """
    cluster = settings or ClusterSettings()
    return Place(
        run=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
        gpus=cluster.pool,
        every=partial(as_step, settings=cluster),
        store=partial(with_store, settings=cluster),
        fetch=from_hub,
        data=partial(with_keys, settings=cluster),
        train=partial(as_training, settings=cluster),
        quantize=partial(as_quantization, settings=cluster),
        server=partial(as_server, settings=cluster),
        outside=partial(with_keys, settings=cluster),
    )


def as_step(task: Task, settings: ClusterSettings) -> None:
    """Gives a task amounts, a time limit, retries with backoff, an unprivileged user, no hub.

    Args:
        task: The task, changed in place.
        settings: The cluster.
    """
    _with_amounts(task, settings.step)
    task.set_env_variable("HF_HUB_OFFLINE", "1")
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


def from_hub(task: Task) -> None:
    """Lets a task ask a model hub, which no other may.

    Args:
        task: The task, changed in place.
    """
    task.set_env_variable("HF_HUB_OFFLINE", "0")


def with_store(task: Task, settings: ClusterSettings) -> None:
    """Gives a task the S3 store: the Secret's keys become environment variables.

    Args:
        task: The task, changed in place.
        settings: The cluster.
    """
    kubernetes.use_secret_as_env(
        task, secret_name=settings.store_secret, secret_key_to_env={key: key for key in STORE_KEYS}
    )


def with_keys(task: Task, settings: ClusterSettings) -> None:
    """Gives a task the keys of outside models, and a volume on which paid replies outlive a pod.

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


def as_quantization(task: Task, settings: ClusterSettings) -> None:
    """Gives a task that quantizes one GPU, and memory for a whole model: layers take turns on it.

    Args:
        task: The task, changed in place.
        settings: The cluster.
    """
    on_gpus(task, 1, settings)
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
