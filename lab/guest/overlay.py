"""The project's code as a small archive that is appended to the guest's initramfs at each boot."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import BinaryIO

from lab.guest.cpio import CpioWriter

ROOT = Path(__file__).resolve().parents[2]
WHERE = "culvert"
ROOMS = ("vpnengine", "lab", "tests", "appliance")
FILES = ("manage.py", "pyproject.toml")
# What the tests of the guest do not need, and which is large.
LEFT_OUT = ("__pycache__", "target", "node_modules", "data", "vectors", "browser", "dashboard", "native")


def write(output: BinaryIO) -> None:
    """Append the archive: ``/init``, and the code under ``/culvert``."""
    writer = CpioWriter(output)
    writer.add("init", stat.S_IFREG | 0o755, (Path(__file__).parent / "init").read_bytes())
    writer.directory(WHERE)
    for name in FILES:
        writer.add(f"{WHERE}/{name}", stat.S_IFREG | 0o644, (ROOT / name).read_bytes())
    for name in ROOMS:
        writer.directory(f"{WHERE}/{name}")
        _add(writer, ROOT / name)
    writer.close()


def _add(writer: CpioWriter, folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        name = f"{WHERE}/{path.relative_to(ROOT).as_posix()}"
        if path.name in LEFT_OUT or path.is_symlink():
            continue
        if path.is_dir():
            writer.directory(name)
            _add(writer, path)
        elif path.is_file():
            writer.add(name, stat.S_IFREG | 0o644, path.read_bytes())
