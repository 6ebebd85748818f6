"""The client of registries: the OCI distribution specification 1.1, with Docker's token authentication.

``client.py`` has what a registry is asked for (``blob.py`` reads, ``upload.py`` writes), ``exchange.py`` how: who asks
(``authorization.py``), once more, elsewhere; ``transport.py`` has the connections. What is decided without any is pure:
``hosts.py``, ``challenge.py``, ``failures.py``.
"""
