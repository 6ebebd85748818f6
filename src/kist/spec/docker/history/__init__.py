"""How the Engine API was at its earlier versions, as tables.

The readers and writers of ``kist.spec.docker`` know the newest version alone. What a request of an older one asks for,
and what it is to be answered, is made of that here: ``answers`` (fields that came and went), ``bodies`` (what is read
of those that clients send), ``requests`` (parameters, paths, and what is done otherwise).

The source is the API's own history (api/docs/CHANGELOG.md of moby/moby) and its definition of each version from 1.25
on. What the history calls unversioned is the same for all.
"""
