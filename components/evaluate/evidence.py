"""Reads what other steps of the evaluation wrote as JSON."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from components.core.errors import SchemaError

EvidenceType = TypeVar("EvidenceType", bound=BaseModel)


def read_evidence(path: Path, model: type[EvidenceType]) -> EvidenceType:
    """Reads the JSON of a step.

    Args:
        path: The file.
        model: What it holds.

    Returns:
        Its content.

    Raises:
        SchemaError: It cannot be read, or holds something else.
    """
    try:
        return model.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise SchemaError(
            f"{path} holds no {model.__name__} ({str(error).splitlines()[0]}); run the step that "
            f"writes it again."
        ) from error
