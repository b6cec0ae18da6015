"""What the kernel's data path alone can do for a peer, as a part of the form: an interface, a mark, hardware."""

from __future__ import annotations

import ipaddress
from typing import Any

import pydantic
from django import forms
from django.core.exceptions import ValidationError

from dashboard.sitevpn.lines import LinesField
from vpnengine.contract.kernel import Mark, RouteBased
from vpnengine.contract.problems import problems_of
from vpnengine.contract.types import subnet

KERNEL = (
    *("route_interface", "route_if_id", "route_addresses", "route_routes", "route_mtu"),
    *("mark_value", "mark_mask", "offload"),
)
_ROUTE = {
    "interface": "route_interface",
    "if_id": "route_if_id",
    "addresses": "route_addresses",
    "routes": "route_routes",
    "mtu": "route_mtu",
}
_MARK = {"value": "mark_value", "mask": "mark_mask"}
ALL_BITS = 0xFFFFFFFF


def _inside(line: str) -> str:
    try:
        return str(ipaddress.ip_interface(line))
    except ValueError:
        raise ValueError(f"“{line}” is not an address; write it like 10.255.0.1/30") from None


class WordField(forms.CharField):
    """A number of 32 bits, decimal or with 0x."""

    def clean(self, value: str) -> int | None:
        """Text becomes a number.

        :raises ValidationError: naming the bounds.
        """
        text = str(super().clean(value)).strip().lower()
        if not text:
            return None
        try:
            found = int(text, 0)
        except ValueError:
            found = 0
        if not 1 <= found <= ALL_BITS:
            raise ValidationError("Enter a number from 1 to 4294967295, or 0x1 to 0xffffffff.")
        return found


class KernelForm(forms.Form):
    """All of it empty is the usual: the tunnel is a policy of the kernel, or the native data path carries it."""

    route_interface = forms.CharField(
        label="Interface of its own",
        required=False,
        max_length=15,
        help_text="A route-based tunnel: whatever is routed to this interface, such as ipsec0, goes to the peer. Needs "
        "the kernel's data path; selectors are then usually 0.0.0.0/0.",
    )
    route_if_id = WordField(
        label="Interface id", required=False, max_length=10, help_text="A number that no other interface has."
    )
    route_addresses = LinesField(
        label="Addresses of the interface",
        read=_inside,
        show=str,
        most=16,
        help_text="One a line, with their prefix, like 10.255.0.1/30.",
    )
    route_routes = LinesField(
        label="Routes to the interface", read=subnet, show=str, most=1024, help_text="Subnets, one a line."
    )
    route_mtu = forms.IntegerField(
        label="MTU of the interface",
        required=False,
        min_value=1280,
        max_value=65_535,
        help_text="In octets; 1400 if left empty.",
    )
    mark_value = WordField(
        label="Mark",
        required=False,
        max_length=10,
        help_text="Only packets with this firewall mark are the peer's, whatever else has its addresses.",
    )
    mark_mask = WordField(
        label="Mask of the mark", required=False, max_length=10, help_text="All bits if left empty, 0xffffffff."
    )
    offload = forms.ChoiceField(
        label="Hardware offload",
        required=False,
        choices=[("off", "Off (recommended)"), ("auto", "Auto: the network card encrypts, if it can")],
        help_text="On the kernel's data path.",
    )

    @staticmethod
    def kernel_initial(kernel: dict[str, Any]) -> dict[str, Any]:
        """The fields' values for what is stored."""
        route, mark = kernel.get("route_based") or {}, kernel.get("mark") or {}
        found = {field: route.get(name, "") for name, field in _ROUTE.items()}
        found |= {field: hex(mark[name]) if name in mark else "" for name, field in _MARK.items()}
        return found | {"offload": kernel.get("offload", "off")}

    def kernel_of(self, data: dict[str, Any]) -> dict[str, Any]:
        """What was entered, as the ``kernel`` part of a ``PeerConfig``; errors are added to the fields."""
        found: dict[str, Any] = {}
        route = {name: data[field] for name, field in _ROUTE.items() if data.get(field)}
        if route:
            found["route_based"] = self._checked(RouteBased, route, _ROUTE)
        mark = {name: data[field] for name, field in _MARK.items() if data.get(field)}
        if mark:
            found["mark"] = self._checked(Mark, mark, _MARK)
        if data.get("offload") == "auto":
            found["offload"] = "auto"
        return found

    def _checked(self, kind: type[pydantic.BaseModel], values: dict[str, Any], fields: dict[str, str]) -> Any:
        """The values, which the engine's own rules are asked about."""
        try:
            kind.model_validate(values)
        except pydantic.ValidationError as error:
            for problem in problems_of(error):
                name = problem.field.split(".")[0]
                message = problem.message.removeprefix(f"{name}: ")
                if not name:
                    name, _colon, message = problem.message.partition(": ")
                field = fields.get(name, next(iter(fields.values())))
                if field not in self.errors:
                    words = "Enter this as well." if problem.rule == "missing" else message
                    self.add_error(field, words[:1].upper() + words[1:].rstrip(".") + ".")
        return values
