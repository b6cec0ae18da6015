"""``./culvert engine`` and ``./culvert ctl``: what they answer, what they refuse, and with which exit code."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from appliance.paths import ROOT

SECRET = "a-secret-that-nobody-prints"
PEER = {
    "id": "branch",
    "name": "Branch",
    "remote": "192.0.2.77",
    "local_address": "127.0.0.1",
    "psk": SECRET,
    "local_subnets": ["10.1.0.0/24"],
    "remote_subnets": ["10.2.0.0/24"],
    "start": "responder",
}


def ports() -> dict[str, int]:
    """Two UDP ports that nobody uses."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
    ):
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return {"ike_port": one.getsockname()[1], "natt_port": two.getsockname()[1]}


def document(*peers: dict[str, Any], listen: dict[str, int] | None = None, **more: Any) -> dict[str, Any]:
    """An EngineConfig that needs no root: no packets, no well-known ports."""
    return {"revision": 1, "dataplane": "fake", "listen": listen or ports(), "peers": list(peers), **more}


def run(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """One command, as the front door runs it."""
    command = [sys.executable, str(ROOT / "manage.py"), *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=30, check=False)


class Engine:
    """An engine in the foreground of its own process."""

    def __init__(self, directory: Path) -> None:
        self.listen = ports()
        self.control = directory / "control.sock"
        self._config = directory / "config.json"
        self._config.write_text(json.dumps(document(PEER, listen=self.listen)))
        self._log = directory / "engine.log"
        command = [sys.executable, str(ROOT / "manage.py"), "engine", "--config", str(self._config)]
        command += ["--control", str(self.control), "--bind", "127.0.0.1", "--events", str(directory / "events")]
        self.process = subprocess.Popen(command, stderr=self._log.open("wb"))
        deadline = time.monotonic() + 20
        while self.ctl("stats").returncode and time.monotonic() < deadline:
            assert self.process.poll() is None, self._log.read_text()
            time.sleep(0.05)

    def ctl(self, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        return run("ctl", "--control", str(self.control), *arguments, text=text)

    def apply(self, config: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        return self.ctl("apply", "-", text=json.dumps(config))

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(20)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(tmp_path_factory.mktemp("engine"))
    yield engine
    assert engine.stop() == 0 and not engine.control.exists()


def test_status_for_machines(engine: Engine) -> None:
    status = json.loads(engine.ctl("status", "--json").stdout)
    assert {"revision", "dataplane", "peers"} <= status.keys() and status["dataplane"] == "fake"
    peer = status["peers"][0]
    assert peer["name"] == "Branch" and peer["phase1"]["state"] == "down" and peer["sas"] == []
    assert "age_s" in peer["phase1"] and SECRET not in json.dumps(status)


def test_stats_name_the_data_path_and_go_on_with_rates(engine: Engine) -> None:
    done = engine.ctl("stats", "--json", "--watch", "0.2", "--count", "2")
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert first["dataplane"] == "fake" and first["sas"] == [] and "drops_per_s" not in first
    assert set(second["drops_per_s"]) == set(second["drops"]) and second["data_path"]["name"] == "fake"
    assert "data path: fake" in engine.ctl("stats").stdout
    assert engine.ctl("stats", "--watch", "0").returncode == 2


def test_every_verb_answers_people_and_machines(engine: Engine) -> None:
    for verb in (["status"], ["stats"], ["events"], ["terminate", "Branch"], ["rekey", "Branch", "--phase", "1"]):
        for form in ([], ["--json"]):
            done = engine.ctl(*verb, *form)
            assert done.returncode == 0 and not done.stderr, (verb, done.stderr)
            if form:
                for line in done.stdout.splitlines():
                    json.loads(line)
    explained = run("ctl", "explain", "ike.phase1.psk_suspect")
    assert explained.returncode == 0 and "Pre-shared secret" in explained.stdout


def test_the_schema_accepts_what_the_engine_accepts() -> None:
    schema = json.loads(run("ctl", "schema").stdout)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    assert not list(validator.iter_errors(document(PEER)))
    assert list(validator.iter_errors(document({**PEER, "no such field": 1})))
    assert list(validator.iter_errors(document({**PEER, "start": "sometimes"})))


REFUSED: list[tuple[list[dict[str, Any]], str, str]] = [
    ([{**PEER, "psk": "short"}], "peers.0.psk", "shorter than 8"),
    ([{**PEER, "psk": ""}], "peers.0.psk", "empty"),
    ([{**PEER, "remote_subnets": ["10.2.0.1/24"]}], "peers.0.remote_subnets.0", "10.2.0.0/24"),
    ([{**PEER, "remote_subnets": ["ten"]}], "peers.0.remote_subnets.0", "not a subnet"),
    ([{**PEER, "remote_subnets": ["10.1.0.128/25"]}], "peers.0.remote_subnets", "overlaps"),
    ([{**PEER, "remote": "no such host"}], "peers.0.remote", "neither an IP address"),
    ([PEER, {**PEER, "id": "b", "name": "BRANCH", "remote": "192.0.2.78"}], "peers.1.name", "unique"),
    ([PEER, {**PEER, "id": "b", "name": "B", "remote": "192.0.2.78"}], "peers.1.remote_subnets", "already goes to"),
    ([{**PEER, "remote": "127.0.0.1"}], "peers.0.remote", "appliance itself"),
    ([{**PEER, "start": "sometimes"}], "peers.0.start", "traffic"),
]


@pytest.mark.parametrize(("peers", "field", "sentence"), REFUSED, ids=[f"{r[1]}-{r[2][:12]}" for r in REFUSED])
def test_a_refusal_names_field_and_rule_everywhere(
    engine: Engine, tmp_path: Path, peers: list[dict[str, Any]], field: str, sentence: str
) -> None:
    config = document(*peers, listen=engine.listen, revision=9)
    done = engine.apply(config)
    assert done.returncode == 1 and not done.stdout
    assert field in done.stderr and sentence in done.stderr, done.stderr
    assert "short\n" not in done.stderr and SECRET not in done.stderr
    # Nothing is lost: the running configuration is what it was.
    status = json.loads(engine.ctl("status", "--json").stdout)
    assert status["revision"] == 1 and status["peers"][0]["id"] == "branch"
    # The engine by itself says the same when it starts.
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config | {"listen": ports()}))
    alone = run("engine", "--config", str(path), "--control", str(tmp_path / "c"), "--bind", "127.0.0.1")
    assert alone.returncode == 1 and field in alone.stderr and sentence in alone.stderr
    assert SECRET not in alone.stderr


def test_wrong_use_has_exit_code_2(engine: Engine) -> None:
    assert run("ctl").returncode == 2
    assert run("ctl", "frobnicate").returncode == 2
    assert engine.ctl("rekey", "Branch", "--phase", "3").returncode == 2
    assert run("engine").returncode == 2
    assert run("bench", "nothing").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["initiate", "Nobody"], "no peer is called “Nobody”"),
        (["initiate", "Branch", "--selector", "10.9.0.0/24,10.8.0.0/24"], "is no selector of this peer"),
        (["terminate", "Nobody"], "no peer is called"),
        (["apply", "/does/not/exist"], "No such file"),
        (["explain", "no.such.code"], "no event has the code"),
    ],
)
def test_refused_verbs_say_why(engine: Engine, arguments: list[str], sentence: str) -> None:
    done = engine.ctl(*arguments)
    assert done.returncode == 1 and sentence in done.stderr and "Traceback" not in done.stderr


def test_what_is_not_json_is_refused(engine: Engine, tmp_path: Path) -> None:
    done = engine.ctl("apply", "-", text="{")
    assert done.returncode == 1 and "not JSON" in done.stderr
    path = tmp_path / "config.json"
    path.write_text("{")
    alone = run("engine", "--config", str(path))
    assert alone.returncode == 1 and "cannot read the configuration" in alone.stderr


def test_no_engine_answers(tmp_path: Path) -> None:
    done = run("ctl", "--control", str(tmp_path / "nowhere.sock"), "status")
    assert done.returncode == 1 and "no engine answers" in done.stderr


def test_a_udp_port_in_use_is_named(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(document(PEER, listen=engine.listen)))
    done = run("engine", "--config", str(path), "--control", str(tmp_path / "c"), "--bind", "127.0.0.1")
    assert done.returncode == 1 and f"UDP port {engine.listen['ike_port']} is in use" in done.stderr


def test_two_engines_on_one_control_socket(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(document(PEER)))
    done = run("engine", "--config", str(path), "--control", str(engine.control), "--bind", "127.0.0.1")
    assert done.returncode == 1 and "another engine answers" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="drops privileges")
def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(document(PEER, dataplane="userspace")))
    command = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", sys.executable]
    command += [str(ROOT / "manage.py"), "engine", "--config", str(path), "--control", str(tmp_path / "c")]
    done = subprocess.run([*command, "--bind", "127.0.0.1"], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1 and "NET_ADMIN" in done.stderr and "Traceback" not in done.stderr


def test_events_are_written_to_the_file(engine: Engine) -> None:
    rows = [json.loads(line) for line in (engine.control.parent / "events").read_text().splitlines()]
    assert rows[0]["code"] == "engine.started" and [r["number"] for r in rows] == list(range(1, len(rows) + 1))
