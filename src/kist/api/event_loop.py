"""The event loop that serves the API: ``run`` is asyncio's, of the faster loop where there is one (decision 0050)."""

try:
    from uvloop import run
except ImportError:  # no wheel for this machine
    from asyncio import run  # type: ignore[assignment] # the same, but for a parameter that nobody here uses

__all__ = ["run"]
