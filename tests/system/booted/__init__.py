"""Tests under a systemd of their own; `make test-systemd` runs them where one can be booted."""

import re
import sys
from pathlib import Path

ESCAPE = Path(__file__).with_name("escape.py")


def escape_unit(service: str) -> str:
    """The daemon's unit, with everything that fences it in, around a program that tries to get out."""
    text = re.sub(r"(?m)^ExecStart=.*$", f"ExecStart={sys.executable} -I {ESCAPE}", service)
    text = re.sub(r"(?m)^(ExecReload|Restart|RestartSec|WatchdogSec|Sockets|Requires|After)=.*\n", "", text)
    text = text.replace("Type=notify", "Type=oneshot")
    return text.replace("[Install]", f"BindReadOnlyPaths={ESCAPE}\n\n[Install]")
