"""The systemd units, with the lines that depend on this machine: which files its interpreter and libraries are.

It owns the text of the units and changes nothing on disk. The shipped `systemd/bisikd.service` is a whole unit for
one machine; between its two marks stand the lines that are written anew for another.
"""

import importlib
import os
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

from bisikd.config import ListenAddress
from bisikd.errors import BisikdError

SERVICE, SOCKET = "bisikd.service", "bisikd.socket"
BEGIN, END = "# --- This machine:", "# --- From here on nothing depends on the machine."

# ProtectHome=yes hides these, and with them what is bound from under them.
HOMES: Final = ("/home", "/root", "/run/user")
_PT_INTERP: Final = 3


class UnitsMissing(BisikdError):  # noqa: N818 # reads as what it says
    """The installed package came without its units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a unit has to name of a machine. `files` are bound, and of them `executable` may be executed or mapped."""

    python: Path
    files: tuple[Path, ...]
    executable: tuple[Path, ...]

    @property
    def under_home(self) -> bool:
        return any(path.is_relative_to(home) for path in self.files for home in HOMES)


def this_machine() -> Machine:
    """The interpreter that runs this, its libraries, and everywhere it imports from.

    Asked from the kernel's list of what this process has mapped, after all that the daemon imports was imported.
    """
    for name in ("bisikd.service", "bisikd.cli", "bisikd.commands.administration"):
        importlib.import_module(name)
    python = Path(sys.executable)
    libraries = {path.parent for path in _mapped_libraries(Path("/proc/self/maps").read_text(encoding="utf-8"))}
    # Not where the script that was started lies: beside it are other programs.
    modules = [module for name, module in sys.modules.items() if name != "__main__"]
    imports = _import_roots(modules, sys.path)
    programs = {*_hops(python), *_loader(python)}
    settings = Path(sys.prefix) / "pyvenv.cfg"
    everything = {*programs, *libraries, *imports} | ({settings} if settings.exists() else set())
    return Machine(
        python=python,
        files=_outermost(everything),
        executable=tuple(path for path in _outermost(everything) if path != settings),
    )


def _mapped_libraries(maps: str) -> set[Path]:
    names = {line.split(maxsplit=5)[5] for line in maps.splitlines() if line.count("/") and len(line.split()) > 5}
    return {Path(name) for name in names if ".so" in Path(name).name}


def _import_roots(modules: Iterable[ModuleType], search: Iterable[str]) -> set[Path]:
    """The entries of sys.path that modules came from, and where that of the standard library is."""
    files = [Path(file) for module in modules if (file := getattr(module, "__file__", None))]
    roots = [Path(entry) for entry in search if entry and Path(entry).is_dir()]
    return {root for root in roots if any(file.is_relative_to(root) for file in files)}


def _hops(program: Path) -> set[Path]:
    """The path, and everything that its symbolic links lead over."""
    hops = {program}
    while program.is_symlink():
        program = Path(os.path.normpath(program.parent / program.readlink()))
        hops.add(program)
    return hops


def _loader(program: Path) -> set[Path]:
    """The dynamic loader that an ELF program asks the kernel for, by the name it uses for it (elf(5), PT_INTERP)."""
    content = program.read_bytes()
    if content[:6] != b"\x7fELF\x02\x01":  # 64 bits, little-endian: others have their loader beside their libraries
        return set()
    (offset,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    for start in range(offset, offset + size * count, size):
        kind, _, where, _, _, length = struct.unpack_from("<IIQQQQ", content, start)
        if kind == _PT_INTERP:
            return {Path(content[where : where + length].rstrip(b"\0").decode())}
    return set()


def _outermost(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Without those that lie in another one, sorted."""
    kept = set(paths)
    return tuple(sorted(path for path in kept if not any(parent in kept for parent in path.parents)))


# Text ----------------------------------------------------------------------------------------------------------


def shipped(name: str) -> str:
    """A unit as it comes with the package: beside its modules when installed, in `systemd/` in a clone."""
    here = Path(__file__).parent
    for place in (here / "systemd", here.parents[1] / "systemd"):
        if (place / name).is_file():
            return (place / name).read_text(encoding="utf-8")
    raise UnitsMissing(f"{name} did not come with this installation: install bisik again, or take it from a clone.")


def service_unit(machine: Machine, public_host: str) -> str:
    """bisikd.service for `machine`. `public_host` is what invites name; empty leaves it to the configuration."""
    text = shipped(SERVICE)
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    lines = [
        f"{BEGIN} its interpreter and libraries, and nothing else of it, are what the service sees and may execute.",
        *([f"Environment={_quoted(f'BISIKD_PUBLIC_HOST={public_host}')}"] if public_host else []),
        f"ExecStart={_quoted(machine.python)} -I -m bisikd run",
        f"ExecReload={_quoted(machine.python)} -I -m bisikd reload",
        # With yes, an interpreter under a home would be hidden with the home; this way it alone is seen.
        f"ProtectHome={'tmpfs' if machine.under_home else 'yes'}",
        *(f"BindReadOnlyPaths={_quoted(path)}" for path in machine.files),
        *(f"ExecPaths={_quoted(f'+{path}')}" for path in machine.executable),
        END,
    ]
    return before + "\n".join(lines) + after


def socket_unit(listen: ListenAddress, *, ipv6: bool) -> str:
    """bisikd.socket for an address; without a host every address, IPv4 alone where the machine has no IPv6."""
    host = listen.host or ("::" if ipv6 else "0.0.0.0")  # noqa: S104 # all addresses is the wish here
    shown = f"[{host}]:{listen.port}" if ":" in host else f"{host}:{listen.port}"
    return shipped(SOCKET).replace("ListenDatagram=[::]:9999", f"ListenDatagram={shown}")


def _quoted(value: object) -> str:
    """As systemd.syntax(7) reads it back: specifiers doubled, quoted where there is a space."""
    text = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"' if any(character in text for character in " \"'\\;") else text
