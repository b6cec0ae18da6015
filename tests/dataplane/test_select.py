"""Which data path is taken, and what is said of those that are not."""

from __future__ import annotations

import pytest

from vpnengine.dataplane import native_path, select
from vpnengine.dataplane.native_path import NativeDataPlane
from vpnengine.dataplane.userspace import UserspaceDataPlane
from vpnengine.dataplane.xfrm.dataplane import KernelDataPlane


def test_python_comes_last_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select.kernel, "problem", lambda: "this kernel has no ESP for it (not supported)")
    monkeypatch.setattr(native_path, "load", lambda: None)
    chosen = select.create("auto")
    assert isinstance(chosen, UserspaceDataPlane)
    kernel, compiler = chosen.passed_over
    assert "ESP" in kernel and "Rust compiler" in compiler
    assert select.create("python").passed_over == (
        "the configuration asks for “python”, so that nothing faster was looked for",
    )


def test_native_comes_before_python(monkeypatch: pytest.MonkeyPatch) -> None:
    if native_path.load() is None:
        pytest.skip(native_path.UNAVAILABLE)
    monkeypatch.setattr(select.kernel, "problem", lambda: "no ESP")
    chosen = select.create("auto")
    assert isinstance(chosen, NativeDataPlane) and chosen.passed_over == ("the kernel's own IPsec is not used: no ESP",)


def test_the_kernel_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select.kernel, "problem", lambda: None)
    chosen = select.create("auto")
    assert isinstance(chosen, KernelDataPlane) and chosen.passed_over == ()
