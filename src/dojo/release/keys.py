"""Keys that sign: files that only their owner may read, or a token that never gives them away.

In: a path, or the address of a key in a PKCS#11 token. Out: a `Signer` of securesystemslib.
Idea: a key in a file that others may read is no longer a key, so it is refused rather than repaired. Nothing here
returns, prints or logs a private key; what can be shown is its public half.
Source of the modes: ssh(1), which refuses identity files that others can read, for the same reason.
Not here: who signs what (`repository.py`).
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Sequence
from getpass import getpass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner, HSMSigner, Key, Signer, SSlibKey

from dojo.errors import ReleaseError

TOKEN = "hsm:"
"""Addresses that begin so name a key in a token: `hsm:2?label=release`; see `HSMSigner`."""


def create_key(path: Path) -> Key:
    """The public half of a new Ed25519 key; the private half is in the file, mode 0600, the public beside it.

    Raises:
        ReleaseError: `key_exists`: a key is never written over.
    """
    signer = CryptoSigner.generate_ed25519()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ReleaseError("key_exists", f"expected no file at {path}, found one; choose another name") from error
    with os.fdopen(handle, "wb") as file:
        file.write(signer.private_bytes)
    write_public_key(public_path(path), signer.public_key)
    return signer.public_key


def public_path(path: Path) -> Path:
    """Where the public half of a key lies."""
    return path.with_name(path.name + ".pub.json")


def write_public_key(path: Path, key: Key) -> None:
    """What others need in order to check signatures; may be shown to anybody."""
    path.write_text(json.dumps({"keyid": key.keyid, **key.to_dict()}, indent=1, sort_keys=True) + "\n")


def read_public_key(path: Path) -> Key:
    """The key that `write_public_key` wrote.

    Raises:
        ReleaseError: `key_unreadable`.
    """
    try:
        values = json.loads(path.read_bytes())
        return Key.from_dict(values.pop("keyid"), values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReleaseError("key_unreadable", f"{path}: expected a public key, got none: {error}") from error


def ask_pin(_what: str) -> str:
    """The PIN of a token, from the terminal, where it is not shown."""
    return getpass("PIN of the token: ")


def load_key(address: str, pin: Callable[[str], str] = ask_pin) -> Signer:
    """The signer of a key file, or of a key in a token.

    Args:
        address: a path, or `hsm:ID?label=TOKEN`.
        pin: asked for the token's PIN when it signs.

    Raises:
        ReleaseError: `key_readable_by_others`, `key_unreadable`, or `token_missing`.
    """
    return _from_token(address, pin) if address.startswith(TOKEN) else _from_file(Path(address))


def load_keys(addresses: Sequence[str], pin: Callable[[str], str] = ask_pin) -> tuple[Signer, ...]:
    """One signer for each address."""
    return tuple(load_key(address, pin) for address in addresses)


def _from_file(path: Path) -> Signer:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        raise ReleaseError("key_unreadable", f"{path}: expected a key file, got none: {error.strerror}") from error
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(file.fileno())
        mode = stat.S_IMODE(status.st_mode)
        if mode & 0o077 or status.st_uid != os.geteuid():
            raise ReleaseError(
                "key_readable_by_others",
                f"{path}: expected a file of your own with mode 0600, got mode {mode:04o} of user {status.st_uid}; "
                "others may have read it: make a new key, and have the old one taken out of the repositories",
            )
        data = file.read()
    try:
        private = load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        private = None  # and no cause is kept: its message may quote what the file holds
    if not isinstance(private, Ed25519PrivateKey):
        raise ReleaseError("key_unreadable", f"{path}: expected a private Ed25519 key in PEM, got something else")
    return CryptoSigner(private)


def _from_token(address: str, pin: Callable[[str], str]) -> Signer:
    keyid, _, label = address.removeprefix(TOKEN).partition("?label=")
    try:
        _, public = HSMSigner.import_(int(keyid) if keyid else None, label or None, pin)
        assert isinstance(public, SSlibKey)
        return HSMSigner.from_priv_key_uri(address, public, pin)
    except Exception as error:  # each token and its driver fail in their own ways; all of them mean that nobody signs
        raise ReleaseError(
            "token_missing",
            f"{address}: expected a token with an EC key, got none: {error}; name the driver in PYKCS11LIB, and "
            "install python-pkcs11",
        ) from error
