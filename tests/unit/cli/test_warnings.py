"""What an engine warns of is followed, once, by what to ask the doctor."""

import pytest

from kist.cli.context import Context
from kist.cli.warnings import tell

MEMORY = "Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded."
OTHER = "Published ports are discarded when using host network mode"


@pytest.mark.parametrize(
    ("warnings", "below"),
    [
        ([], []),
        ([OTHER], []),
        ([MEMORY, OTHER], ["`kist doctor cgroups` tells more"]),
        (["No swap limit support", "No pids limit support"], ["`kist doctor cgroups` tells more"]),
    ],
)
def test_limits_that_do_not_hold_name_the_code(
    warnings: list[str], below: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    tell(Context({"NO_COLOR": "1"}), warnings)
    assert capsys.readouterr().err.splitlines() == [*(f"warning: {each}" for each in warnings), *below]
