"""Tries to get out of the sandbox in many ways, and prints for each what came of it, a JSON object a line.

It is started in place of the daemon, in its unit, and knows nothing of this project. An attempt is harmless where it
succeeds: it changes nothing that it does not put back. `refused` is false where the kernel did what was asked, or
looked at the arguments, which shows that it would have.
"""

import ctypes
import errno
import fcntl
import json
import mmap
import os
import platform
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

REFUSALS = {
    errno.EPERM, errno.EACCES, errno.EROFS, errno.ENOENT, errno.EAFNOSUPPORT, errno.ENOSYS, errno.ESRCH,
    errno.ECONNREFUSED, errno.ENOTDIR,
}  # fmt: skip
LIBC = ctypes.CDLL(None, use_errno=True)
# By architecture: what has no function in every libc.
NUMBERS = {
    "x86_64": {"bpf": 321, "perf_event_open": 298, "io_uring_setup": 425, "keyctl": 250, "userfaultfd": 323,
               "finit_module": 313, "kexec_load": 246, "pidfd_getfd": 438, "process_vm_readv": 310},
    "aarch64": {"bpf": 280, "perf_event_open": 241, "io_uring_setup": 425, "keyctl": 219, "userfaultfd": 282,
                "finit_module": 273, "kexec_load": 104, "pidfd_getfd": 438, "process_vm_readv": 270},
}.get(platform.machine(), {})  # fmt: skip
STATE = Path(os.environ.get("STATE_DIRECTORY", "/tmp"))  # noqa: S108

Attempt = Callable[[], object]


def call(name: str, *arguments: object) -> None:
    """A function of the C library, or a system call by its number."""
    ctypes.set_errno(0)
    function = getattr(LIBC, name) if name not in NUMBERS else LIBC.syscall
    number = (NUMBERS[name],) if name in NUMBERS else ()
    if function(*number, *arguments) == -1:
        raise OSError(ctypes.get_errno(), name)


def run(program: Path | str) -> None:
    """Execute a program, in a child, and report what the kernel said to that."""
    reading, writing = os.pipe()
    os.set_inheritable(writing, False)
    child = os.fork()
    if child == 0:
        try:
            os.execv(program, [str(program), "-c", ""])  # noqa: S606
        except OSError as error:
            os.write(writing, b"%d" % (error.errno or 0))
        os._exit(1)
    os.close(writing)
    said = os.read(reading, 20)
    os.close(reading)
    os.waitpid(child, 0)
    if said:
        raise OSError(int(said), "execve")


def run_copy(directory: Path) -> None:
    """Execute a program that it wrote itself."""
    copy = directory / "escape-copy"
    try:
        shutil.copyfile(Path(sys.executable).resolve(), copy)
        copy.chmod(0o755)
        run(copy)
    finally:
        copy.unlink(missing_ok=True)


def executable_memory() -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def memory_made_executable() -> None:
    memory = mmap.mmap(-1, 4096)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    call("mprotect", ctypes.c_void_p(address), 4096, mmap.PROT_READ | mmap.PROT_EXEC)


def write(path: str) -> None:
    with Path(path).open("ab"):
        pass
    if path.endswith("escape-test"):
        Path(path).unlink()


def any_entry(directory: str) -> None:
    """See anything in a directory."""
    if not os.listdir(directory):  # noqa: PTH208
        raise OSError(errno.ENOENT, "it is empty")


def set_uid_bit() -> None:
    file = STATE / "escape-suid"
    file.touch()
    try:
        file.chmod(0o4755)
    finally:
        file.unlink()


def give_away() -> None:
    file = STATE / "escape-chown"
    file.touch()
    try:
        os.chown(file, os.getuid(), os.getgid())
    finally:
        file.unlink()


def other_processes() -> None:
    """See any process but this one."""
    others = [name for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]  # noqa: PTH208
    if not others:
        raise OSError(errno.ENOENT, "no others")


def another_network() -> None:
    """See an interface beside an idle loopback."""
    names = {name for _, name in socket.if_nameindex()} - {"lo"}
    if not names:
        raise OSError(errno.ENOENT, "no interfaces")


def connect(path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect(path)


def terminal_input() -> None:
    with Path("/dev/console").open("rb") as console:
        fcntl.ioctl(console, 0x5412, b"x")  # TIOCSTI


def real_time() -> None:
    call("sched_setscheduler", 0, 1, ctypes.byref(ctypes.c_int(1)))


def raise_limit() -> None:
    call("setpriority", 0, 0, -10)


def set_clock() -> None:
    time.clock_settime(time.CLOCK_REALTIME, time.time())


def attempts() -> dict[str, Attempt]:
    return {
        "make an IPv4 socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close(),
        "make an IPv6 socket": lambda: socket.socket(socket.AF_INET6, socket.SOCK_STREAM).close(),
        "make a netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
        "make a packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
        "see another network interface": another_network,
        "ask the system bus": lambda: connect("/run/dbus/system_bus_socket"),
        "ask systemd itself": lambda: connect("/run/systemd/private"),
        "run a shell": lambda: run("/bin/sh"),
        "run env": lambda: run("/usr/bin/env"),
        "run a program it wrote to its state": lambda: run_copy(STATE),
        "run a program it wrote to /tmp": lambda: run_copy(Path("/tmp")),  # noqa: S108
        "run a program it wrote to /var/tmp": lambda: run_copy(Path("/var/tmp")),  # noqa: S108
        "run a program it wrote to /dev/shm": lambda: run_copy(Path("/dev/shm")),  # noqa: S108
        "map memory to write and execute": executable_memory,
        "make written memory executable": memory_made_executable,
        "read the list of users": lambda: Path("/etc/passwd").read_bytes(),
        "read the machine's identity": lambda: Path("/etc/machine-id").read_bytes(),
        "see a home": lambda: any_entry("/home"),
        "list /var/log": lambda: any_entry("/var/log"),
        "move itself to another control group": lambda: write("/sys/fs/cgroup/cgroup.procs"),
        "write to /": lambda: write("/escape-test"),
        "write to /etc": lambda: write("/etc/escape-test"),
        "write to /usr/lib": lambda: write("/usr/lib/escape-test"),
        "write beside its libraries": lambda: write(os.path.dirname(json.__file__) + "/escape-test"),  # noqa: PTH120
        "write to /proc/sys": lambda: write("/proc/sys/kernel/domainname"),
        "see other processes": other_processes,
        "signal PID 1": lambda: os.kill(1, 0),
        "read the memory of PID 1": lambda: Path("/proc/1/mem").open("rb").close(),
        "read kernel memory": lambda: Path("/proc/kcore").open("rb").close(),
        "read the kernel's log": lambda: call("klogctl", 3, ctypes.create_string_buffer(10), 10),
        "open /dev/mem": lambda: Path("/dev/mem").open("rb").close(),
        "open a disk": lambda: Path("/dev/vda").open("rb").close(),
        "open /dev/kmsg": lambda: Path("/dev/kmsg").open("rb").close(),
        "type into the console": terminal_input,
        "make a device": lambda: os.mknod(STATE / "escape-device", 0o20600, os.makedev(1, 3)),
        "make a set-user-ID file": set_uid_bit,
        "give a file away": give_away,
        "become root": lambda: os.setuid(0),
        "change its groups": lambda: os.setgroups([0]),
        "make a user namespace": lambda: call("unshare", 0x10000000),
        "make a mount namespace": lambda: call("unshare", 0x00020000),
        "enter a namespace": lambda: call("setns", -1, 0),
        "mount": lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
        "unmount": lambda: call("umount2", b"/proc", 0xFF),
        "change its root": lambda: os.chroot("/proc"),
        "trace a process": lambda: call("ptrace", 16, os.getppid(), None, None),
        "set the clock": set_clock,
        "set the host's name": lambda: call("sethostname", socket.gethostname().encode(), len(socket.gethostname())),
        "take real-time priority": real_time,
        "raise its priority": raise_limit,
        "change its personality": lambda: call("personality", 0x0040000),
        "make a file in memory": lambda: os.memfd_create("escape"),
        "swap": lambda: call("swapon", b"/none", 0),
        "restart the machine": lambda: call("reboot", 0),
        "load a kernel module": lambda: call("finit_module", -1, b"", 0),
        "load another kernel": lambda: call("kexec_load", 0, 1000, None, 0xFFFF),
        "load a BPF program": lambda: call("bpf", 5, None, 0),
        "count performance events": lambda: call("perf_event_open", None, 0, -1, -1, 0),
        "make an io_uring": lambda: call("io_uring_setup", 1, None),
        "use the keyring": lambda: call("keyctl", 0, -3, 1),
        "handle page faults in user space": lambda: call("userfaultfd", 0xFFFF),
        "read another process's memory": lambda: call("process_vm_readv", 1, None, 0, None, 0, 0),
        "take another process's descriptor": lambda: call("pidfd_getfd", -1, 0, 0),
    }


def main() -> None:
    signal.signal(signal.SIGSYS, signal.SIG_IGN)
    for name, attempt in attempts().items():
        try:
            attempt()
        except OSError as error:
            outcome = errno.errorcode.get(error.errno or 0, "?")
            refused = error.errno in REFUSALS
        except AttributeError:
            continue  # this architecture's number is not known here
        else:
            outcome, refused = "done", False
        sys.stdout.write(json.dumps({"attempt": name, "outcome": outcome, "refused": refused}) + "\n")


main()
