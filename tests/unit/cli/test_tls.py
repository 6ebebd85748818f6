"""What the words before the verb say of TLS, as Docker's client takes them."""

from pathlib import Path

import pytest

from kist.cli.context import Context
from kist.cli.dispatch import PROGRAM
from kist.cli.parser import parse

HOST = ("-H", "tcp://lab:2376")
VERIFIED, ANYBODY, PLAIN = True, False, None


@pytest.mark.parametrize(
    ("words", "variables", "verifies"),
    [
        ((), (), PLAIN),
        (("--tls",), (), ANYBODY),
        (("--tlsverify",), (), VERIFIED),
        (("--tlsverify=false",), (), ANYBODY),
        (("--tls=false", "--tlsverify=false"), (), ANYBODY),
        (("--tls=false", "--tlsverify"), (), VERIFIED),
        (("--tls=false",), (), PLAIN),
        (("--tlscacert", "/ca"), (), PLAIN),
        ((), ("DOCKER_TLS",), ANYBODY),
        ((), ("DOCKER_TLS_VERIFY",), VERIFIED),
        (("--tls=false",), ("DOCKER_TLS",), PLAIN),
        (("--tls=false",), ("DOCKER_TLS_VERIFY",), VERIFIED),
        (("--tlsverify=false",), ("DOCKER_TLS_VERIFY",), ANYBODY),
        (("--tls",), ("DOCKER_TLS_VERIFY",), VERIFIED),
        (("--tlscacert", "/ca"), ("DOCKER_TLS",), ANYBODY),
    ],
)
def test_whether_there_is_tls_and_whom_it_trusts(
    tmp_path: Path, words: tuple[str, ...], variables: tuple[str, ...], verifies: bool | None
) -> None:
    context = Context({"HOME": str(tmp_path), **dict.fromkeys(variables, "1")})
    context.configure(parse(PROGRAM, [*words, *HOST]))
    tls = context.endpoint().tls
    assert (tls.verify if tls else PLAIN) is verifies
    if tls is not None:
        assert tls.ca == ("/ca" if "--tlscacert" in words else f"{tmp_path}/.docker/ca.pem")
