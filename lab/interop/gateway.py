"""A strongSwan that is configured anew for each row, over vici and without being restarted."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from lab.interop.model import Settings
from lab.net import LabError, Namespace
from lab.strongswan import CHARON, StrongSwan
from lab.topology import Topology

# openssl goes first: charon takes the first plugin that offers an algorithm. des and ctr are what it lacks.
PLUGINS = (
    "random nonce openssl aes sha1 sha2 hmac md5 gcm ccm ctr gmp kdf pem pkcs1 pkcs8 x509 pubkey revocation "
    "constraints curve25519 kernel-libipsec kernel-netlink socket-default vici updown xauth-generic attr unity"
)
_CONF = """
charon {{
  load = {plugins}
  install_virtual_ip = yes
  install_virtual_ip_on = lo
  i_dont_care_about_security_and_use_aggressive_mode_psk = yes
  {settings}
  filelog {{ log {{ path = {directory}/charon.log
    default = 1
    ike = 2
    cfg = 2
    flush_line = yes }} }}
  plugins {{ vici {{ socket = unix://{directory}/vici }} }}
}}
"""
NAME = "site"
IMPATIENT = "retransmit_tries = 3\n  retransmit_timeout = 0.7\n  retransmit_base = 1.3"


class Gateway(StrongSwan):
    """charon with everything that IKEv1 knows; ``settings`` are further lines of strongswan.conf."""

    def __init__(
        self,
        namespace: Namespace,
        directory: Path,
        topology: Topology,
        settings: str = IMPATIENT,
        kernel: bool = False,
    ) -> None:
        super().__init__(namespace, directory, topology.connection())
        self.settings = settings
        self.kernel = kernel
        """Whether the kernel carries its packets, not charon itself."""
        self._vici: Any = None
        self._stack = contextlib.ExitStack()

    def start(self) -> None:
        """Start charon, with nothing loaded.

        :raises LabError: with the end of its log, if it does not answer.
        """
        if not Path(CHARON).exists():
            raise LabError("strongSwan is not installed (packages strongswan-charon and libcharon-extra-plugins)")
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "vici").unlink(missing_ok=True)
        plugins = PLUGINS.replace("kernel-libipsec ", "") if self.kernel else PLUGINS
        conf = _CONF.format(plugins=plugins, directory=self.directory, settings=self.settings)
        (self.directory / "strongswan.conf").write_text(conf)
        script = "mount -t tmpfs none /run; exec " + CHARON
        environment = f"STRONGSWAN_CONF={self.directory}/strongswan.conf"
        self._process = self.namespace.spawn(
            "unshare", "-m", "env", environment, "sh", "-c", script, log=self.directory / "charon.out"
        )
        (self.directory / "pid").write_text(str(self._process.pid))
        self._wait()
        self._vici = self._stack.enter_context(self.session())

    def kill(self) -> None:
        """End charon as a crash would."""
        self._stack.close()
        self._vici = None
        super().kill()

    def stop(self) -> None:
        """End charon in good order."""
        self._stack.close()
        self._vici = None
        super().stop()

    @property
    def vici(self) -> Any:
        """The session that is kept open."""
        return self._vici

    def version(self) -> str:
        """Such as ``strongSwan 5.9.8``."""
        version = f"strongSwan {self._vici.version()['version'].decode()}"
        return f"{version} (kernel)" if self.kernel else version

    def configure(self, connection: Settings, secrets: tuple[Settings, ...], pools: tuple[Settings, ...]) -> None:
        """Load one connection and its secrets.

        :raises LabError: with charon's words.
        """
        try:
            for secret in secrets:
                kind = secret.get("kind", "shared")
                fields = {key: value for key, value in secret.items() if key != "kind"}
                getattr(self._vici, f"load_{kind}")(fields)
            for pool in pools:
                self._vici.load_pool(dict(pool))
            self._vici.load_conn({NAME: dict(connection)})
        except Exception as error:
            raise LabError(f"charon does not take the configuration: {error}; {self.log_tail(3)}") from None

    def clear(self, pools: tuple[Settings, ...] = ()) -> None:
        """End every SA, and forget connections and secrets."""
        if self._vici is None:
            return
        for name in [conn.decode() for conn in self._vici.get_conns()["conns"]]:
            self._vici.unload_conn({"name": name})
        for sa in self.sas():
            with contextlib.suppress(Exception):
                for _ in self._vici.terminate({"ike-id": sa["uniqueid"], "force": "yes", "timeout": "-1"}):
                    pass
        self._vici.clear_creds()
        self._vici.flush_certs()
        for pool in pools:
            for name in pool:
                with contextlib.suppress(Exception):
                    self._vici.unload_pool({"name": name})
