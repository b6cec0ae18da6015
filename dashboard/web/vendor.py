"""Brings the front-end files into ``static/vendor``: locked versions, checked hashes, no bundler.

Run it after changing a version: ``python dashboard/web/vendor.py``. What it writes is committed.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

VENDOR = Path(__file__).resolve().parent / "static" / "vendor"


@dataclass(frozen=True)
class Package:
    """One npm package: the files wanted of it, and where they go; icons (our name → theirs) go into one sprite."""

    name: str
    version: str
    sha256: str
    files: dict[str, str] = field(default_factory=dict)
    icons: dict[str, str] = field(default_factory=dict)


PACKAGES = (
    Package(
        "@tabler/core",
        "1.6.1",
        "d02d679e51f6c179b21f035e154c13cdcb2ae8b18579e56ea606408ba7fc7a87",
        {"dist/css/tabler.min.css": "tabler.min.css"},
    ),
    Package(
        "@tabler/icons",
        "3.52.0",
        "626620c7d42afd2f294fba167ce4653b5cb946336d186b4991c70b700e5616af",
        icons={
            "menu": "menu-2",
            "search": "search",
            "theme": "contrast",
            "account": "user-circle",
            "dot": "point",
            "overview": "topology-star-3",
            "status": "activity",
            "events": "list-details",
            "vpn": "shield-lock",
            "users": "users",
            "policies": "adjustments",
            "firewall": "wall",
            "history": "history",
            "tools": "tool",
            "capture": "radar",
            "secrets": "lock-password",
            "sites": "building",
            "administrators": "user-shield",
            "key": "key",
            "changes": "notes",
            "alerts": "bell",
            "export": "file-export",
            "settings": "settings",
            "api": "api",
            "support": "lifebuoy",
        },
    ),
    Package(
        "idiomorph",
        "0.7.4",
        "113bf6d2cbf8349c692e7e1f9c3db4c3d4d034d6adca19aeda5860b4c6bf34c1",
        {"dist/idiomorph.esm.js": "idiomorph.js"},
    ),
    Package(
        "uplot",
        "1.6.32",
        "4b8a8191e425658e3ea8c8c1314b0fc679c861ee3a1af2b20c7b16ba50b5133d",
        {"dist/uPlot.esm.js": "uplot.js", "dist/uPlot.min.css": "uplot.min.css"},
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
                if package.icons:
                    _sprite(tar, package.icons, VENDOR / "icons.svg")
    return 0


def _sprite(tar: tarfile.TarFile, icons: dict[str, str], target: Path) -> None:
    """One file with every icon as a symbol: a page asks for it once, and ``use`` draws in the colour of the text."""
    symbols = []
    for name, theirs in sorted(icons.items()):
        member = tar.extractfile(f"package/icons/outline/{theirs}.svg")
        if member is None:
            raise FileNotFoundError(theirs)
        parts = ElementTree.fromstring(member.read())  # noqa: S314 - its hash has been checked
        drawn = "".join(f'<path d="{part.get("d")}"/>' for part in parts if part.get("stroke") != "none")
        symbols.append(f'<symbol id="{name}" viewBox="0 0 24 24">{drawn}</symbol>')
    target.write_text('<svg xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(symbols) + "\n</svg>\n")


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
