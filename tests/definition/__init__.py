"""The Docker Engine API's own definition as the measure: of our routes, of every answer, and for the fuzzer.

``document`` reads it, ``schema`` compares JSON with it, and ``exchange`` a whole answer; ``deviations`` has what may be
otherwise. ``recorder`` and ``tap`` hear the tests' clients. ``coverage`` writes ``docs/reference/api-coverage.md``.
"""
