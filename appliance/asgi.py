"""The ASGI application: live streams as raw ASGI, everything else is Django."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "appliance.settings")

from django.core.asgi import get_asgi_application

_django = get_asgi_application()

from appliance.live import application as _live  # noqa: E402 - needs Django's apps to be loaded


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Dispatch by path. A Django streaming response would cost a thread per open stream."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "http" and scope["path"].startswith("/live/"):
        await _live(scope, receive, send)
    else:
        await _django(scope, receive, send)


async def _lifespan(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
