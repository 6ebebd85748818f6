"""What an ordinary user cannot have, as marks: ``@needs.CONTROL_GROUPS``; each says why a test is skipped then."""

import os

import pytest

CONTROL_GROUPS = pytest.mark.root("control groups are root's here")
IN_PROCESS = pytest.mark.root("an ordinary user's engine is another process")
DEVICES = pytest.mark.root("devices are root's")
OTHERS_FILES = pytest.mark.root("makes files of others")
ID_RANGES = pytest.mark.root("only root has ranges of ids to give away")
USERS = pytest.mark.ids("has other users than root in a container")
MOUNTS = pytest.mark.root("mounts something on the machine")
LONG = pytest.mark.skipif(not os.environ.get("KIST_LONG_TESTS"), reason="long: script/test-faults")
"""More of the same, for which the default suites have no time."""
