"""Build checks: rules that a Dockerfile is held against (https://docs.docker.com/reference/build-checks/, and ours).

``table.py`` lists the rules; each is a function of a ``Subject`` that tells what breaks it, in a room of its theme.
"""
