"""The kernel's IPsec as a data path, in the guest: files of tests that run there, between two namespaces of it.

``inside_engine.py`` is the whole engine against strongSwan, the others have ``ip xfrm`` as the other end.
"""

from __future__ import annotations

import pytest

from tests.kernel.suites import Suites

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(1200)]
FILES = ("inside_path", "inside_apart", "inside_life", "inside_segments", "inside_engine")


@pytest.mark.parametrize("file", [pytest.param(name, marks=pytest.mark.inside(name)) for name in FILES])
def test_the_data_path(suites: Suites, file: str) -> None:
    suites.file(file)
