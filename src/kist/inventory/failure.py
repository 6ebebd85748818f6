"""Why a file tells of no packages."""


class Unreadable(Exception):
    """It cannot be read; the text is a word for people. Never leaves the package: readers' caller tells it."""
