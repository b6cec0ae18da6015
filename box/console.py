"""The menu on screen and serial line (urwid: it draws with plain escape sequences, and needs no mouse and no colour).

A serial line does not know its size: 80 by 24 is taken then. What can do harm is asked twice.
"""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import urwid

from box import facts as look
from box.diagnosis import diagnose
from box.network.service import SOCKET, ask
from vpnengine.contract.problems import Refused

PALETTE = [("bad", "bold", ""), ("good", "", ""), ("title", "bold", ""), ("focus", "standout", "")]
REFRESH_S = 10
RESET_WORD = "RESET"
RESET_FLAG = "factory-reset"
TRIAL_S = 120


class Console:
    """One menu. ``commands`` are what reboot and shell run, so that a test can look."""

    def __init__(self, state: Path, sock: Path, claim: Path, commands: dict[str, list[str]]) -> None:
        self._state, self._sock, self._claim, self._commands = state, sock, claim, commands
        self._probes = look.Probes()
        self._seen = look.gather(state, sock, claim, self._probes)
        self._note = ""
        self._place: Any = urwid.WidgetPlaceholder(urwid.SolidFill())
        self._loop = urwid.MainLoop(self._place, PALETTE, handle_mouse=False, unhandled_input=self._key)
        self._is_menu = True

    def run(self) -> None:
        """Until the program is ended from outside."""
        self._probes.start(lambda: self._seen.facts)
        self._menu()
        self._loop.set_alarm_in(REFRESH_S, self._refresh)
        self._loop.run()

    def _refresh(self, *_: Any) -> None:
        if self._is_menu:
            self._menu()
        self._loop.set_alarm_in(REFRESH_S, self._refresh)

    def _key(self, key: Any) -> None:
        if key == "esc":
            self._menu()

    # The menu

    def _menu(self, *_: Any) -> None:
        focus = self._focus()
        self._is_menu = True
        self._seen = look.gather(self._state, self._sock, self._claim, self._probes)
        choices: list[tuple[str, Callable[..., None]]] = [
            ("Set WAN: by DHCP", self._wan_dhcp),
            ("Set WAN: static address", self._wan_static),
            ("Factory reset", self._reset),
            ("Reboot", self._reboot),
            ("Shell", self._shell),
        ]
        if self._seen.trial:
            choices.insert(0, (f"Keep the change of networks ({self._seen.left_s:.0f} s left)", self._keep))
        buttons = [_button(text, action) for text, action in choices]
        rows = [urwid.Text(line) for line in self.lines()]
        body = urwid.ListBox(urwid.SimpleFocusListWalker([*rows, urwid.Divider(), *buttons]))
        body.set_focus(len(rows) + 1 + min(focus, len(buttons) - 1))
        self._show(body, "Culvert")

    def _focus(self) -> int:
        """Which choice is marked, to be marked again."""
        body = getattr(self._place.original_widget, "body", None)
        if not (self._is_menu and isinstance(body, urwid.ListBox)):
            return 0
        walker: Any = body.body
        first = next((n for n, row in enumerate(walker) if row.selectable()), 0)
        return max(0, (body.focus_position if len(walker) else 0) - first)

    def lines(self) -> list[Any]:
        """What the menu says above its choices."""
        seen, facts = self._seen, self._seen.facts
        found: list[Any] = []
        for title, name in (("WAN", facts.wan), ("LAN", facts.lan)):
            port = facts.port(name)
            addresses = ", ".join(port.addresses) if port else ""
            found.append(f"{title:<12} {name or '-'}  {addresses or 'no address'}")
        found.append(f"{'Gateway':<12} {facts.gateway or '-'}")
        network = seen.network or {}
        lan = network.get("lan") or {}
        inside = lan.get("address") or next((a for p in facts.ports for a in p.addresses), "")
        found.append(f"{'Dashboard':<12} https://{inside.partition('/')[0] or '…'}/")
        if seen.fingerprint:
            half = len(seen.fingerprint) // 2 + 1
            found += [f"{'Certificate':<12} {seen.fingerprint[:half]}", f"{'(SHA-256)':<12} {seen.fingerprint[half:]}"]
        if seen.claim:
            found.append(("title", f"{'Claim code':<12} {seen.claim}"))
        found.append("")
        problems = diagnose(facts)
        for finding in problems:
            found.append([("bad", "! " if finding.is_grave else "- "), finding.text, "\n  ", finding.advice])
        if not problems:
            found.append(("good", "Everything is in order."))
        if self._note:
            found += ["", ("title", self._note)]
        return found

    def _show(self, body: urwid.Widget, title: str) -> None:
        head = urwid.Text(("title", f"{title}  {self._seen.version}".rstrip()))
        foot = urwid.Text("Up and down choose, Enter does it, Esc goes back")
        self._place.original_widget = urwid.Frame(body, urwid.Pile([head, urwid.Divider("-")]), foot)

    def _ask(
        self, title: str, words: list[Any], fields: list[urwid.Edit], action: str, done: Callable[[], None]
    ) -> None:
        self._is_menu = False
        texts = [urwid.Text(line) for line in words]
        buttons = [_button(action, lambda *_: done()), _button("Cancel", self._menu)]
        rows: list[Any] = [*texts, urwid.Divider(), *fields, urwid.Divider(), *buttons]
        body = urwid.ListBox(urwid.SimpleFocusListWalker(rows))
        # Without a field the harmless choice is marked.
        body.set_focus(len(texts) + 1 if fields else len(rows) - 1)
        self._show(body, title)

    # What it does

    def _change(self, wan: dict[str, Any]) -> None:
        network = self._seen.network
        if network is None:
            self._note = "The network service is not running; choose “Reboot”."
        else:
            kept = {key: network["wan"][key] for key in ("interface", "mtu")}
            try:
                ask({"op": "apply", "network": network | {"wan": kept | wan}, "trial_s": TRIAL_S}, self._sock)
                self._note = f"Changed. Keep it within {TRIAL_S} seconds, or it is taken back."
            except Refused as refused:
                self._note = "Not changed: " + "; ".join(f"{p.field} {p.message}".strip() for p in refused.problems)
            except OSError as error:
                self._note = f"Not changed: {error}"
        self._menu()

    def _keep(self, *_: Any) -> None:
        try:
            ask({"op": "confirm", "trial": self._seen.trial}, self._sock)
            self._note = "The change is kept."
        except (Refused, OSError) as problem:
            self._note = str(problem)
        self._menu()

    def _wan_dhcp(self, *_: Any) -> None:
        words = ["The WAN gets its address from your router or provider."]
        self._ask("Set WAN: by DHCP", words, [], "Set", lambda: self._change({"mode": "dhcp"}))

    def _wan_static(self, *_: Any) -> None:
        address, gateway = urwid.Edit("Address with prefix  "), urwid.Edit("Gateway              ")
        dns = urwid.Edit("DNS servers          ")

        def done() -> None:
            servers = dns.edit_text.replace(",", " ").split()
            wan = {"mode": "static", "address": address.edit_text.strip(), "gateway": gateway.edit_text.strip()}
            self._change(wan | {"dns": servers})

        words = ["As your provider has told you, like 192.0.2.10/24, 192.0.2.1, 192.0.2.53."]
        self._ask("Set WAN: static address", words, [address, gateway, dns], "Set", done)

    def _reset(self, *_: Any) -> None:
        word = urwid.Edit(f"Type {RESET_WORD} to go on: ")

        def done() -> None:
            if word.edit_text.strip() != RESET_WORD:
                self._note = f"Nothing was reset: {RESET_WORD} was not typed."
            else:
                # What erases runs at the next start, before anything uses the data.
                (self._state / RESET_FLAG).touch()
                os.sync()
                self._run("reboot")
                self._note = "Everything is erased at the next start."
            self._menu()

        words = [("bad", "This erases configuration, secrets, events and administrators. An export brings them back.")]
        self._ask("Factory reset", words, [word], "Erase everything", done)

    def _reboot(self, *_: Any) -> None:
        def done() -> None:
            self._run("reboot")
            self._note = "The machine starts again."
            self._menu()

        self._ask("Reboot", ["Tunnels are down for about a minute."], [], "Reboot now", done)

    def _shell(self, *_: Any) -> None:
        self._loop.stop()
        print("\nThis is a shell of the machine. “exit” leads back to the menu.")
        subprocess.run(self._commands["shell"], check=False)
        self._loop.start()
        self._menu()

    def _run(self, name: str) -> None:
        try:
            subprocess.run(self._commands[name], check=True, timeout=30, capture_output=True)
        except (OSError, subprocess.SubprocessError) as error:
            self._note = f"It did not work: {error}"


def _button(text: str, action: Callable[..., None]) -> Any:
    return urwid.AttrMap(urwid.Button(text, on_press=action), None, "focus")


def _size() -> None:
    """Give a serial line the size that it does not know."""
    try:
        rows, columns, *_ = struct.unpack("HHHH", fcntl.ioctl(sys.stdout, termios.TIOCGWINSZ, b"\0" * 8))
        if not rows or not columns:
            fcntl.ioctl(sys.stdout, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    except OSError:
        return


def main(state: Path, sock: Path = SOCKET, claim: Path = look.CLAIM) -> int:
    """Show the menu on this terminal."""
    _size()
    commands = {
        "reboot": os.environ.get("CULVERT_CONSOLE_REBOOT", "systemctl reboot").split(),
        "shell": os.environ.get("CULVERT_CONSOLE_SHELL", "/bin/bash -l").split(),
    }
    Console(state, sock, claim, commands).run()
    return 0
