"""Why the bench refuses."""

from __future__ import annotations


class Refused(Exception):
    """An operation of the bench API that fails. `status`: the HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
