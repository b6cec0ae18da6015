"""Brings the front-end files into ``static/vendor``: locked versions, checked hashes, no bundler.

Run it after changing a version: ``python dashboard/web/vendor.py``. What it writes is committed.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

VENDOR = Path(__file__).resolve().parent / "static" / "vendor"


@dataclass(frozen=True)
class Package:
    """One npm package: the files wanted of it, and where they go."""

    name: str
    version: str
    sha256: str
    files: dict[str, str]


PACKAGES = (
    Package(
        "@tabler/core",
        "1.6.1",
        "d02d679e51f6c179b21f035e154c13cdcb2ae8b18579e56ea606408ba7fc7a87",
        {"dist/css/tabler.min.css": "tabler.min.css"},
    ),
)


def main() -> int:
    """Fetch, check and copy every package."""
    for package in PACKAGES:
        with tempfile.TemporaryDirectory() as directory:
            command = ["npm", "pack", "--silent", f"{package.name}@{package.version}", "--pack-destination", directory]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            archive = next(Path(directory).glob("*.tgz"))
            found = hashlib.sha256(archive.read_bytes()).hexdigest()
            if found != package.sha256:
                print(f"{package.name} {package.version}: sha256 is {found}, not {package.sha256}", file=sys.stderr)  # noqa: T201
                return 1
            with tarfile.open(archive) as tar:
                for source, target in package.files.items():
                    _copy(tar, f"package/{source}", VENDOR / target)
    return 0


def _copy(tar: tarfile.TarFile, source: str, target: Path) -> None:
    """Without source maps, and as a bundler would see the code in production."""
    member = tar.extractfile(source)
    if member is None:
        raise FileNotFoundError(source)
    lines = [line for line in member.read().decode().splitlines() if "sourceMappingURL" not in line]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\n".join(lines).replace("process.env.NODE_ENV", '"production"') + "\n")


if __name__ == "__main__":
    sys.exit(main())
