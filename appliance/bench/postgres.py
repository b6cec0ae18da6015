"""A private PostgreSQL on a unix socket, for tests and measurements: Debian's server, as a user without rights."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from appliance.bench.stack import BenchError

BINARIES = Path("/usr/lib/postgresql")
# Nothing here outlives a loss of power, and nothing needs to.
OPTIONS = ("fsync=off", "full_page_writes=off", "listen_addresses=", "autovacuum_naptime=10s", "jit=off")


def binaries() -> Path:
    """Where the newest server's programs are.

    :raises BenchError: if there is none.
    """
    found = sorted(BINARIES.glob("*/bin/initdb"), key=lambda path: int(path.parent.parent.name))
    if not found:
        raise BenchError("there is no PostgreSQL server; Debian's package is called postgresql")
    return found[-1].parent


class Cluster:
    """A server whose data stands in ``directory``: made at the first start, and found again at the next."""

    def __init__(self, directory: Path, *options: str) -> None:
        self._directory = directory
        self._options = (*OPTIONS, *options)
        self._binaries = binaries()
        self._socket = Path(tempfile.mkdtemp(prefix="culvert-pg-", dir="/tmp"))  # a socket's path is short
        owner = pwd.getpwnam("postgres") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self._owner = owner
        os.chown(self._socket, owner.pw_uid, owner.pw_gid)

    @property
    def url(self) -> str:
        """For DATABASE_URL."""
        return f"postgres://postgres@{str(self._socket).replace('/', '%2F')}/postgres"

    def _run(self, *command: str) -> None:
        user = (
            {"user": self._owner.pw_uid, "group": self._owner.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        )
        log = self._socket / "said"
        with log.open("ab") as out:
            done = subprocess.run(command, stdout=out, stderr=out, cwd=self._socket, check=False, **user)  # type: ignore[call-overload]
        if done.returncode:
            raise BenchError(f"PostgreSQL: {log.read_text()[-1000:]}")

    def start(self) -> None:
        """:raises BenchError: with what the server said."""
        data = self._directory / "data"
        if not (data / "PG_VERSION").exists():
            shutil.rmtree(data, ignore_errors=True)
            self._directory.mkdir(parents=True, exist_ok=True)
            data.mkdir(mode=0o700)
            os.chown(data, self._owner.pw_uid, self._owner.pw_gid)
            self._run(
                str(self._binaries / "initdb"), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync", str(data)
            )
        (data / "postmaster.pid").unlink(missing_ok=True)
        options = " ".join(f"-c {option}" for option in (*self._options, f"unix_socket_directories={self._socket}"))
        self._run(
            str(self._binaries / "pg_ctl"),
            "-D",
            str(data),
            "-w",
            "-t",
            "60",
            "-l",
            str(self._socket / "log"),
            "-o",
            options,
            "start",
        )

    def stop(self) -> None:
        """End the server."""
        with contextlib.suppress(BenchError):
            self._run(str(self._binaries / "pg_ctl"), "-D", str(self._directory / "data"), "-m", "fast", "-w", "stop")
        shutil.rmtree(self._socket, ignore_errors=True)


@contextlib.contextmanager
def private(directory: Path | None = None, *options: str) -> Iterator[str]:
    """The address of a server that lives as long as the block; without a directory its data goes with it."""
    made = None if directory else Path(tempfile.mkdtemp(prefix="culvert-pgdata-", dir="/var/tmp"))
    if made:
        made.chmod(0o711)
    cluster = Cluster(directory or made or Path(), *options)
    try:
        cluster.start()
        yield cluster.url
    finally:
        cluster.stop()
        if made:
            shutil.rmtree(made, ignore_errors=True)
