"""What becomes of dialogues: kept, mended, or left out with a reason."""

import pickle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.errors import RecipeError
from components.core.schemas import Dialogue
from components.prepare.cleaning.cleaner import Cleaner, Rejected, quarantined
from components.prepare.cleaning.measure import measure
from components.prepare.cleaning.settings import CleaningSettings
from components.prepare.cleaning.tests.dialogues import dialogue
from components.prepare.generate import generate
from components.prepare.load import load_bank

RATE = "По вкладу ставка 16% годовых."


def cleaned(*messages: str, facts: tuple[str, ...] = (), **changes: object) -> Dialogue | Rejected:
    cleaner = Cleaner(CleaningSettings.model_validate(changes))
    return cleaner.clean(dialogue(*messages, facts=facts))


def kept(*messages: str, facts: tuple[str, ...] = (), **changes: object) -> list[str]:
    got = cleaned(*messages, facts=facts, **changes)
    assert isinstance(got, Dialogue), got
    return [turn.content for turn in got.turns]


def kind(*messages: str, **changes: object) -> str:
    got = cleaned(*messages, facts=(), **changes)
    assert isinstance(got, Rejected), got
    return got.kind


def test_the_built_in_bank_is_kept_whole_and_untouched() -> None:
    corpus = generate(load_bank(), train_rows=10_000, test_rows=700, seed=0)
    cleaner = Cleaner()
    changed = [row for row in (*corpus.train, *corpus.test) if cleaner.clean(row) != row]
    assert changed == []


@pytest.mark.parametrize(
    ("broken", "mended"),
    [
        ("  Какая\u00a0ставка\t по  вкладу?\r\n", "Какая ставка по вкладу?"),
        ("Ка\u200bкая \ufeffста\u00adвка?\x07", "Какая ставка?"),
        ("Какая ставка по вкладу «Вои\u0306н»?", "Какая ставка по вкладу «Войн»?"),
        ("РљР°РєР°СЏ СЃС‚Р°РІРєР°?", "Какая ставка?"),
        ("Ставка по вкладу &laquo;Сокол&raquo; &lt; 5%?", "Ставка по вкладу «Сокол» < 5%?"),
        ("<p>Какая<br/>ставка</p><script>alert(1)</script>?", "Какая\nставка\n?"),
        ("Ставка <5% или >3%?", "Ставка <5% или >3%?"),
        ("<<b>b>Какая ставка?", "Какая ставка?"),
        ("Какая\n\n\n\nставка?", "Какая\n\nставка?"),
    ],
)  # fmt: skip
def test_characters_are_repaired(broken: str, mended: str) -> None:
    assert kept(broken, RATE) == [mended, RATE]


def test_a_clean_dialogue_is_handed_back_as_it_is() -> None:
    row = dialogue("Какая ставка?", RATE)
    assert Cleaner().clean(row) is row


PIECES = [
    *("<", ">", "<b>", "<br>", "<!--", "-->", "&lt;", "&amp;", "http://a.ru", "b.com/x", "www."),
    *("[", "](", ")", "(", ".", ": ", " ", "\n", "\u200b", "\u0308", "е", "вклад", "Р°", "@"),
]


@settings(max_examples=150, deadline=None)
@given(st.text(min_size=1, max_size=100) | st.lists(st.sampled_from(PIECES)).map("".join))
def test_cleaning_twice_changes_nothing(noise: str) -> None:
    once = cleaned(
        "Какая ставка по вкладу?", f"{RATE} Подробнее: {noise}.", statistical_filter=False
    )
    if isinstance(once, Dialogue):
        assert Cleaner(CleaningSettings(statistical_filter=False)).clean(once) == once


@pytest.mark.parametrize(
    ("text", "stripped"),
    [
        ("Подробнее на сайте https://spam.example/a?b=1.", "Подробнее на сайте."),
        ("Смотрите [тарифы](http://spam.example/tariffs) банка.", "Смотрите тарифы банка."),
        ("Пишите нам: t.me/spam (www.spam.ru) или в чат.", "Пишите нам: или в чат."),
        ("Пишите на info@bank.ru, ответим за день.", "Пишите на info@bank.ru, ответим за день."),
        ("Всё есть на finist.ru и m.finist.ru/app.", "Всё есть на finist.ru и m.finist.ru/app."),
        ("Ставка 16,5%.Срок 1.5 года, тариф.Базовый", "Ставка 16,5%.Срок 1.5 года, тариф.Базовый"),
    ],
)
def test_links_go_and_the_banks_own_stay(text: str, stripped: str) -> None:
    assert kept("Какая ставка?", text, own_domains=("finist.ru",))[1] == stripped


def test_a_sentence_that_cannot_do_without_its_link_goes_whole() -> None:
    answer = "Запросите выписку, подробнее на https://spam.example/a или в отделении."
    assert kind("Где выписка?", answer) == "link"
    assert kept("Где выписка?", answer, links="keep")[1] == answer
    assert kept("Где выписка?", answer, own_domains=("spam.example",))[1] == answer


def test_a_link_that_is_a_fact_stays() -> None:
    answer = "Скачайте приложение на bank.ru/app за минуту."
    assert kept("Где приложение?", answer, facts=("bank.ru/app",))[1] == answer
    assert kind("Где приложение?", answer) == "link"


def test_links_can_be_kept_or_be_a_reason() -> None:
    answer = "Смотрите на http://spam.example/page, там всё."
    assert kept("Где тарифы?", answer, links="keep")[1] == answer
    assert kind("Где тарифы?", answer, links="reject") == "link"


def test_words_repeated_without_spaces_are_a_repetition() -> None:
    assert kind("Искра»" * 12, "Обслуживание карты «Искра» стоит 59 рублей.") == "repetition"


def test_each_limit_has_its_reason() -> None:
    assert kind("Какая ставка? " * 200, RATE) == "too-long-question"
    assert kind("Какая ставка?", "слово " * 2_000) == "too-long-answer"
    assert kind("Какая ставка?", "x" * 1_000_000) == "too-long-answer"
    assert kind("Какая ставка?", "я") == "too-short-answer"
    assert kind(*["Какая ставка?", RATE] * 30) == "too-many-turns"
    assert kind("Какая ставка?", "<br>https://spam.example/") == "empty"


def test_languages_have_a_reason_each_and_are_noted_on_what_is_kept() -> None:
    bulgarian = ("Каква е лихвата по депозита за една година?", "Лихвата е три процента на година.")
    assert kind(*bulgarian) == "language-bg"
    assert kind("How do I open an account?", "Open it in the app, please.") == "language-en"
    assert kind("Как открыть счёт?", "Open the account in our application.") == "language-en"
    both = cleaned(*bulgarian, languages=("ru", "bg"), statistical_filter=False)
    assert isinstance(both, Dialogue)
    assert both.language == "bg"


def test_the_sources_word_counts_where_the_text_does_not_tell() -> None:
    row = dialogue("Visa?", "Visa, Mir.").model_copy(update={"language": "en"})
    got = Cleaner().clean(row)
    assert isinstance(got, Rejected)
    assert got.kind == "language-en"
    assert kept("Visa?", "Visa, Mir.") == ["Visa?", "Visa, Mir."]


def test_refusals_count_in_answers_only() -> None:
    question = "Вы языковая модель?"
    assert kept(question, "Я помощник банка, отвечаю на вопросы о картах.")[0] == question
    assert kind("Какая ставка?", "Как языковая\nмодель, я не знаю ставок.") == "refusal"
    assert kept("Какая ставка?", "Как языковая модель, я не знаю ставок.", refusals=False)


def test_masks_of_personal_data_are_no_leftovers() -> None:
    assert kept("Я [ИМЯ], карта [КАРТА]", "Спасибо, [ИМЯ]! Заявку приняли.")


def test_a_banks_own_phrases_replace_the_built_in(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("refusal: {попугай: [я попугай]}\nboilerplate: {}\ntemplate: {}\n", "utf-8")
    assert kind("Кто вы?", "Я попугай, говорю чужое.", phrases=own) == "refusal"
    assert kept("Кто вы?", "Как языковая модель, я отвечаю.", phrases=own)
    own.write_text("refusal: {попугай: ['(']}\nboilerplate: {}\ntemplate: {}\n", "utf-8")
    other = own.rename(own.with_name("broken.yaml"))
    with pytest.raises(RecipeError, match=r"broken\.yaml.*mend this phrase"):
        cleaned("Кто вы?", "Я попугай, говорю чужое.", phrases=other)


def test_the_quality_filter_can_be_switched_off() -> None:
    assert kind("фывапролдж", RATE) == "gibberish"
    assert kept("фывапролдж", RATE, statistical_filter=False)


def test_a_rejected_dialogue_says_where_it_came_from() -> None:
    row = dialogue("фывапролдж", "Чем помочь? " * 100, provenance="data/own.csv:17")
    got = Cleaner().clean(row)
    assert isinstance(got, Rejected)
    out = quarantined(row, got)
    assert (out.file, out.line, out.kind) == ("data/own.csv", 17, got.kind)
    assert out.row["dialogue_id"] == "d1"
    assert max(len(text) for _, text in out.row["turns"]) <= 500
    hub = quarantined(row.model_copy(update={"provenance": ""}), got)
    assert (hub.file, hub.line) == ("own:copywriters", 0)


def test_a_cleaner_travels_to_other_processes() -> None:
    cleaner = Cleaner(CleaningSettings(own_domains=("finist.ru",)))
    cleaner.clean(dialogue("Какая ставка?", RATE))
    assert pickle.loads(pickle.dumps(cleaner)) == cleaner


def test_labelled_dialogues_fare_as_the_readme_says() -> None:
    """Floors are a little under what was seen: 208 of 209 and 48 of 52 (README)."""
    tuned, heldout = measure("tuned", Cleaner()), measure("held-out", Cleaner())
    assert tuned["good"].right == tuned["good"].rows == 86
    assert heldout["good"].right >= heldout["good"].rows - 1 == 21
    assert sum(each.right for each in tuned.values()) >= 205
    assert sum(each.right for each in heldout.values()) >= 46
    assert sum(each.rows for each in (*tuned.values(), *heldout.values())) == 261
