"""Loading a bank from its folder of YAML files."""

from pathlib import Path

from components.core.errors import CatalogueError
from components.prepare.catalogue import Bank, CategoryFile, Variation
from components.prepare.checks import check_bank
from components.prepare.yaml_source import load_yaml

BANK = Path(__file__).parent / "bank"
"""The built-in fictional bank."""

VARIATION_FILE = "variation.yaml"


def load_bank(directory: Path = BANK) -> Bank:
    """Loads a bank's catalogue and checks it as a whole.

    Args:
        directory: A folder of category files (`*.yaml`) and `variation.yaml`.

    Returns:
        The checked catalogue.

    Raises:
        CatalogueError: A file or the catalogue as a whole cannot be used; names file and line.
    """
    paths = sorted(directory.glob("*.yaml"))
    if directory / VARIATION_FILE not in paths or len(paths) == 1:
        raise CatalogueError(
            f"{directory} is no bank: it needs {VARIATION_FILE} and at least one category file."
        )
    files = [(path, load_yaml(path, CategoryFile)) for path in paths if path.name != VARIATION_FILE]
    bank = Bank(files=tuple(files), variation=load_yaml(directory / VARIATION_FILE, Variation))
    check_bank(bank)
    return bank
