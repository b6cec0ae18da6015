"""``python -m tests.fuzz.run TARGET CORPUS [libFuzzer options]`` under atheris; see ``./culvert fuzz``."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["vpnengine", "tests.fuzz.targets"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Fuzz one target until libFuzzer's options say enough."""
    target = TARGETS[sys.argv.pop(1)]()
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
