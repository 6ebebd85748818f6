"""One module per verb; each has ``COMMAND``, its description."""
