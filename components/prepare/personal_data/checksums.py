"""Control digits of Russian numbers that python-stdnum does not have."""

SNILS_DIGITS = 11
ACCOUNT_WEIGHTS = (7, 1, 3)
ACCOUNT_DIGITS = 20


def snils_is_valid(digits: str) -> bool:
    """Tells whether the last two digits of a SNILS are its control number.

    The sum of the nine digits, each times its place from the right, modulo 101; 100 counts as 00
    (Pension Fund of Russia, decree 192p of 2014-07-31, annex: rules of the control number).

    Args:
        digits: Eleven digits.
    """
    if len(digits) != SNILS_DIGITS or len(set(digits)) == 1:
        return False
    total = sum(int(digit) * (9 - place) for place, digit in enumerate(digits[:9]))
    return total % 101 % 100 == int(digits[9:])


def account_key_is_valid(account: str, bik: str) -> bool:
    """Tells whether the control key of a client's account fits the bank's BIK.

    The last three digits of the BIK and the twenty of the account are weighted 7, 1, 3, 7, ...;
    the last digits of the products add up to a multiple of ten (Bank of Russia, order 515 of
    1997-09-08, calculation of the control key in the number of a personal account).

    Args:
        account: Twenty digits.
        bik: Nine digits.
    """
    if len(account) != ACCOUNT_DIGITS:
        return False
    digits = map(int, bik[-3:] + account)
    return sum(digit * ACCOUNT_WEIGHTS[i % 3] for i, digit in enumerate(digits)) % 10 == 0
