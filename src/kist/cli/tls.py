"""``--tls``, ``--tlsverify``, ``--tlscacert``, ``--tlscert`` and ``--tlskey``: how an engine on TCP is spoken to."""

from kist.client.endpoint import tls_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from kist.cli.option import Arguments
    from kist.client.endpoint import Tls


def tls_of(program: "Arguments", environment: "Mapping[str, str]", config: str) -> "Tls | None":
    """What the options say; None where they say that there is none, or name files and do not ask for TLS.

    Args:
        program: the words before the verb.
        environment: for what the options leave open.
        config: the directory of Docker's client configuration.
    """
    verify = program.flag("tlsverify") if "tlsverify" in program.values else bool(environment.get("DOCKER_TLS_VERIFY"))
    if not verify and not program.flag("tls"):
        return None
    files = {
        name: program.text(f"tls{option}") for name, option in (("ca", "cacert"), ("cert", "cert"), ("key", "key"))
    }
    return tls_in(environment.get("DOCKER_CERT_PATH") or config, verify=verify, **files)
