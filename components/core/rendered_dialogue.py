"""A dialogue as the model reads it: training, calibration and held-out loss share these tokens."""

from collections.abc import Sequence
from typing import Any

from components.core.schemas import Turn


def render_dialogue(turns: Sequence[Turn], tokenizer: Any) -> tuple[list[int], list[int]]:
    """Renders messages with a model's own chat template.

    Args:
        turns: The messages.
        tokenizer: A Hugging Face tokenizer with its chat template.

    Returns:
        Token ids of all messages, and the places in them of the answers' tokens and end tokens; no
        places where the template does not mark answers with `{% generation %}`.
    """
    encoded = tokenizer.apply_chat_template(
        [turn.model_dump() for turn in turns],
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    answered = [place for place, is_answer in enumerate(encoded["assistant_masks"]) if is_answer]
    return encoded["input_ids"], answered
