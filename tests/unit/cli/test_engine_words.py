"""Where ``kist engine`` is told to listen."""

import pytest

from kist.cli.commands.engine import COMMAND, listening
from kist.cli.context import Context
from kist.cli.parser import parse
from kist.cli.service_units import units
from kist.cli.usage import UsageError
from kist.spec.listening import DOCKER_SOCKET, Listening, TlsFiles


def asked(*words: str) -> Listening:
    return listening(Context({"HOME": "/h"}), parse(COMMAND, words))


def test_the_words_add_up() -> None:
    words = ["--docker-socket", "--group", "lab", "-H", "unix:///a", "--tcp", "b:1", "-H", "fd://", "--tls-ca", "/ca"]
    tls = TlsFiles("/ca", "/cert", "/key")
    assert asked(*words, "--tlscert", "/cert", "--tlskey=/key", "--tlsverify") == Listening(
        ("unix:///a", "fd://", "tcp://b:1"), DOCKER_SOCKET, "lab", tls
    )
    assert asked() == Listening()


def test_tls_cannot_be_made_half() -> None:
    with pytest.raises(UsageError, match="mutual TLS only"):
        asked("--tcp", "a:1", "--tlsverify=false")


def test_the_units_have_what_the_engine_needs() -> None:
    made = units('/opt/a b/50%/"kist"', "%t/kist", {"KIST_ROOT": "/srv/50%"}, root=True)
    assert "ListenStream=%t/kist/engine.sock\n" in made["kist.socket"]
    assert 'ExecStart="/opt/a b/50%%/\\"kist\\"" engine\nEnvironment="KIST_ROOT=/srv/50%%"\n' in made["kist.service"]
    assert "WantedBy=multi-user.target" in made["kist.service"]
    assert "WantedBy=default.target" in units("/kist", "/r", {}, root=False)["kist.service"]
