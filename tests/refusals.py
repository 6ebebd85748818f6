"""What decoders of the kernel's messages say of bytes that are none."""

from collections.abc import Callable


def refusal(decode: Callable[[bytes], object], data: bytes) -> int | None:
    """The errno with which ``decode`` refuses the bytes; None where it takes them."""
    try:
        decode(data)
    except OSError as error:
        return error.errno
    return None
