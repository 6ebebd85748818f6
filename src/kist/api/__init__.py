"""The engine's HTTP face: the Docker Engine API's paths and, under ``/kist/``, Kist's own (ring 3).

``server`` listens and lives as long as the engine does; ``app`` takes one request from its path to its answer;
``routes`` has what each path does; ``hijack`` turns connections into streams, which ``session`` carries. Nothing is
imported here: an engine that was just started should listen soon.
"""
