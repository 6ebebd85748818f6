"""The fuzzer of the Engine API: requests that schemathesis makes of the definition, to an engine in a room of its own.

``room`` is where it happens, ``world`` what there is; ``cases`` makes requests (``hints`` has values that could be
meant), ``sending`` sends them and judges the answers, ``run`` is all of it.
"""
