"""Where something is mounted in every container; an image may lack these places."""

DIRECTORIES = ("proc", "sys", "dev", "etc")
FILES = ("etc/hosts", "etc/hostname", "etc/resolv.conf")
