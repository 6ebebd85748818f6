"""Docker Engine API JSON to values and back, without I/O (Engine API 1.24 to 1.56).

One module per noun. ``read_…`` makes values of what a client sent, ``write_…`` makes the JSON that a client expects.
The functions take and return plain JSON objects (dict, list, str, …): the caller encodes and decodes.
"""
