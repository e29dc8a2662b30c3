"""What the journal of a synthesis keeps of each reply that was paid for."""

from typing import Literal, TypeAlias

from components.core.journal import Entry

Role: TypeAlias = Literal["teacher", "judge"]


class Record(Entry):
    """One reply that was paid for."""

    role: Role
    estimated: bool = False
    """Whether the tokens are our estimate, for an endpoint that does not count them."""
