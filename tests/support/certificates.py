"""A certificate authority for the tests, based on the `openssl` command."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

OPENSSL = shutil.which("openssl")


def _openssl(directory: Path, *arguments: str) -> None:
    assert OPENSSL is not None
    subprocess.run([OPENSSL, *arguments], cwd=directory, check=True, capture_output=True)


class Authority:
    """A CA in `directory`: its certificate is `ca.pem`."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        self.directory = directory
        subject = ["-subj", "/CN=Test CA of " + directory.name]
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "ca.key"]
        _openssl(directory, "req", "-x509", *key, "-out", "ca.pem", "-days", "30", *subject)

    @property
    def certificate(self) -> Path:
        return self.directory / "ca.pem"

    def issue(self, name: str, *, host: str = "IP:127.0.0.1", expired: bool = False) -> tuple[Path, Path]:
        """A certificate for `host` and its key; with `expired`, its validity has ended."""
        directory = self.directory
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key"]
        _openssl(directory, "req", "-new", *key, "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (directory / f"{name}.ext").write_text(f"subjectAltName={host}\n")
        (directory / "index.txt").write_text("")
        (directory / "serial").write_text("01\n")
        (directory / "ca.cnf").write_text(
            "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\n"
            "policy=p\nunique_subject=no\n[p]\ncommonName=supplied\n"
        )
        dates = ["20200101000000Z", "20200201000000Z"] if expired else ["20200101000000Z", "20491231000000Z"]
        _openssl(
            directory, "ca", "-batch", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key",
            "-in", f"{name}.csr", "-out", f"{name}.pem", "-extfile", f"{name}.ext", "-notext",
            "-startdate", dates[0], "-enddate", dates[1],
        )  # fmt: skip
        return directory / f"{name}.pem", directory / f"{name}.key"
