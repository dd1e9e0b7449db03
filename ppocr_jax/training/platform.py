"""Settings of the process that make XLA train faster on a CPU."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

# mallopt's parameter numbers, from glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_LARGEST = 2**31 - 1


def prepare_cpu() -> None:
    """Suit the process to training on a CPU; call it before JAX is first used.

    Flags that the user has set in XLA_FLAGS stay as they are.
    """
    _keep_freed_memory()
    _set_xla_flags(cpu_flags(cores=_usable_cores(), features=_cpu_features()))


def cpu_flags(*, cores: int, features: frozenset[str]) -> dict[str, str]:
    """XLA's flags for a CPU.

    One simulated device a core: a training step uses a second core much better with half of the batch each, than by
    sharing every single operation. And full vectors where the CPU has 512 bits of them, for XLA keeps to 256 by itself.

    Args:
        cores: that the process may use; a power of two of them becomes devices, so that batches can be split.
        features: of the CPU, as Linux names them.
    """
    flags = {"xla_force_host_platform_device_count": str(2 ** (max(1, cores).bit_length() - 1))}
    if "avx512f" in features:
        flags["xla_cpu_prefer_vector_width"] = "512"
    return flags


def _set_xla_flags(flags: dict[str, str]) -> None:
    own = os.environ.get("XLA_FLAGS", "")
    added = [f"--{name}={value}" for name, value in flags.items() if name not in own]
    os.environ["XLA_FLAGS"] = " ".join([own, *added]).strip()


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_features() -> frozenset[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return frozenset()
    return next((frozenset(line.split(":", 1)[1].split()) for line in lines if line.startswith("flags")), frozenset())


def _keep_freed_memory() -> None:
    """Let the C library keep freed memory instead of handing it back to the kernel.

    XLA:CPU allocates its buffers anew for every step. By default glibc maps and unmaps such large blocks each time,
    and the page faults of touching fresh memory can cost more than the arithmetic: copying a 42 MB array took 10 ms
    before and 2 ms after. Does nothing where the C library is not glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        return
    for parameter in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD, _M_TOP_PAD):
        libc.mallopt(parameter, _LARGEST if parameter != _M_TOP_PAD else 2**28)
