"""The accounts of the page, in one file that only its owner reads: names, roles, and hashes of the passwords."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import argon2

from agent.core.durable_file import replace_file
from agent.core.errors import Permanent
from agent.core.roles import Role

# OWASP's minimum for argon2id: 19 MiB and two passes. More memory would cost the page, which has 120 MB, more than an
# attacker, and a login on a Jetson takes 60 ms as it is.
_HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)

MIN_PASSWORD_LENGTH = 8
MAX_PASSWORD_LENGTH = 256
MAX_NAME_LENGTH = 40

# One at a time: a hundred logins at once would need 2 GB.
_hashing = threading.Lock()


@dataclass(frozen=True, slots=True)
class Account:
    """One person."""

    name: str
    role: Role
    password_hash: str


def served_accounts(file: str) -> Accounts:
    """The accounts that a server reads: the credential of its service, where it has one, else this file."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    credential = None if directory is None else Path(directory) / "page-accounts"
    return Accounts(credential if credential is not None and credential.is_file() else Path(file))


class Accounts:
    """The file of the accounts. A change by `inspectd page user` is seen at the next look, without a restart."""

    def __init__(self, path: Path) -> None:
        """`path` need not exist yet: then there are no accounts."""
        self.path = path
        self._known: dict[str, Account] = {}
        self._version: tuple[int, int] | None = None
        self._unknown_hash = _HASHER.hash("nobody has this password")

    def all(self) -> Mapping[str, Account]:
        """Every account by name. Raises Permanent where the file is broken, or others may read it."""
        try:
            status = self.path.stat()
        except OSError:
            self._known, self._version = {}, None
            return self._known
        version = (status.st_mtime_ns, status.st_size)
        if version != self._version:
            if status.st_mode & 0o077 and "CREDENTIALS_DIRECTORY" not in os.environ:
                raise Permanent(f"{self.path}: others may read it; wanted mode 0600: chmod 600 {self.path}")
            self._known, self._version = _read(self.path), version
        return self._known

    def check(self, name: str, password: str) -> Account | None:
        """The account of this name if the password is right. Takes as long for an unknown name. Any thread may call."""
        account = self.all().get(name)
        expected = self._unknown_hash if account is None else account.password_hash
        with _hashing:
            try:
                _HASHER.verify(expected, password[:MAX_PASSWORD_LENGTH])
            except argon2.exceptions.VerifyMismatchError:
                return None
            except argon2.exceptions.Argon2Error:
                raise Permanent(f"{self.path}: the password of {name!a} cannot be read; add the user again") from None
        return account

    def set(self, name: str, role: Role, password: str) -> None:
        """Add an account, or replace the one of this name. Raises Permanent, with one line, for what cannot be."""
        check_name(name)
        if not MIN_PASSWORD_LENGTH <= len(password) <= MAX_PASSWORD_LENGTH:
            raise Permanent(
                f"password: got {len(password)} characters, wanted {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH}"
            )
        with _hashing:
            account = Account(name, role, _HASHER.hash(password))
        self._write({**self.all(), name: account})

    def remove(self, name: str) -> None:
        """Remove an account; its sessions end with it. Raises Permanent for an unknown name."""
        known = dict(self.all())
        if name not in known:
            others = f"wanted one of {', '.join(known)}" if known else "there are no accounts"
            raise Permanent(f"no account {name!a}; {others}")
        del known[name]
        self._write(known)

    def _write(self, accounts: Mapping[str, Account]) -> None:
        document = {each.name: {"role": each.role.text, "password": each.password_hash} for each in accounts.values()}
        text = json.dumps({"schema": "inspectd.page-accounts/1", "accounts": document}, indent=2)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self.path, f"{text}\n".encode())
        except OSError as error:
            raise Permanent(f"{self.path}: {error.strerror}; wanted a file that this user can write") from None
        self._version = None


def check_name(name: str) -> str:
    """The name of an account. Raises Permanent for one that a log line could not show."""
    fits = 0 < len(name) <= MAX_NAME_LENGTH and name == name.strip()
    if not fits or not all(letter.isalnum() or letter in "._- " for letter in name):
        raise Permanent(
            f"name: got {ascii(name)[:80]}, wanted up to {MAX_NAME_LENGTH} letters, digits, '.', '_', '-' or spaces"
        )
    return name


def _read(path: Path) -> dict[str, Account]:
    try:
        document = json.loads(path.read_text("utf-8"))
        found = document["accounts"]
        return {
            check_name(name): Account(name, Role.parse(entry["role"]), str(entry["password"]))
            for name, entry in found.items()
        }
    except OSError as error:
        raise Permanent(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Permanent(f"{path}: not a file of accounts; wanted one that `inspectd page user add` wrote") from None
