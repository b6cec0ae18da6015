"""Networks are applied as a whole, and on trial: what nobody confirms in time is taken back.

Two documents are on disk: ``confirmed.json``, with which the appliance starts, and ``trial.json`` while one is on
trial. A start drops the trial, so that neither a power cut nor a crash keeps what has cut the administrator off.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from box.contract.network import Network, document_of, parse_network
from box.network.files import DNSMASQ, NETWORKD, PPP, compile_files
from box.network.system import CommandFailed, System
from vpnengine.contract.problems import Problem, Refused
from vpnengine.contract.types import subnet

MIN_TRIAL_S, MAX_TRIAL_S = 30, 900


@dataclass(frozen=True)
class Desired:
    """A document, and the subnets behind tunnels."""

    network: Network
    protected: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For a file that only root reads."""
        return {"network": document_of(self.network), "protected": list(self.protected)}


@dataclass(frozen=True)
class Trial:
    """What is on trial until ``deadline`` (monotonic seconds)."""

    ident: str
    deadline: float
    desired: Desired


class Applier:
    """``root`` is where the files go (``/``), ``state`` where documents are kept (mode 700)."""

    def __init__(
        self, root: Path, state: Path, system: System, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._root, self._state, self._system, self._monotonic = root, state, system, monotonic
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.confirmed: Desired | None = None
        self.trial: Trial | None = None
        self._vlans: set[str] = set()

    def start(self, default: Desired | None = None) -> None:
        """At boot: what was confirmed last, or the default of a new appliance.

        :raises Refused: if there is neither, or it cannot be used.
        """
        _remove(self._state / "trial.json")
        kept = self._read("confirmed.json") or default
        if kept is None:
            raise Refused([Problem(field="", rule="missing", message="no network was ever confirmed here")])
        self._install(kept)
        self._keep(kept)

    def apply(self, document: Any, protected: Iterable[str] = (), trial_s: float = 120) -> Trial | None:
        """Make a document true: on trial for ``trial_s`` seconds, or for good if that is 0.

        :raises Refused: naming fields if the document is wrong, without a field if a program refuses it. In both
            cases everything is as it was.
        """
        if trial_s and not MIN_TRIAL_S <= trial_s <= MAX_TRIAL_S:
            message = f"a trial lasts {MIN_TRIAL_S} to {MAX_TRIAL_S} seconds"
            raise Refused([Problem(field="trial_s", rule="range", message=message)])
        if self.trial:
            message = "another change is on trial; keep it or take it back first"
            raise Refused([Problem(field="", rule="trial", message=message)])
        desired = Desired(parse_network(document), _subnets(protected))
        on_trial = trial_s and self.confirmed is not None
        if on_trial:
            # On disk before anything happens: whoever finds the file knows that its changes are not confirmed.
            _write(self._state / "trial.json", json.dumps(desired.as_json()))
        try:
            self._install(desired)
        except CommandFailed as error:
            self._back()
            raise Refused([Problem(field="", rule="activate", message=f"{error}; everything is as it was")]) from None
        if not on_trial:
            self._keep(desired)
            return None
        self.trial = Trial(secrets.token_hex(8), self._monotonic() + trial_s, desired)
        return self.trial

    def confirm(self, ident: str) -> None:
        """Keep what is on trial.

        :raises Refused: if another one is, or none any more.
        """
        if self.trial is None or self.trial.ident != ident:
            message = "this change is not on trial any more; it was taken back, or kept by somebody else"
            raise Refused([Problem(field="trial", rule="gone", message=message)])
        self._keep(self.trial.desired)
        self.trial = None

    def revert(self) -> bool:
        """Take back what is on trial; whether there was something."""
        if self.trial is None:
            return False
        self.trial = None
        self._back()
        return True

    def tick(self) -> bool:
        """Take back what has not been confirmed in time; whether that happened."""
        return self.trial is not None and self._monotonic() >= self.trial.deadline and self.revert()

    @property
    def left_s(self) -> float:
        """Seconds until the trial ends; 0 without one."""
        return max(0.0, self.trial.deadline - self._monotonic()) if self.trial else 0.0

    def _back(self) -> None:
        _remove(self._state / "trial.json")
        if self.confirmed:
            self._install(self.confirmed)

    def _keep(self, desired: Desired) -> None:
        _write(self._state / "confirmed.json", json.dumps(desired.as_json()))
        _remove(self._state / "trial.json")
        self.confirmed = desired

    def _read(self, name: str) -> Desired | None:
        try:
            kept = json.loads((self._state / name).read_text(encoding="utf-8"))
            return Desired(parse_network(kept["network"]), tuple(kept["protected"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            # Set aside rather than lost; the default is used, which a console can reach.
            (self._state / name).replace(self._state / f"{name}.unusable")
            reason = "; ".join(p.message for p in error.problems) if isinstance(error, Refused) else "it is not whole"
            print(f"culvert: {name} was set aside: {reason}", flush=True)  # noqa: T201
            return None

    def _install(self, desired: Desired) -> None:
        files = compile_files(desired.network, desired.protected)
        staged = self._root / "run/culvert/staged"
        shutil.rmtree(staged, ignore_errors=True)
        try:
            for name, file in files.items():
                _write(staged / name, file.text, file.mode)
            self._system.check(staged)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        for path in self._ours():
            if str(path.relative_to(self._root)) not in files:
                path.unlink()
        for name, file in files.items():
            _write(self._root / name, file.text, file.mode)
        vlans = {device for field, device, _ in desired.network.inside() if field != "lan"}
        gone, self._vlans = sorted(self._vlans - vlans), vlans
        self._system.activate(self._root, desired.network, gone)

    def _ours(self) -> list[Path]:
        found = [*(self._root / NETWORKD).glob("[12]0-culvert-*"), *(self._root / PPP).glob("*")]
        return [path for path in (*found, self._root / DNSMASQ) if path.exists()]


def _subnets(texts: Iterable[Any]) -> tuple[str, ...]:
    found = []
    for number, text in enumerate(texts):
        try:
            found.append(subnet(str(text)))
        except ValueError as error:
            raise Refused([Problem(field=f"protected.{number}", rule="subnet", message=str(error))]) from None
    return tuple(found)


def _write(path: Path, text: str, mode: int = 0o600) -> None:
    """All of it or nothing, also when the power is cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
