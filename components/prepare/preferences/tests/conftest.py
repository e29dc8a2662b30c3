"""The built-in bank and a small corpus of it, made once."""

import pytest

from components.prepare.catalogue import Bank
from components.prepare.generate import Corpus, generate
from components.prepare.load import load_bank

TRAIN_ROWS = 1820  # five for each of the 364 intents and products
TEST_ROWS = 146  # two for each of the 73 intents


@pytest.fixture(scope="session")
def bank() -> Bank:
    return load_bank()


@pytest.fixture(scope="session")
def corpus(bank: Bank) -> Corpus:
    return generate(bank, train_rows=TRAIN_ROWS, test_rows=TEST_ROWS, seed=7)
