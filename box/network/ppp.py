"""Files of pppd for a WAN by PPPoE (RFC 2516). Pure."""

from __future__ import annotations

from box.contract.network import Wan


def files(wan: Wan) -> dict[str, str]:
    """File name → text; ``secrets`` holds the password, for root alone."""
    # RFC 2516, section 7: PPPoE takes 8 octets of a frame of 1500.
    mtu = wan.mtu - 8 if wan.mtu else 1492
    options = [
        "# Written by Culvert.",
        f"plugin pppoe.so {wan.interface}",
        "unit 0",
        f'user "{wan.pppoe_user}"',
        f"mtu {mtu}",
        f"mru {mtu}",
        "noauth",
        "defaultroute",
        "hide-password",
        "noipdefault",
        "persist",
        "maxfail 0",
        "holdoff 5",
        "lcp-echo-interval 10",
        "lcp-echo-failure 3",
        *([] if wan.dns else ["usepeerdns"]),
        *(["+ipv6"] if wan.ipv6_auto else []),
    ]
    password = wan.pppoe_password.get_secret_value()
    return {"wan": "\n".join(options) + "\n", "secrets": f'"{wan.pppoe_user}" * "{password}" *\n'}
