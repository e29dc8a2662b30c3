"""Prompts are `.jinja` files with a version in their name; here they become text for a model."""

from functools import lru_cache
from pathlib import Path

import jinja2

from components.core.errors import BadInputError


@lru_cache(maxsize=8)
def _prompts(folder: Path) -> jinja2.Environment:
    return jinja2.Environment(  # plain text for a model, never HTML
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render_prompt(folder: Path, name: str, **values: object) -> str:
    """Renders a prompt.

    Args:
        folder: Where the prompts of a component lie.
        name: The file's name without `.jinja`, for example `teacher.v1`.
        values: What its placeholders stand for; each that it names must be given.

    Returns:
        Plain text without white space around it.

    Raises:
        BadInputError: There is no such prompt, or it names a value that was not given.
    """
    prompts = _prompts(folder)
    try:
        return prompts.get_template(f"{name}.jinja").render(values).strip()
    except jinja2.TemplateNotFound as error:
        known = ", ".join(each.removesuffix(".jinja") for each in prompts.list_templates())
        raise BadInputError(f"There is no prompt {name!r} in {folder}; it has: {known}.") from error
    except jinja2.TemplateError as error:
        raise BadInputError(
            f"The prompt {folder / name}.jinja cannot be rendered: {error}; mend the file."
        ) from error
