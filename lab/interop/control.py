"""A client of the engine's control socket that keeps its connection: a row of the matrix asks it hundreds of times."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from lab.net import LabError

ANSWER_S = 20.0


class Control:
    """One connection; see ``vpnengine.contract.control`` for the protocol."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(ANSWER_S)
        self._socket.connect(str(path))
        self._file = self._socket.makefile("rb")

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self._socket.close()

    def _line(self) -> dict[str, Any]:
        line = self._file.readline()
        if not line:
            raise LabError("the engine has closed the control connection")
        return dict(json.loads(line))

    def request(self, op: str, **fields: Any) -> Any:
        """One request and its result.

        :raises LabError: with the engine's problems.
        """
        self._socket.sendall(json.dumps({"id": 1, "op": op, **fields}).encode() + b"\n")
        answer = self._line()
        if answer.get("ok"):
            return answer.get("result")
        problems = "; ".join(f"{p['field']}: {p['message']}" for p in answer.get("problems", ()))
        raise LabError(f"the engine refuses {op}: {problems or answer.get('error')}")

    def events(self, after: int) -> list[dict[str, Any]]:
        """The journal after event ``after``."""
        self.request("events", after=after)
        found = []
        while not (line := self._line()).get("end"):
            found.append(line["event"])
        return found
