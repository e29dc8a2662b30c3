"""One record becomes one dialogue, one question without an answer, or one quarantined row."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from components.core.facts import check_facts
from components.core.schemas import Dialogue, Fact, QuarantinedRow, Row, Turn, hashed_user_id
from components.prepare.sources.columns import normal_name
from components.prepare.sources.messages import ROLES, Message, messages, text_of
from components.prepare.sources.quarantine import RowError, quarantined
from components.prepare.sources.records import Record
from components.prepare.sources.required_facts import parsed_facts

SPLITS = {"обучение": "train", "тест": "test"}
"""What Russian tables may say."""

_AS_GIVEN = ("phrasing_family", "language", "licence")
_OURS = (*_AS_GIVEN, "schema_version", "start", "source", "provenance", "judge_score")
"""What a row that names its schema version, and so was written by Finist, keeps."""


class OpenQuestion(Row):
    """A question of an open source that has no answers: something for the teacher to answer."""

    question_id: str
    question: str
    intent: str
    source: str
    language: str
    licence: str
    provenance: str


@dataclass(frozen=True)
class RowRules:
    """How the records of one source become rows.

    Attributes:
        source: Kind and name, for example `own:copywriters`.
        licence: Of every row that does not say its own.
        language: Of every row that does not say its own, ISO 639-1.
        max_characters: Of one message.
        salt: Of the users' hash; a secret of the bank's.
        intents: Normal name (`normal_name`) -> id of the intents that count; None for any.
        labels: Names of integer intents.
        answerless: Rows are questions without answers.
        roles: How the roles of messages are called.
        role_key: Key of a message's role.
        content_key: Key of a message's text.
    """

    source: str
    licence: str
    language: str
    max_characters: int
    salt: str = ""
    intents: Mapping[str, str] | None = None
    labels: tuple[str, ...] = ()
    answerless: bool = False
    roles: Mapping[str, str] = field(default_factory=lambda: ROLES)
    role_key: str = "role"
    content_key: str = "content"


class TakenIds:
    """The dialogue ids of a run so far, over all its sources.

    They are kept as Python's 64-bit hashes, tens of megabytes for a million rows; two ids of a
    million share one with a probability of 3e-8.
    """

    def __init__(self) -> None:
        self._taken: set[int] = set()
        self._repeats: Counter[int] = Counter()

    def take(self, dialogue_id: str) -> bool:
        """Takes an id; False when it is taken already."""
        key = hash(dialogue_id)
        new = key not in self._taken
        self._taken.add(key)
        return new

    def derive(self, content: str) -> str:
        """Makes and takes an id for a row without one, the same for the same rows in this order.

        Args:
            content: All that tells the row from others; a repeated one gets another id.

        Returns:
            `dlg-` and 16 hexadecimal digits.
        """
        first = f"dlg-{_digest(content)}"
        if self.take(first):
            return first
        self._repeats[hash(first)] += 1
        again = f"dlg-{_digest(f'{self._repeats[hash(first)]} {content}')}"
        self.take(again)
        return again


def to_row(
    record: Record, rules: RowRules, taken: TakenIds
) -> Dialogue | OpenQuestion | QuarantinedRow:
    """Turns a record into a row.

    Args:
        record: By field: `question` and `answer`, or `turns`, and other fields of `Dialogue`.
        rules: Those of its source.
        taken: Ids so far; the row's own is added.

    Returns:
        A dialogue (or a question, where the source has no answers), or the quarantined record.
    """
    values = {name: value for name, value in record.values.items() if not _blank(value)}
    try:
        if rules.answerless:
            return _question(record, values, rules, taken)
        return _dialogue(record, values, rules, taken)
    except RowError as rejected:
        return quarantined(record.file, record.line, rejected, record.values)


def _blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _question(
    record: Record, values: dict[str, Any], rules: RowRules, taken: TakenIds
) -> OpenQuestion:
    question = text_of(values.get("question"), "question", rules.max_characters)
    intent = _intent(values, rules)
    return OpenQuestion(
        question_id=taken.derive(f"{rules.source}\0{question}\0{intent}"),
        question=question,
        intent=intent,
        source=rules.source,
        language=str(values.get("language", rules.language)),
        licence=rules.licence,
        provenance=_provenance(record),
    )


def _dialogue(record: Record, values: dict[str, Any], rules: RowRules, taken: TakenIds) -> Dialogue:
    said = _messages(values, rules)
    facts = _facts(values, said)
    ids = _ids(values, rules, said, taken)
    kept = _OURS if "schema_version" in values else _AS_GIVEN
    content = {
        "source": rules.source,
        "licence": rules.licence,
        "language": rules.language,
        "provenance": _provenance(record),
        "intent": _intent(values, rules),
        **{name: values[name] for name in kept if name in values},
        "product": _name(values, "product"),
        "split": _split(values),
        "turns": tuple(said),
        "facts": facts,
    }
    dialogue = _checked(content | ids)
    if "dialogue_id" in values and not taken.take(dialogue.dialogue_id):
        reason = (
            f"The id {dialogue.dialogue_id!r} was used by an earlier row; give each row its own, "
            "and write a dialogue of several messages as one row with `turns`."
        )
        raise RowError("duplicate-id", reason)
    return dialogue


def _checked(content: dict[str, Any]) -> Dialogue:
    try:
        return Dialogue.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RowError("wrong-value", f"{where}: {first['msg']}; mend this value.") from error


def _messages(values: dict[str, Any], rules: RowRules) -> list[Turn]:
    if "turns" in values:
        return messages(
            values["turns"],
            Message(rules.roles, rules.role_key, rules.content_key, rules.max_characters),
        )
    question, answer = (
        text_of(values.get(name), name, rules.max_characters) for name in ("question", "answer")
    )
    return [Turn(role="user", content=question), Turn(role="assistant", content=answer)]


def _facts(values: dict[str, Any], said: list[Turn]) -> tuple[Fact, ...]:
    if "facts" not in values:
        return ()
    facts = parsed_facts(values["facts"])
    missing = check_facts(facts, said[-1].content).missing
    if missing:
        reason = f"The answer does not say {missing[0].value!r} ({missing[0].name}); write it in."
        raise RowError("missing-fact", reason)
    return facts


def _intent(values: dict[str, Any], rules: RowRules) -> str:
    name = _name(values, "intent")
    if rules.labels and name.isdecimal():
        if int(name) >= len(rules.labels):
            reason = f"The label {name} is none of the {len(rules.labels)} of this source."
            raise RowError("wrong-value", f"{reason} Check the mapping's labels.")
        return rules.labels[int(name)]
    if rules.intents is None or not name:
        return name
    known = rules.intents.get(normal_name(name))
    if known is None:
        reason = f"The intent {name!r} is not in the bank's list; take its code from the brief."
        raise RowError("unknown-intent", reason)
    return known


def _name(values: dict[str, Any], name: str) -> str:
    return text_of(values[name], name, 200) if name in values else ""


def _split(values: dict[str, Any]) -> str:
    split = _name(values, "split")
    return SPLITS.get(split.casefold(), split) or "unassigned"


def _ids(
    values: dict[str, Any], rules: RowRules, said: list[Turn], taken: TakenIds
) -> dict[str, str]:
    """The ids as given, or ones that follow from the content; users only ever as a hash."""
    content = "\0".join((rules.source, *(turn.content for turn in said)))
    dialogue_id = _name(values, "dialogue_id") or taken.derive(content)
    user = _name(values, "user_id") or f"{rules.source}:{dialogue_id}"
    hashed = "schema_version" in values and user.startswith("usr-")
    digest = _digest(f"{dialogue_id}\0{content}")
    return {
        "dialogue_id": dialogue_id,
        "request_id": _name(values, "request_id") or f"req-{digest}",
        "response_id": _name(values, "response_id") or f"rsp-{digest}",
        "user_id": user if hashed else hashed_user_id(user, rules.salt),
    }


def _provenance(record: Record) -> str:
    return f"{record.file}:{record.line}"


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()[:16]
