"""Looks at the machine: each function returns a value of ``kist.doctor.facts``, and leaves nothing behind."""
