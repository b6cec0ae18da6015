"""The rules of the house: who may import whom, and how long a file may be (docs/design.md)."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

MAX_LINES = 500
_ENGINE = "vpnengine."
# A room and the rooms of ours that it may import.
ROOMS: dict[str, tuple[str, ...]] = {
    "vpnengine.contract": (),
    "vpnengine.crypto": ("vpnengine.contract",),
    "vpnengine.isakmp": ("vpnengine.contract", "vpnengine.crypto"),
    "vpnengine.esp": ("vpnengine.contract", "vpnengine.crypto"),
    "vpnengine.ikev1": ("vpnengine.contract", "vpnengine.crypto", "vpnengine.isakmp", "vpnengine.esp"),
    "vpnengine.dataplane": (
        "vpnengine.contract",
        "vpnengine.crypto",
        "vpnengine.isakmp",
        "vpnengine.esp",
        "vpnengine.ikev1",
    ),
    "vpnengine.daemon": ("vpnengine",),
    "lab": ("vpnengine.contract",),
    "dashboard": ("vpnengine.contract", "box.contract", "box.archive"),
    "box.contract": ("vpnengine.contract",),
    "box": ("vpnengine.contract",),
}
_OURS = ("vpnengine", "dashboard", "appliance", "box", "lab", "tests")
_PURE = ("vpnengine.isakmp", "vpnengine.ikev1", "vpnengine.esp")
_IMPURE = {"socket", "asyncio", "threading", "time", "random", "os", "logging", "subprocess"}
# Secrets at rest, and what an administrator uploads, are the dashboard's; all else about cryptography is in one room.
_CRYPTOGRAPHY = ("vpnengine.crypto", "dashboard.core.keyring", "dashboard.sitevpn.certificates")


def import_breaches(root: Path) -> list[str]:
    """Every import that breaks a rule, as ``file: sentence``."""
    found = []
    for path in _python_files(root):
        module = ".".join(path.relative_to(root).with_suffix("").parts)
        for name in _imports(path.read_text(encoding="utf-8")):
            breach = breach_of(module, name)
            if breach:
                found.append(f"{path.relative_to(root)}: {breach}")
    return found


def breach_of(module: str, imported: str) -> str | None:
    """Why ``module`` may not import ``imported``; None if it may."""
    if _within(module, _PURE) and imported.split(".")[0] in _IMPURE:
        return f"imports {imported}; this room does no I/O and knows no clock"
    inside = module.startswith((_ENGINE, "dashboard"))
    if imported.split(".")[0] == "cryptography" and inside and not _within(module, _CRYPTOGRAPHY):
        return "imports cryptography, which only vpnengine.crypto, the keyring and the reader of certificates may"
    room = next((name for name in ROOMS if _within(module, (name,))), None)
    if room is None or not _within(imported, _OURS) or _within(imported, (room,)):
        return _between_apps(module, imported)
    return None if _within(imported, ROOMS[room]) else f"imports {imported}, which {room} may not"


def _between_apps(module: str, imported: str) -> str | None:
    """Dashboard apps call each other's services and selectors, not each other's models."""
    mine, theirs = module.split("."), imported.split(".")
    if mine[0] != "dashboard" or theirs[0] != "dashboard" or len(theirs) < 3 or mine[1] == theirs[1]:
        return None
    if theirs[2] in ("models", "forms", "views"):
        return f"imports {imported}; use {theirs[1]}'s services or selectors"
    return None


def _within(module: str, rooms: tuple[str, ...]) -> bool:
    return any(module == room or module.startswith(room + ".") for room in rooms)


def _imports(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _python_files(root: Path) -> Iterator[Path]:
    for room in ("vpnengine", "dashboard", "appliance", "box", "lab"):
        yield from sorted(p for p in (root / room).rglob("*.py") if "migrations" not in p.parts)


def large_files(root: Path) -> list[str]:
    """Our files with more than MAX_LINES lines."""
    # The clone may be another user's, as under sudo or in a container; that is no danger to a list of names.
    git = ["git", "-c", f"safe.directory={root}", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(
        [*git, "*.py", "*.js", "*.css", "*.html", "*.rs"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    found = []
    for name in listed:
        path = root / name
        if "/vendor/" in name or "/migrations/" in name or not path.exists():
            continue
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MAX_LINES:
            found.append(f"{name}: {lines} lines, at most {MAX_LINES} are wanted")
    return found
