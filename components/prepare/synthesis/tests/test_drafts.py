"""Reading a teacher's reply: whatever stands around the JSON, and whatever is in it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.prepare.synthesis.drafts import Draft, cyrillic_share, parse_draft

WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=80).filter(str.strip)
AROUND = st.text(st.characters(codec="utf-8", exclude_characters="{}"), max_size=40)


@given(WORDS, WORDS, AROUND, AROUND, st.booleans(), st.sampled_from([None, 2]))
def test_any_two_texts_are_read_back(
    question: str, answer: str, before: str, after: str, ascii_only: bool, indent: int | None
) -> None:
    pair = {"question": question, "answer": answer}
    written = json.dumps(pair, ensure_ascii=ascii_only, indent=indent)
    assert parse_draft(before + written + after) == Draft(question.strip(), answer.strip())


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ('{"question": "а", "answer": "первый"} {"question": "б", "answer": "второй"}', "второй"),
        ('[{"question": "а", "answer": "в списке"}]', "в списке"),
        ('{"question": "а", "answer": "две\nстроки"}', "две\nстроки"),
        ('{"question": "а", "answer": "лишнее поле", "product": "Сокол"} {"a": 1}', "лишнее поле"),
    ],
)
def test_the_last_pair_counts(reply: str, answer: str) -> None:
    draft = parse_draft(reply)
    assert draft is not None
    assert draft.answer == answer


@pytest.mark.parametrize(
    ("text", "share"), [("Ставка 16,5%", 1), ("12 345", 0), ("ЁЖ bank", 1 / 3), ("їжак", 3 / 4)]
)
def test_the_share_of_russian_letters(text: str, share: float) -> None:
    assert cyrillic_share(text) == pytest.approx(share)
