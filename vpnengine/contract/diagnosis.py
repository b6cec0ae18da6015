"""What a test of a tunnel finds step by step, and what is wrong with one that is up and carries nothing."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Result = Literal["good", "bad", "unknown", "skipped"]
Side = Literal["local", "peer", "path", "unknown", "none"]
Sure = Literal["certain", "probable", "possible"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Step(_Model):
    """One thing that was looked at: ``text`` is what was found, as a sentence, and ``evidence`` what it rests on.

    ``seconds`` is how long it took.
    """

    name: str
    title: str
    result: Result
    text: str
    evidence: tuple[str, ...] = ()
    seconds: float = 0


class Verdict(_Model):
    """The one cause. ``side`` is where it lies, ``sure`` as in ``contract.entry``; ``here`` and ``there`` mend it."""

    code: str
    title: str
    side: Side
    sure: Sure
    text: str
    here: str = ""
    there: str = ""


class Examination(_Model):
    """The answer to ``examine``: what was looked at, in order, and the verdict.

    ``source`` is the inner address that was sent from; empty if this host has none behind the tunnel.
    """

    peer: str
    source: str
    target: str
    steps: tuple[Step, ...]
    verdict: Verdict
