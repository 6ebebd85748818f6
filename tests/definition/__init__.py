"""The Docker Engine API's own definition as the measure: of our routes, of every answer, and for the fuzzer.

``document`` reads it, ``schema`` compares JSON with it; ``coverage`` writes ``docs/reference/api-coverage.md``.
"""
