"""A config travels as Dockerfile instructions and comes out as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.build.changes import read_changes
from kist.client.changes import changes_of
from kist.errors import Unsupported
from kist.spec.image import ContainerConfig

WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f\x85"), max_size=12)
NAMES = st.text("abcXYZ_09", min_size=1, max_size=6).filter(lambda name: not name[0].isdigit())


@given(
    st.dictionaries(NAMES, WORDS, max_size=3),
    st.dictionaries(NAMES, WORDS, max_size=3),
    st.one_of(st.none(), st.lists(WORDS, min_size=1, max_size=3)),
    st.one_of(st.none(), st.lists(WORDS, min_size=1, max_size=3)),
)
def test_there_and_back(
    env: dict[str, str], labels: dict[str, str], cmd: list[str] | None, entrypoint: list[str] | None
) -> None:
    config = ContainerConfig(
        env=tuple(f"{name}={value}" for name, value in env.items()) or None,
        labels=labels or None,
        cmd=None if cmd is None else tuple(cmd),
        entrypoint=None if entrypoint is None else tuple(entrypoint),
        user="me:users",
        working_dir="/some/where",
        stop_signal="SIGINT",
        exposed_ports={"80/tcp": {}},
    )
    back = read_changes(changes_of(config))
    assert back.env == config.env
    assert (back.labels or None) == config.labels
    assert (back.cmd, back.entrypoint) == (config.cmd, config.entrypoint)
    assert (back.user, back.working_dir, back.stop_signal) == ("me:users", "/some/where", "SIGINT")
    assert back.exposed_ports == {"80/tcp": {}}


def test_an_empty_config_needs_no_instruction() -> None:
    assert changes_of(ContainerConfig()) == []


@pytest.mark.parametrize("config", [ContainerConfig(env=("A=b\nc",)), ContainerConfig(on_build=("RUN x",))])
def test_what_cannot_be_spelt_is_not_half_done(config: ContainerConfig) -> None:
    with pytest.raises(Unsupported):
        changes_of(config)
