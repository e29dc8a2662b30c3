from pathlib import Path

import pytest

from components.core.whole_files import whole_file, write_text


def test_an_error_leaves_the_earlier_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "page.html"
    write_text(path, "первая")
    with pytest.raises(ZeroDivisionError), whole_file(path) as partial:
        partial.write_text("half")
        raise ZeroDivisionError
    assert path.read_text("utf-8") == "первая"
    assert list(path.parent.iterdir()) == [path]
