"""KFP face of the preparation: `prepare`."""

from kfp import dsl

from components.core.images import image


@dsl.component(base_image=image("base"), install_kfp_package=False)
def prepare(
    seed: int,
    train_rows: int,
    test_rows: int,
    train: dsl.Output[dsl.Dataset],
    test: dsl.Output[dsl.Dataset],
    data_card: dsl.Output[dsl.HTML],
) -> None:
    """Generates and splits the dialogues of the built-in fictional bank.

    Args:
        seed: The same seed gives the same bytes.
        train_rows: Dialogues for training.
        test_rows: Dialogues for the test, in phrasings that training never shows.
        train: JSON lines of Dialogue.
        test: JSON lines of Dialogue.
        data_card: What the two files hold.
    """
    from pathlib import Path

    from components.prepare.dataset import prepare_dataset

    paths = (Path(train.path), Path(test.path), Path(data_card.path))
    prepare_dataset(*paths, train_rows=train_rows, test_rows=test_rows, seed=seed)
    train.metadata["rows"], test.metadata["rows"] = train_rows, test_rows
