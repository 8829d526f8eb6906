"""`python -m tests.conformance` writes docs/conformance.md and prints its summary."""

from __future__ import annotations

from tests.conformance.report import PAGE, page

text = page()
PAGE.write_text(text, encoding="utf-8")
print(f"{PAGE.name}:")
print("\n".join(line for line in text.splitlines() if line.startswith(("| Proc", "| Requ"))))
print("\n".join(line for line in text.splitlines() if "**open**" in line))
