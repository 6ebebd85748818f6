"""What the kernel's refusals mean to somebody who wants a network."""

import contextlib
import errno
from collections.abc import Iterator

from kist.errors import Forbidden, Unavailable, see_doctor


@contextlib.contextmanager
def explained(purpose: str) -> Iterator[None]:
    """Tell what could not be done, why, and what to do.

    Raises:
        Forbidden: no CAP_NET_ADMIN.
        Unavailable: the kernel refuses for another reason, or lacks what is needed.
    """
    try:
        yield
    except PermissionError as error:
        raise Forbidden(
            f"cannot {purpose}: {_reason(error)}",
            hint=see_doctor(
                "bridge", "bridge networks need CAP_NET_ADMIN (root); --network host and --network none do not"
            ),
        ) from error
    except OSError as error:
        full = error.errno == errno.EXFULL
        raise Unavailable(
            f"cannot {purpose}: {_reason(error)}",
            hint="a bridge has room for 1023 containers: stop some" if full else see_doctor("bridge"),
        ) from error


@contextlib.contextmanager
def explained_rules(bridge: str) -> Iterator[None]:
    """The same for packet rules; what only lacks permission passes through to ``explained``."""
    try:
        yield
    except PermissionError:
        raise
    except OSError as error:
        raise Unavailable(
            f"cannot set up the packet rules of {bridge}: {_reason(error)}",
            hint=see_doctor(
                "nftables",
                "the kernel must have nf_tables with NAT and connection tracking (modules nf_tables, nft_chain_nat, "
                "nft_masq, nft_ct); --network host and --network none work without",
            ),
        ) from error


def _reason(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
