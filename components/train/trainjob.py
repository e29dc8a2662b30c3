"""A training run on several nodes: a TrainJob of Kubeflow Trainer (v2.2 or later), and its recipe.

Pure: nothing is read or sent. The job refers to the runtime `torch-distributed` that comes with
Kubeflow Trainer, which tells torchrun in each pod of the others. What runs is the command of a
laptop, with the same recipe.
"""

from collections.abc import Mapping
from typing import Any, Literal

import yaml

from components.core.cluster import STORE_KEYS, WORKSPACE, ClusterSettings
from components.core.errors import BadInputError
from components.core.images import image
from components.prepare.subset import Subset
from components.train.settings import TrainingSettings

API_VERSION = "trainer.kubeflow.org/v1alpha1"
RUNTIME = "torch-distributed"
POD = "node"
"""What the runtime calls its job of training pods, and the container in each."""
RECIPES = "/etc/finist"
Object = dict[str, Any]


def train_job(
    stage: Literal["sft", "orpo"],
    settings: TrainingSettings,
    files: Mapping[str, str],
    name: str = "finist-training",
    cluster: ClusterSettings | None = None,
    subset: Subset | None = None,
) -> list[Object]:
    """Builds what `kubectl apply` needs to train on `hardware.nodes` nodes.

    Args:
        stage: The command.
        settings: Its recipe; each node gets as many GPUs as it has processes.
        files: The command's other options (`base`, `train`, `test`, `out` ...): paths in the
            volume that all nodes share, which is mounted at `/workspace`.
        name: Of both objects.
        cluster: The cluster; the a100x4 pool's kind of nodes when None.
        subset: Which dialogues are trained on; all when None.

    Returns:
        A ConfigMap with the recipe, and the TrainJob.

    Raises:
        BadInputError: A path is not in the shared volume.
    """
    for option, path in files.items():
        if not path.startswith(f"{WORKSPACE}/"):
            raise BadInputError(
                f"--{option} {path}: give a path under {WORKSPACE}, the volume that all nodes "
                "share; nothing else is there in every pod."
            )
    recipes: dict[str, TrainingSettings | Subset] = {"recipe": settings}
    if subset:
        recipes["subset"] = subset
    options = {key: f"{RECIPES}/{key}.yaml" for key in recipes} | dict(files)
    facts = cluster or ClusterSettings()
    data = {f"{key}.yaml": _as_yaml(value) for key, value in recipes.items()}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _metadata(name), "data": data},
        {
            "apiVersion": API_VERSION,
            "kind": "TrainJob",
            "metadata": _metadata(name),
            "spec": {
                "activeDeadlineSeconds": facts.training_seconds,
                "runtimeRef": {"name": RUNTIME},
                "trainer": _trainer(stage, settings, options, facts),
                "runtimePatches": [_patch(name, facts)],
            },
        },
    ]


def as_yaml_stream(objects: list[Object]) -> str:
    """Writes objects for `kubectl apply -f -`."""
    text: str = yaml.safe_dump_all(objects, sort_keys=False, allow_unicode=True)
    return text


def _metadata(name: str) -> Object:
    return {"name": name, "labels": {"app.kubernetes.io/part-of": "finist"}}


def _as_yaml(settings: TrainingSettings | Subset) -> str:
    plain = settings.model_dump(mode="json", exclude_none=True)
    text: str = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
    return text


def _trainer(
    stage: str, settings: TrainingSettings, options: Mapping[str, str], facts: ClusterSettings
) -> Object:
    hardware, amounts = settings.hardware, facts.training
    resources = {
        "cpu": amounts.cpu,
        "memory": amounts.memory,
        facts.accelerator: str(hardware.processes),
    }
    return {
        "image": image("train"),
        "numNodes": hardware.nodes,
        "numProcPerNode": hardware.processes,
        "command": ["torchrun", "--module", "components.train", stage],
        "args": [f"--{option}={path}" for option, path in options.items()],
        "env": [
            {"name": "FINIST_HOME", "value": WORKSPACE},
            {"name": "FINIST_CHECKPOINTS", "value": facts.checkpoints},
            {"name": "DS_ACCELERATOR", "value": "cuda"},
            *(_from_secret(key, facts.store_secret) for key in STORE_KEYS),
        ],
        "resourcesPerNode": {"requests": resources, "limits": dict(resources)},
    }


def _from_secret(key: str, secret: str) -> Object:
    return {"name": key, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def _patch(name: str, facts: ClusterSettings) -> Object:
    """What a TrainJob has no field for: nodes, user and volumes of the runtime's pods."""
    pod = {
        "nodeSelector": dict(facts.node_selector),
        "tolerations": [vars(taint) for taint in facts.tolerations],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": facts.user,
            "runAsGroup": facts.user,
            "fsGroup": facts.user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": [
            {"name": "recipe", "configMap": {"name": name}},
            {
                "name": "workspace",
                "persistentVolumeClaim": {"claimName": facts.shared_claim},
            },
            {
                "name": "shared-memory",
                "emptyDir": {"medium": "Memory", "sizeLimit": facts.shared_memory},
            },
        ],
        "containers": [_container()],
    }
    job = {"name": POD, "template": {"spec": {"template": {"spec": pod}}}}
    spec = {"template": {"spec": {"replicatedJobs": [job]}}}
    return {"manager": "finist.ai/training", "trainingRuntimeSpec": spec}


def _container() -> Object:
    mounts = {"recipe": RECIPES, "workspace": WORKSPACE, "shared-memory": "/dev/shm"}
    return {
        "name": POD,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in mounts.items()],
    }
