"""Choosing a data path by name or by what the host can do."""

from __future__ import annotations

import logging
from typing import Literal

from vpnengine.dataplane import native_path
from vpnengine.dataplane.base import DataPlane
from vpnengine.dataplane.fake import FakeDataPlane
from vpnengine.dataplane.native_path import NativeDataPlane
from vpnengine.dataplane.userspace import UserspaceDataPlane

log = logging.getLogger(__name__)

Kind = Literal["auto", "native", "userspace", "fake"]


def create(kind: Kind, device: str = "culvert0") -> DataPlane:
    """The data path of this kind; ``auto`` takes the best that the host can do.

    :raises DataPlaneError: if the one that is named cannot be had.
    """
    if kind == "fake":
        return FakeDataPlane()
    if kind == "native":
        return NativeDataPlane(device)
    if kind == "auto":
        if native_path.load() is not None:
            return NativeDataPlane(device)
        log.warning(native_path.UNAVAILABLE)
        return UserspaceDataPlane(device, (native_path.UNAVAILABLE,))
    return UserspaceDataPlane(device)
