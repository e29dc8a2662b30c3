"""Control digits against published examples."""

import pytest

from components.prepare.personal_data.checksums import account_key_is_valid, snils_is_valid


@pytest.mark.parametrize("digits", ["11223344595", "08765430300", "08765430200"])
def test_right_snils(digits: str) -> None:
    assert snils_is_valid(digits)


@pytest.mark.parametrize("digits", ["11223344596", "11111111111", "1122334459", ""])
def test_wrong_snils(digits: str) -> None:
    assert not snils_is_valid(digits)


def test_one_wrong_digit_breaks_an_accounts_key() -> None:
    account, bik = "40817810099910004312", "044525000"
    keys = [d for d in "0123456789" if account_key_is_valid(f"{account[:8]}{d}{account[9:]}", bik)]
    assert len(keys) == 1
    assert not account_key_is_valid(account[:19], bik)
