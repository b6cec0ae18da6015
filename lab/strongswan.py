"""A real strongSwan in a namespace: charon with ESP in userspace, driven over vici."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.net import PATIENCE, LabError, Namespace

CHARON = "/usr/lib/ipsec/charon"
START_S = 10.0 * PATIENCE
CREDENTIAL_FOLDERS = ("x509", "x509ca", "x509crl", "private")
# openssl goes before gcm and gmp: charon takes the first plugin that offers an algorithm.
PLUGINS = (
    "random nonce openssl aes sha1 sha2 hmac md5 gcm gmp kdf pem pkcs1 pkcs8 pubkey x509 revocation constraints "
    "curve25519 kernel-libipsec kernel-netlink socket-default vici updown xauth-generic"
)
_STRONGSWAN_CONF = """
charon {{
  load = {plugins}
  install_virtual_ip = no
  retransmit_tries = 4
  retransmit_timeout = 1.0
  i_dont_care_about_security_and_use_aggressive_mode_psk = yes
{options}
  filelog {{ log {{ path = {directory}/charon.log
    default = 1
    ike = {level}
    cfg = {cfg}
    enc = {enc}
    flush_line = {flush} }} }}
  plugins {{ vici {{ socket = unix://{directory}/vici }} }}
}}
"""


@dataclass
class Connection:
    """One IKEv1 connection of swanctl.conf, as the gateway's administrator would write it.

    ``auth`` is "psk" or "pubkey". ``credentials`` maps the files that swanctl reads, such as
    ``x509/gw.pem``, ``private/gw.pem``, ``x509ca/root.pem`` and ``x509crl/root.pem``, to their
    PEM; ``certificate`` names the one under x509 that the gateway proves itself with.
    """

    local_address: str
    remote_address: str
    secret: str
    local_subnets: list[str]
    remote_subnets: list[str]
    name: str = "site"
    local_id: str | None = None
    remote_id: str | None = None
    proposals: str = "aes256-sha256-modp2048"
    esp_proposals: str = "aes256gcm16-modp2048,aes256-sha256-modp2048"
    dpd_delay: str = "0s"
    dpd_timeout: str = "0s"
    rekey_time: str = "1h"
    reauth_time: str = "0s"
    version: int = 1
    auth: str = "psk"
    certificate: str | None = None
    credentials: dict[str, str] = field(default_factory=dict)
    extra_child: dict[str, str] = field(default_factory=dict)
    extra: dict[str, str] = field(default_factory=dict)
    further_rounds: str = ""
    """Sections of the connection after ``local`` and ``remote``, such as ``remote-xauth``."""
    further_sections: str = ""
    """Sections of the file after ``connections``, such as ``pools``."""
    further_secrets: str = ""
    """Further rows of ``secrets``."""

    def children(self) -> list[tuple[str, str, str]]:
        """(name, local subnet, remote subnet) of each child: one per pair of subnets."""
        return [
            (f"net{i}-{j}", mine, theirs)
            for i, mine in enumerate(self.local_subnets, 1)
            for j, theirs in enumerate(self.remote_subnets, 1)
        ]

    def render(self) -> str:
        """swanctl.conf."""
        children = "\n".join(self._child(*child) for child in self.children())
        local_id = f'id = "{self.local_id}"' if self.local_id else ""
        remote_id = f'id = "{self.remote_id}"' if self.remote_id else ""
        certificate = f"certs = {self.certificate}" if self.certificate else ""
        extra = "".join(f"\n    {key} = {value}" for key, value in self.extra.items())
        return f"""
connections {{
  {self.name} {{
    version = {self.version}
    local_addrs = {self.local_address}
    remote_addrs = {self.remote_address}
    proposals = {self.proposals}
    dpd_delay = {self.dpd_delay}
    dpd_timeout = {self.dpd_timeout}
    rekey_time = {self.reauth_time if self.version == 1 and self.reauth_time != "0s" else "4h"}
    encap = yes{extra}
    local {{ auth = {self.auth}
      {certificate}
      {local_id} }}
    remote {{ auth = {self.auth}
      {remote_id} }}
    {self.further_rounds}
    children {{
{children}
    }}
  }}
}}
{self.further_sections}
secrets {{ ike-site {{ secret = "{self.secret}" }} {self.further_secrets} }}
"""

    def _child(self, name: str, mine: str, theirs: str) -> str:
        extra = "".join(f"\n        {key} = {value}" for key, value in self.extra_child.items())
        return f"""      {name} {{
        local_ts = {mine}
        remote_ts = {theirs}
        esp_proposals = {self.esp_proposals}
        rekey_time = {self.rekey_time}{extra}
      }}"""


class StrongSwan:
    """One charon in one namespace, with a private /run."""

    def __init__(
        self,
        namespace: Namespace,
        directory: Path,
        connection: Connection,
        *,
        log_keys: bool = False,
        quiet: bool = False,
    ) -> None:
        self.namespace = namespace
        self.directory = directory
        self.connection = connection
        self.options: dict[str, str] = {}
        """Further settings of the section ``charon``, read at the next start."""
        self.plugins = PLUGINS
        self._log_keys = log_keys
        self._quiet = quiet
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of charon."""
        if self._process is None:
            raise LabError("charon does not run")
        return self._process.pid

    def start(self) -> None:
        """Start charon and load the connection.

        :raises LabError: with the end of its log, if it does not answer.
        """
        if not Path(CHARON).exists():
            raise LabError("strongSwan is not installed (packages strongswan-charon and strongswan-swanctl)")
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "vici").unlink(missing_ok=True)
        levels: dict[str, object] = {"level": 2, "enc": 1, "cfg": 2, "flush": "yes"}
        if self._log_keys:
            levels |= {"level": 4, "enc": 4}
        elif self._quiet:
            levels = {"level": 1, "enc": 1, "cfg": 1, "flush": "no"}
        options = "\n".join(f"  {key} = {value}" for key, value in self.options.items())
        conf = _STRONGSWAN_CONF.format(plugins=self.plugins, directory=self.directory, options=options, **levels)
        (self.directory / "strongswan.conf").write_text(conf)
        script = "mount -t tmpfs none /run; exec " + CHARON
        environment = f"STRONGSWAN_CONF={self.directory}/strongswan.conf"
        self._process = self.namespace.spawn(
            "unshare", "-m", "env", environment, "sh", "-c", script, log=self.directory / "charon.out"
        )
        (self.directory / "pid").write_text(str(self._process.pid))
        self._wait()
        self.load()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if (self.directory / "vici").exists():
                with contextlib.suppress(OSError), self.session() as session:
                    session.version()
                    return
            if self._process is not None and self._process.poll() is not None:
                break
            time.sleep(0.05)
        raise LabError(f"strongSwan did not start; the end of its log: {self.log_tail()}")

    def log_tail(self, lines: int = 15) -> str:
        """The last lines that charon has written."""
        texts = [p.read_text(errors="replace") for p in (self.directory / "charon.out", self.log_path) if p.exists()]
        return "\n".join("".join(texts).splitlines()[-lines:])

    @property
    def log_path(self) -> Path:
        """charon's log."""
        return self.directory / "charon.log"

    @contextlib.contextmanager
    def session(self) -> Any:
        """A vici session."""
        import vici

        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(60)
        sock.connect(str(self.directory / "vici"))
        try:
            yield vici.Session(sock)
        finally:
            sock.close()

    def load(self) -> None:
        """Load the present connection; what it no longer says is unloaded.

        :raises LabError: with swanctl's words.
        """
        path = self.directory / "swanctl.conf"
        path.write_text(self.connection.render())
        self._write_credentials()
        self.namespace.run(
            *("env", f"SWANCTL_DIR={self.directory}", "swanctl", "--load-all", "--clear"),
            *("--uri", f"unix://{self.directory}/vici", "-f", str(path)),
        )

    def _write_credentials(self) -> None:
        """The folders hold what the present connection says, and nothing else."""
        for folder in CREDENTIAL_FOLDERS:
            shutil.rmtree(self.directory / folder, ignore_errors=True)
        for name, pem in self.connection.credentials.items():
            target = self.directory / name
            target.parent.mkdir(mode=0o700, exist_ok=True)
            target.write_text(pem)

    def initiate(self, child: str, timeout_ms: int = 15_000) -> None:
        """Bring one child up.

        :raises LabError: with charon's words, if it fails.
        """
        with self.session() as session:
            try:
                for _ in session.initiate({"child": child, "ike": self.connection.name, "timeout": str(timeout_ms)}):
                    pass
            except Exception as error:
                raise LabError(f"charon: {error}; {self.log_tail(5)}") from None

    def command(self, verb: str, **fields: str) -> None:
        """A vici command such as ``terminate`` or ``rekey``."""
        with self.session() as session:
            result = getattr(session, verb)(fields)
            for _ in result if verb == "terminate" else ():
                pass

    def sas(self) -> list[dict[str, Any]]:
        """The ISAKMP SAs with their children, as charon lists them."""
        with self.session() as session:
            return [_decode(sa) for group in session.list_sas() for sa in group.values()]

    def children(self, state: str = "INSTALLED") -> list[dict[str, Any]]:
        """The IPsec SA pairs in a state."""
        found = [child for sa in self.sas() for child in sa.get("child-sas", {}).values()]
        return [child for child in found if child["state"] == state]

    def kill(self) -> None:
        """End charon as a crash would: its peers hear nothing."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """End charon in good order."""
        self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)
        self._process = None
        self.namespace.run("ip", "link", "delete", "ipsec0", check=False)


def installed() -> bool:
    """True if charon and swanctl are there."""
    return Path(CHARON).exists() and shutil.which("swanctl") is not None


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _decode(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_decode(v) for v in value]
    return value.decode() if isinstance(value, bytes) else value
