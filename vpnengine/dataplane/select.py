"""Choosing a data path by name or by what the host can do."""

from __future__ import annotations

import logging
from typing import Literal

from vpnengine.dataplane import native_path
from vpnengine.dataplane.base import DataPlane, DataPlaneError
from vpnengine.dataplane.fake import FakeDataPlane
from vpnengine.dataplane.native_path import NativeDataPlane
from vpnengine.dataplane.userspace import UserspaceDataPlane
from vpnengine.dataplane.xfrm import host as kernel
from vpnengine.dataplane.xfrm.dataplane import KernelDataPlane

log = logging.getLogger(__name__)

Kind = Literal["auto", "kernel", "native", "userspace", "python", "fake"]


def create(kind: Kind, device: str = "culvert0") -> DataPlane:
    """The data path of this kind; ``auto`` takes the best that the host can do.

    That is the kernel's IPsec if it has ESP, else native threads if they are built, else Python.

    :raises DataPlaneError: if the one that is named cannot be had.
    """
    passed_over: tuple[str, ...] = ()
    if kind == "fake":
        return FakeDataPlane()
    if kind in ("auto", "kernel"):
        problem = kernel.problem()
        if problem is None:
            return KernelDataPlane(device)
        if kind == "kernel":
            raise DataPlaneError(f"the kernel cannot carry the tunnels: {problem}; choose “auto”")
        passed_over = (f"the kernel's own IPsec is not used: {problem}",)
    if kind == "native":
        return _asked(NativeDataPlane(device), kind)
    if kind == "auto":
        dataplane: DataPlane
        if native_path.load() is not None:
            dataplane = NativeDataPlane(device)
        else:
            log.warning(native_path.UNAVAILABLE)
            dataplane = UserspaceDataPlane(device, (native_path.UNAVAILABLE,))
            passed_over += (native_path.UNAVAILABLE,)
        dataplane.passed_over = passed_over
        return dataplane
    return _asked(UserspaceDataPlane(device), kind)


def _asked(dataplane: DataPlane, kind: Kind) -> DataPlane:
    dataplane.passed_over = (f"the configuration asks for “{kind}”, so that nothing faster was looked for",)
    return dataplane
