"""``--tls``, ``--tlsverify``, ``--tlscacert``, ``--tlscert`` and ``--tlskey``: how an engine on TCP is spoken to."""

from kist.client.endpoint import tls_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from kist.cli.option import Arguments
    from kist.client.endpoint import Tls


def tls_of(program: "Arguments", environment: "Mapping[str, str]", config: str) -> "Tls | None":
    """What the options say; None where neither they nor the environment ask for TLS, but name files at most.

    As in Docker's client: ``--tlsverify``, also with ``=false``, asks for TLS, and ``false`` trusts whoever answers.

    Args:
        program: the words before the verb.
        environment: for what the options leave open.
        config: the directory of Docker's client configuration.
    """
    said = "tlsverify" in program.values
    verify = program.flag("tlsverify") if said else bool(environment.get("DOCKER_TLS_VERIFY"))
    wanted = program.flag("tls") if "tls" in program.values else bool(environment.get("DOCKER_TLS"))
    if not said and not verify and not wanted:
        return None
    files = {
        name: program.text(f"tls{option}") for name, option in (("ca", "cacert"), ("cert", "cert"), ("key", "key"))
    }
    return tls_in(environment.get("DOCKER_CERT_PATH") or config, verify=verify, **files)
