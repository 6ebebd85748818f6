"""Which extended attributes (xattr(7)) go with a file that a build copies, as with BuildKit: those of the file itself.

These are its capabilities and what its users have set. Access control lists and labels are about the users and the
policy of the machine that the file comes from.
"""

_OF_THE_FILE = ("security.capability", "user.")
_OF_A_STORAGE = ("user.overlay.", "user.kist.")


def goes_along(name: str) -> bool:
    """Whether an attribute of this name is copied."""
    return name.startswith(_OF_THE_FILE) and not name.startswith(_OF_A_STORAGE)
