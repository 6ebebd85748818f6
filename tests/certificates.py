"""A little authority of the tests' own, and certificates that it has signed, made with openssl as the guide shows."""

import shutil
import subprocess
from pathlib import Path

import pytest

# The commands of docs/guide/remote.md, which a test compares with these.
AUTHORITY = (
    (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650"
        ' -subj "/CN=Kist authority" -keyout ca-key.pem -out ca.pem'
    ),
)
SERVER = (
    (
        "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
        ' -subj "/CN=HOST" -addext subjectAltName=DNS:HOST,IP:ADDRESS -addext extendedKeyUsage=serverAuth'
        " -keyout server-key.pem -out server.csr"
    ),
    (
        "openssl x509 -req -in server.csr -CA ca.pem -CAkey ca-key.pem -days 825"
        " -copy_extensions copy -out server-cert.pem"
    ),
)
CLIENT = (
    (
        "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
        ' -subj "/CN=ada" -addext extendedKeyUsage=clientAuth -keyout key.pem -out client.csr'
    ),
    "openssl x509 -req -in client.csr -CA ca.pem -CAkey ca-key.pem -days 825 -copy_extensions copy -out cert.pem",
)


def make(directory: Path, host: str = "localhost") -> Path:
    """``ca.pem``, ``server-cert.pem`` and ``server-key.pem`` of a host that is here, ``cert.pem``, ``key.pem``."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl (Debian: openssl)")
    directory.mkdir(parents=True, exist_ok=True)
    for line in (*AUTHORITY, *SERVER, *CLIENT):
        command = line.replace("HOST", host).replace("ADDRESS", "127.0.0.1")
        subprocess.run(command, shell=True, cwd=directory, check=True, capture_output=True)
    return directory
