"""The name server of a container, 127.0.0.11 in its network: its monitor answers, from files, with no engine.

``served`` is the light part that every monitor has; it begins the rest with the first question: ``message`` (the
form on the wire), ``registry`` (who is on the container's networks), ``upstreams`` and ``forward`` (whom to ask of all
else), ``answers`` (what is kept), ``resolve`` (a question to its answer) and ``server`` (UDP and TCP).
"""
