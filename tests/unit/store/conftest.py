from collections.abc import Iterator

import pytest

from kist.store import Store


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    with Store(str(tmp_path / "data")) as made:
        yield made
