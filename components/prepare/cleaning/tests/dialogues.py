"""Small dialogues for this folder's tests."""

from components.core.schemas import Dialogue, Fact, Turn


def dialogue(*messages: str, facts: tuple[str, ...] = (), provenance: str = "") -> Dialogue:
    """A dialogue whose messages alternate, the user's first."""
    turns = tuple(
        Turn(role="assistant" if index % 2 else "user", content=text)
        for index, text in enumerate(messages)
    )
    return Dialogue(
        dialogue_id="d1", request_id="r1", response_id="s1", user_id="u1", turns=turns,
        intent="rate", facts=tuple(Fact(name=value, value=value) for value in facts),
        source="own:copywriters", licence="CC0-1.0", provenance=provenance,
    )  # fmt: skip
