"""The faults of one EVSE: what stands, what is latched, what ends it (catalogue: `faults.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from controller.core.faults import Clearing, FaultKind, Severity, kind_of
from controller.core.guard_messages import FaultView

_S = 1_000_000_000


@dataclass(slots=True, kw_only=True)
class _Standing:
    kind: FaultKind
    detail: str
    active: bool
    gone_since_ns: int = 0


class FaultBook:
    """Standing faults by name. `raised`, `cleared`: names since the caller last took them."""

    __slots__ = (
        "_retries",
        "_standing",
        "blocking",
        "changed",
        "cleared",
        "raised",
        "stopping",
        "tripped",
    )

    def __init__(self) -> None:
        self._standing: dict[str, _Standing] = {}
        self._retries: dict[str, int] = {}
        self.stopping = False
        """a fault of severity H stands"""
        self.blocking = False
        """a fault of severity M or block stands"""
        self.tripped = False
        """a fault of severity H was raised; the caller resets it"""
        self.raised: list[tuple[str, str]] = []
        self.cleared: list[str] = []
        self.changed = False
        """what must be stored has changed; the caller resets it"""

    def restore(self, latched: Mapping[str, str], now_ns: int) -> None:
        """Latched faults (name → detail) of an earlier life; their causes count as gone until seen."""
        for name, detail in latched.items():
            self._standing[name] = _Standing(
                kind=kind_of(name), detail=detail, active=False, gone_since_ns=now_ns
            )
            self.raised.append((name, detail))
        self._judge()

    def raise_(self, name: str, detail: str, now_ns: int) -> None:
        """The cause is there. Repeating it is free."""
        standing = self._standing.get(name)
        if standing is None:
            kind = kind_of(name)
            self._standing[name] = _Standing(
                kind=kind, detail=detail, active=not kind.momentary, gone_since_ns=now_ns
            )
            self.raised.append((name, detail))
            self.changed |= kind.latched
            self.tripped |= kind.severity is Severity.HIGH
            self._judge()
        elif not standing.active:
            standing.active = not standing.kind.momentary
            standing.gone_since_ns = now_ns
            standing.detail = detail

    def settle(self, name: str, now_ns: int) -> None:
        """The cause is gone; a fault that clears by itself starts its time."""
        standing = self._standing.get(name)
        if standing is not None and standing.active:
            standing.active = False
            standing.gone_since_ns = now_ns
            self.tick(now_ns)

    def set(self, name: str, present: bool, detail: str, now_ns: int) -> None:
        """`raise_` or `settle` by level."""
        if present:
            self.raise_(name, detail, now_ns)
        elif name in self._standing:
            self.settle(name, now_ns)

    def stands(self, name: str) -> bool:
        """Present or latched."""
        return name in self._standing

    def clear(self, name: str) -> bool:
        """A person clears it; False while the cause is there (or nothing stands)."""
        standing = self._standing.get(name)
        if standing is None or standing.active:
            return False
        self._retries.pop(name, None)
        self._drop(name)
        return True

    def unplugged(self) -> None:
        """Faults that end with the plug-in end; their retries count anew."""
        for name, standing in list(self._standing.items()):
            if standing.kind.clearing is Clearing.UNPLUG:
                self._drop(name)
        for name in list(self._retries):
            if kind_of(name).clearing is Clearing.UNPLUG:
                del self._retries[name]

    def tick(self, now_ns: int) -> None:
        """Clear what clears by itself, and lift what may be tried again."""
        if not self._standing:
            return
        for name, standing in list(self._standing.items()):
            if standing.active:
                continue
            kind, gone_ns = standing.kind, now_ns - standing.gone_since_ns
            if kind.clearing is Clearing.SELF:
                if gone_ns >= kind.clear_after_s * _S:
                    self._drop(name)
            elif kind.retries and gone_ns >= kind.retry_after_s * _S:
                used = self._retries.get(name, 0)
                if used < kind.retries:
                    self._retries[name] = used + 1
                    self._drop(name)

    def latched(self) -> dict[str, str]:
        """What must outlive this process: name → detail."""
        return {n: s.detail for n, s in self._standing.items() if s.kind.latched}

    def views(self) -> tuple[FaultView, ...]:
        """As the socket shows them."""
        return tuple(
            FaultView(name=name, detail=s.detail, latched=s.kind.latched, active=s.active)
            for name, s in self._standing.items()
        )

    def _drop(self, name: str) -> None:
        standing = self._standing.pop(name)
        self.cleared.append(name)
        self.changed |= standing.kind.latched
        self._judge()

    def _judge(self) -> None:
        severities = {s.kind.severity for s in self._standing.values()}
        self.stopping = Severity.HIGH in severities
        self.blocking = bool(severities & {Severity.MEDIUM, Severity.BLOCK})
