"""Where the machine's programs are."""

import shutil
from collections.abc import Mapping

# Where distributions put them: a batch job's PATH may be shorter.
PLACES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def find(name: str, environment: Mapping[str, str]) -> str | None:
    """The path of a program; None when it is not installed.

    Args:
        name: of it.
        environment: whose PATH comes before the usual places.
    """
    return shutil.which(name, path=f"{environment.get('PATH', '')}:{PLACES}")
