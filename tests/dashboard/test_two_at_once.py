"""Two administrators who change one site at the same moment, on a real PostgreSQL: no change is compiled away.

SQLite lets one write at a time, so that nothing of this can happen there. The file runs itself again on a server.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from appliance.bench import postgres
from appliance.paths import ROOT
from dashboard.accounts import services as accounts
from dashboard.fleet import services as fleet
from dashboard.publish.models import Revision
from dashboard.sitevpn import services as vpn
from dashboard.sitevpn import words
from dashboard.sitevpn.models import LocalSubnet, Peer
from vpnengine.contract.problems import Refused

ON_POSTGRESQL = os.environ.get("DATABASE_URL", "").startswith("postgres")
SECRET = "a secret of enough length"
there = pytest.mark.skipif(not ON_POSTGRESQL, reason="this is the first pytest; the second one runs it")


@pytest.mark.skipif(ON_POSTGRESQL, reason="this is the second pytest")
@pytest.mark.timeout(300)
def test_on_postgresql() -> None:
    with postgres.private() as url:
        command = [sys.executable, "-m", "pytest", str(Path(__file__)), "-q", "-p", "no:cacheprovider"]
        environment = {**os.environ, "DATABASE_URL": url}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    passed = re.search(r"(\d+) passed", done.stdout)
    assert done.returncode == 0 and passed and int(passed[1]) == 3, done.stdout[-6_000:]


@pytest.fixture
def site(settings: Any, tmp_path: Any, transactional_db: None) -> Any:
    settings.CULVERT_KEYRING = tmp_path / "keyring.json"
    user = accounts.create_administrator(email="a@example.com", name="Ada", password="a-long-passphrase-7")
    made = fleet.create_organization(name="O", site_name="S", administrator_id=user.pk).site
    vpn.save_subnets(made.pk, [("10.1.0.0/24", "", True)], None)
    return made


def peer(site: Any, number: int) -> Peer:
    return Peer(site=site, name=f"P{number}", remote=f"192.0.2.{number}", remote_subnets=[f"10.{number}.0.0/24"])


def at_once(monkeypatch: Any, *jobs: Callable[[], Any]) -> list[BaseException]:
    """Run each in a thread; whoever has compiled waits for the others, as far as they come that far at all."""
    barrier, index, errors = threading.Barrier(len(jobs)), words.index, []

    def meet(site_id: int) -> None:
        # Broken: the others wait for this one to commit, as they should.
        with contextlib.suppress(threading.BrokenBarrierError):
            barrier.wait(timeout=2)
        index(site_id)

    def run(job: Callable[[], Any]) -> None:
        try:
            job()
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    monkeypatch.setattr(words, "index", meet)
    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return errors


def newest() -> dict[str, Any]:
    return dict(Revision.objects.order_by("-number")[0].document)


@there
def test_both_peers_are_in_the_newest_document(monkeypatch: Any, site: Any) -> None:
    jobs = [lambda n=n: vpn.save_peer(peer(site, n), secret=SECRET, author_id=None) for n in (2, 3)]
    assert at_once(monkeypatch, *jobs) == []
    assert sorted(row["name"] for row in newest()["peers"]) == ["P2", "P3"]


@there
def test_subnets_and_a_peer_at_once(monkeypatch: Any, site: Any) -> None:
    rows = [("10.1.0.0/24", "", True), ("10.1.1.0/24", "", True)]
    errors = at_once(
        monkeypatch,
        lambda: vpn.save_peer(peer(site, 2), secret=SECRET, author_id=None),
        lambda: vpn.save_subnets(site.pk, rows, None),
    )
    assert errors == [] and LocalSubnet.objects.count() == 2
    assert newest()["peers"][0]["local_subnets"] == ["10.1.0.0/24", "10.1.1.0/24"]


@there
def test_of_two_saves_of_one_peer_the_second_is_told(monkeypatch: Any, site: Any) -> None:
    saved = vpn.save_peer(peer(site, 2), secret=SECRET, author_id=None)
    mine, theirs, gone = (Peer.objects.get(pk=saved.pk) for _ in range(3))
    mine.name, theirs.name = "Mine", "Theirs"
    errors = at_once(
        monkeypatch,
        *(lambda row=row: vpn.save_peer(row, author_id=None, expected_edit=saved.edit) for row in (mine, theirs)),
    )
    assert [type(error) for error in errors] == [vpn.EditConflict]
    vpn.delete_peer(Peer.objects.get(), None)
    with pytest.raises(Refused, match="removed this peer"):
        vpn.save_peer(gone, author_id=None)
    assert not Peer.objects.exists() and newest()["peers"] == []
