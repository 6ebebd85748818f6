"""From a specification to a running process: plan, spawner, monitor, init, and what they say to each other (ring 1).

Two sides live here. The engine's side (``plan``, ``launch``, ``logreader``, ``seccomp``) may import ring 0. The
container's side (``spawner``, ``monitor``, ``process``, ``streams``, ``loop``, ``init``, ``operations``,
``diagnose``, ``logwriter``, ``messages``) imports only ``kist.kernel`` and the standard library: its pages are
shared by every monitor on the machine.
"""
