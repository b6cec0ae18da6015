"""Writing initramfs archives: the ``newc`` form of cpio (kernel: Documentation/driver-api/early-userspace)."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_ALIGNMENT = 4
_END = "TRAILER!!!"


class CpioWriter:
    """Writes members in the order given; owners are root and times are zero, so that equal input gives equal output."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._number = 0
        self._written = 0

    def add(self, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> None:
        """One member; ``mode`` with its type bits, ``data`` the octets of a file or the target of a link."""
        self._number += 1
        path = name.encode() + b"\0"
        numbers = (self._number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(path), 0)
        self._write(b"070701" + b"".join(b"%08X" % number for number in numbers) + path)
        self._pad()
        self._write(data)
        self._pad()

    def directory(self, name: str, mode: int = 0o755) -> None:
        """An empty directory; one that exists already is not touched when the kernel unpacks."""
        self.add(name, stat.S_IFDIR | mode)

    def tree(self, root: Path, below: str = "") -> None:
        """Everything under ``root``, as it is, put below a folder of the archive."""
        for path in _walk(root):
            name = os.path.join(below, path.relative_to(root).as_posix())
            info = path.lstat()
            if stat.S_ISLNK(info.st_mode):
                self.add(name, info.st_mode, os.readlink(path).encode())
            elif stat.S_ISREG(info.st_mode):
                self.add(name, info.st_mode, path.read_bytes())
            elif stat.S_ISDIR(info.st_mode):
                self.add(name, info.st_mode)

    def close(self) -> None:
        """Write the end mark. The file stays open."""
        self.add(_END, 0)

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._written += len(data)

    def _pad(self) -> None:
        self._write(b"\0" * (-self._written % _ALIGNMENT))


def _walk(root: Path) -> Iterator[Path]:
    for path in sorted(root.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)
