"""What a component imports is in the lock of its image."""

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

from components.core.images import SETS

ROOT = Path(__file__).resolve().parents[2]
SERVICE_SETS = {"gigachat": {"app"}, "assistant": {"app"}, "core": {"base"}}
MODULE_SETS = {
    "core/parquet.py": {"train", "evaluate"},  # imported only where there is pyarrow
    "publish/mirror.py": {"train"},  # runs where a hub can be reached, not in a step
    "prepare/personal_data/compare_presidio.py": {"dev"},  # a measurement, not a step
    "evaluate/judging/deepeval_scores.py": {"deepeval"},  # runs in an environment of its own
}
APART = {"torch"}  # installed by images/install_torch.sh
TYPES_ONLY = {"mypy-boto3-s3"}  # imported under TYPE_CHECKING
PURE_PYTHON = {"nvidia-ml-py"}  # asks the driver how much memory a GPU has left
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)", re.MULTILINE)


def normal(name: str) -> str:
    """The one spelling of a distribution's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(path: Path) -> dict[str, str]:
    """Distribution -> version, as a requirements file pins them."""
    return {normal(name): version for name, version in PIN.findall(path.read_text("utf-8"))}


def locked(dependency_set: str) -> set[str]:
    """Distributions of a set, over all its locks."""
    files = (ROOT / "images" / dependency_set).glob("requirements*.txt")
    return {name for file in files for name in pins(file)}


def image_sets(component: Path) -> set[str]:
    """Dependency sets of the images that a component's steps run in."""
    face = component / "component.py"
    named = re.findall(r'image\("(\w+)"\)', face.read_text("utf-8")) if face.exists() else []
    return set(named) or SERVICE_SETS[component.name]


def imported(path: Path) -> set[str]:
    """Distributions, not of the standard library and not ours, that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"components"}


def test_every_import_is_locked_for_its_image() -> None:
    distributions = packages_distributions()
    locks = {name: locked(name) for name in (*SETS, "dev", "deepeval")}
    missing = [
        f"{path.relative_to(ROOT)}: {name} is not in images/{used}"
        for component in (ROOT / "components").iterdir()
        if (component / "__init__.py").exists()
        for path in component.rglob("*.py")
        if "tests" not in path.parts
        for used in MODULE_SETS.get(str(path.relative_to(ROOT / "components")))
        or image_sets(component)
        for name in imported(path)
        if not {normal(each) for each in distributions.get(name, [name])}
        & (locks[used] | APART | TYPES_ONLY)
    ]
    assert missing == []


def test_sets_of_one_environment_agree() -> None:
    together = pins(ROOT / "images/constraints.txt")
    for name in ("base", "train", "evaluate", "app", "dev"):
        lock = pins(ROOT / f"images/{name}/requirements.txt")
        assert lock.items() <= together.items(), name
    beside = pins(ROOT / "images/train/requirements-deepspeed.txt")
    assert [
        name for name, version in beside.items() if together.get(name, version) != version
    ] == []


def test_locks_fit_their_requirements_and_carry_hashes() -> None:
    for wanted in sorted(ROOT.glob("images/*/requirements*.in")):
        lock = wanted.with_suffix(".txt")
        asked = {name: version for name, version in pins(wanted).items() if name not in APART}
        assert asked.items() <= pins(lock).items(), f"{wanted}: run `make lock`"
        content = lock.read_text("utf-8")
        assert content.count("--hash=sha256:") >= len(pins(lock)) > 0


def test_what_breaks_the_cpu_build_stays_out() -> None:
    for lock in ROOT.glob("images/*/requirements.txt"):
        names = pins(lock)
        assert not {"torch", "torchvision", "torchaudio", "torchcodec", "triton"} & set(names)
        assert not [
            name for name in names if name.startswith("nvidia-") and name not in PURE_PYTHON
        ]
