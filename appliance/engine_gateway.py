"""How the dashboard's tasks reach the engine of an appliance."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from vpnengine.daemon.client import ControlClient, EngineUnavailable


class LocalEngineGateway:
    """The engine on this machine, through its control socket."""

    Unavailable = EngineUnavailable

    def request(self, op: str, **fields: Any) -> Any:
        """One request.

        :raises Refused: with the engine's problems. :raises EngineUnavailable: if no engine answers.
        """
        with ControlClient(settings.CULVERT_CONTROL_SOCKET, timeout=20) as client:
            return client.request(op, **fields)
