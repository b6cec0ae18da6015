"""Booting the guest under QEMU and running commands in it."""

from __future__ import annotations

import base64
import contextlib
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from lab.guest import build, overlay
from lab.guest.channel import ALLOWANCE_S, Channel
from lab.net import COMMAND_S, LabError, Namespace

QEMU = "qemu-system-x86_64"
# Whoever boots a guest may be killed without a chance to end it. The kernel then does (PR_SET_PDEATHSIG), counting the
# end of the thread that called start() as well.
_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL")
BOOT_S = 200.0
"""Until the agent answers; about 8 s on two idle cores."""
# The time stamp counters of two emulated processors need not agree, so that time comes from the machine's timer.
_CLOCK = "clocksource=hpet tsc=unstable"
_APPEND = f"console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=1 net.ifnames=0 {_CLOCK}"


@dataclass(frozen=True)
class Nic:
    """A network card of the guest, ``eth0`` and so on in this order: a TAP device in the namespace of the guest."""

    tap: str
    mac: str = "52:54:00:00:00:01"


class Guest:
    """One booted guest. As a context it is booted when entered, and has certainly ended when left.

    ``namespace`` holds the TAP devices of ``nics``; without one the guest has no network card.
    """

    def __init__(self, namespace: Namespace | None = None, nics: Sequence[Nic] = (), memory_mb: int = 1024) -> None:
        self.namespace = namespace
        self.nics = tuple(nics)
        self.memory_mb = memory_mb
        self.kernel = ""
        self.booted_s = 0.0
        """How long it took from QEMU's start until the agent answered."""
        self._made: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None

    @property
    def _directory(self) -> Path:
        if self._made is None:
            raise LabError("the guest is not running")
        return self._made

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Boot it, and wait for the agent.

        :raises LabError: with the end of its console, if it does not come up.
        """
        made = build.base()
        if not shutil.which(QEMU):
            raise LabError(f"{QEMU} is not installed (./culvert test installs it)")
        self._made = Path(tempfile.mkdtemp(prefix="culvert-guest-"))
        try:
            self._boot(made)
        except BaseException:
            self.stop()
            raise

    def _boot(self, made: build.Base) -> None:
        initramfs = self._directory / "initramfs"
        with initramfs.open("wb") as output:
            subprocess.run(
                ["zstd", "-q", "-d", "-c", str(made.initramfs)], stdout=output, timeout=COMMAND_S, check=True
            )
        with initramfs.open("ab") as output:
            overlay.write(output)
        for nic in self.nics:
            self._tap(nic)
        began = time.monotonic()
        with (self._directory / "qemu.log").open("wb") as log:
            self._process = subprocess.Popen(
                self._command(made, initramfs),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._channel = Channel(self._directory / "agent")
        self._channel.connect(began + BOOT_S)
        try:
            answer = self._channel.request("ready", BOOT_S)
        except LabError as error:
            raise LabError(f"the guest did not come up: {error}; its console: {self.console(12)}") from None
        self.kernel = answer["kernel"]
        self.booted_s = time.monotonic() - began
        # It is unpacked, and 170 MB of /tmp are free again.
        initramfs.unlink()

    def _tap(self, nic: Nic) -> None:
        if self.namespace is None:
            raise LabError("a guest with network cards needs a namespace for their other ends")
        self.namespace.run("ip", "tuntap", "add", nic.tap, "mode", "tap")
        self.namespace.run("ip", "link", "set", nic.tap, "up")

    def _command(self, made: build.Base, initramfs: Path) -> list[str]:
        directory = self._directory
        prefix = self.namespace.exec_prefix() if self.namespace else []
        # KVM is not used even where it is: the guest behaves alike everywhere.
        command = [
            *(*_WITH_PARENT, *prefix, QEMU, "-nodefaults", "-no-user-config", "-no-reboot", "-nographic"),
            *("-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max"),
            *("-smp", "2", "-m", str(self.memory_mb), "-kernel", str(made.kernel), "-initrd", str(initramfs)),
            *("-append", _APPEND),
            *("-serial", f"file:{directory}/console", "-device", "virtio-rng-pci", "-device", "virtio-serial-pci"),
            *("-chardev", f"socket,id=agent,path={directory}/agent,server=on,wait=off"),
            *("-device", "virtserialport,chardev=agent,name=agent"),
        ]
        for number, nic in enumerate(self.nics):
            command += ["-netdev", f"tap,id=n{number},ifname={nic.tap},script=no,downscript=no"]
            command += ["-device", f"virtio-net-pci,netdev=n{number},mac={nic.mac},romfile="]
        return command

    def stop(self) -> None:
        """End it: politely, then by its process id. Idempotent."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            # Nothing in the guest is worth keeping, so it is not asked.
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)
            self._process.wait(30)
            self._process = None
        if self.namespace is not None:
            for nic in self.nics:
                self.namespace.run("ip", "link", "delete", nic.tap, check=False)
        if self._made is not None:
            shutil.rmtree(self._made, ignore_errors=True)
            self._made = None

    def console(self, lines: int = 30) -> str:
        """The last lines of its console, and of what QEMU said."""
        paths = (self._directory / "qemu.log", self._directory / "console")
        texts = [path.read_text(errors="replace") for path in paths if path.exists()]
        return "\n".join("\n".join(texts).splitlines()[-lines:])

    def run(
        self,
        *command: str,
        check: bool = True,
        timeout: float = COMMAND_S,
        text: str = "",
        env: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the guest, in ``/culvert``, as :func:`lab.net.run` does on the host; ``text`` is its input.

        :raises LabError: if it fails, with its own words, or does not end in ``timeout`` seconds.
        """
        fields = {"argv": command, "timeout": timeout, "input": base64.b64encode(text.encode()).decode()}
        answer = self._ask("run", timeout, **fields, env=env or {})
        out, err = (base64.b64decode(answer[name]).decode(errors="replace") for name in ("stdout", "stderr"))
        if answer["timed_out"]:
            raise LabError(
                f"{' '.join(command)} did not end in {timeout} s in the guest; it said: {(out + err)[-2000:]}"
            )
        if check and answer["code"]:
            raise LabError(f"{' '.join(command)} in the guest: {(err or out).strip()}")
        return subprocess.CompletedProcess(list(command), answer["code"], out, err)

    def shell(self, script: str, check: bool = True, timeout: float = COMMAND_S) -> str:
        """Run lines of shell, the first that fails ending it, and return what they print."""
        return self.run("sh", "-e", "-c", script, check=check, timeout=timeout).stdout

    def spawn(self, *command: str, log: str = "", env: dict[str, str] | None = None) -> int:
        """Start a command in a process group of its own, its output into a file of the guest; its process id."""
        return int(self._ask("spawn", COMMAND_S, argv=command, log=log, env=env or {})["pid"])

    def kill(self, pid: int, number: int = signal.SIGTERM, timeout: float = 10.0) -> bool:
        """Signal what was spawned; whether it has ended within ``timeout`` seconds."""
        return bool(self._ask("kill", timeout, pid=pid, signal=int(number), timeout=timeout)["ended"])

    def put(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Write a file of the guest."""
        self._ask("put", COMMAND_S, path=path, data=base64.b64encode(data).decode(), mode=mode)

    def get(self, path: str) -> bytes:
        """Read a file of the guest."""
        return base64.b64decode(self._ask("get", COMMAND_S, path=path)["data"])

    def _ask(self, op: str, seconds: float, **fields: object) -> dict[str, object]:
        if self._channel is None:
            raise LabError("the guest is not running")
        fields.setdefault("timeout", seconds)
        return self._channel.request(op, seconds + ALLOWANCE_S, **fields)
