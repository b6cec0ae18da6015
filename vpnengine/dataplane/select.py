"""Choosing a data path by name or by what the host can do."""

from __future__ import annotations

from typing import Literal

from vpnengine.dataplane.base import DataPlane
from vpnengine.dataplane.fake import FakeDataPlane
from vpnengine.dataplane.userspace import UserspaceDataPlane


def create(kind: Literal["auto", "userspace", "fake"], device: str = "culvert0") -> DataPlane:
    """The data path of this kind; ``auto`` takes the best that the host can do."""
    if kind == "fake":
        return FakeDataPlane()
    return UserspaceDataPlane(device)
