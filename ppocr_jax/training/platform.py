"""Process settings that make XLA train faster on a CPU."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from platform import libc_ver

# mallopt's parameter numbers, from glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_LARGEST = 2**31 - 1
_COMMANDS = {"train_det.py", "train_rec.py", "ppocr-jax", "ppocr_jax/__main__.py"}
HUGE_PAGES = "glibc.malloc.hugetlb=1"
"""Setting in GLIBC_TUNABLES."""


def prepare_cpu() -> None:
    """Configure the process for training on a CPU; call it before JAX is first used.

    Flags that the user has set in XLA_FLAGS are not changed.
    """
    _keep_freed_memory()
    _set_xla_flags(cpu_flags(_cpu_features()))


def cpu_flags(features: frozenset[str]) -> dict[str, str]:
    """Return XLA's flags for a CPU: 512-bit vectors if the CPU has them, because XLA uses only 256 bits by default.

    Args:
        features: Features of the CPU, as Linux names them.
    """
    return {"xla_cpu_prefer_vector_width": "512"} if "avx512f" in features else {}


def restart_with_huge_pages() -> None:
    """Restart a training command with huge pages for the C library's memory, if it does not use them yet.

    A training step touches gigabytes of memory; with pages of 2 MiB instead of 4 KiB it takes 0.7 to 0.8 times as long.
    The C library reads this setting only at program start, and the kernel must allow it ("madvise", the usual setting,
    or "always"). Returns without effect if there is nothing to gain, or the program is not a training command.
    """
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    if not _is_command(Path(sys.argv[0])) or "hugetlb" in tunables or not _may_have_huge_pages():
        return
    os.environ["GLIBC_TUNABLES"] = ":".join(filter(None, (tunables, HUGE_PAGES)))
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _is_command(program: Path) -> bool:
    return program.name in _COMMANDS or f"{program.parent.name}/{program.name}" in _COMMANDS


def _may_have_huge_pages() -> bool:
    try:
        allowed = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text(encoding="ascii")
    except OSError:
        return False
    return "[never]" not in allowed and libc_ver()[0] == "glibc"


def _set_xla_flags(flags: dict[str, str]) -> None:
    own = os.environ.get("XLA_FLAGS", "")
    added = [f"--{name}={value}" for name, value in flags.items() if name not in own]
    os.environ["XLA_FLAGS"] = " ".join([own, *added]).strip()


def _cpu_features() -> frozenset[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return frozenset()
    return next((frozenset(line.split(":", 1)[1].split()) for line in lines if line.startswith("flags")), frozenset())


def _keep_freed_memory() -> None:
    """Let the C library keep freed memory instead of returning it to the kernel.

    XLA:CPU allocates its buffers anew for every step. By default glibc maps and unmaps such large blocks each time, and
    the page faults can cost more than the arithmetic: copying a 42 MB array took 10 ms before and 2 ms after. Does
    nothing if the C library is not glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        return
    for parameter in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD, _M_TOP_PAD):
        libc.mallopt(parameter, _LARGEST if parameter != _M_TOP_PAD else 2**28)
