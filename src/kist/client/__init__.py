"""The engine's methods over its Unix socket.

The command line imports ``transport``, ``wire`` and ``start`` only; ``client`` has the typed methods and costs the
import of msgspec. So this package imports nothing by itself.
"""
