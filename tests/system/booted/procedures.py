"""The commands of docs/operating.md, taken out of it as they stand there, for a test that runs them."""

import re
from pathlib import Path
from typing import Final

OPERATING: Final = Path(__file__).parents[3] / "docs" / "operating.md"


def blocks(heading: str) -> list[str]:
    """Each indented block under a heading, as a shell reads it."""
    text = OPERATING.read_text(encoding="utf-8")
    section = re.split(r"^##+ ", text.partition(f"\n## {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    found = re.findall(r"(?:^    .*\n)+", section, re.MULTILINE)
    assert found, f"operating.md has no commands under {heading}"
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in found]
