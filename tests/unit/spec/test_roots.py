"""Whose directory an engine may be in."""

import pytest

from kist.spec.roots import fault_of_run_root


@pytest.mark.parametrize(
    ("owner", "mode", "uid", "told"),
    [
        (1000, 0o40700, 1000, ""),
        (0, 0o40755, 1000, ""),
        (0, 0o41777, 1000, ""),
        (1001, 0o40700, 1000, "another user"),
        (1000, 0o40777, 1000, "everybody"),
        (1001, 0o40777, 0, ""),
    ],
)
def test_a_run_root_is_the_users_own_or_roots(owner: int, mode: int, uid: int, told: str) -> None:
    found = fault_of_run_root(owner, mode, uid)
    assert told in found
    assert bool(told) == bool(found)
