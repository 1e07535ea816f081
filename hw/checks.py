"""What no unit is built beyond, and how that is refused (SPEC HW-1)."""

from __future__ import annotations

from refcodec.errors import HardwareError

MAX_LANES = 32
MAX_SIZE = 4096  # rows and columns of a tensor
MAX_CHANNELS = 1024
MAX_DEPTH = 1 << 26  # words of one memory; keeps every address literal below 2**30
MAX_BUILT_DEPTH = 1 << 20  # of one that is simulated or converted: MyHDL keeps a signal for each


def require(condition: bool, message: str) -> None:
    """Raise HardwareError RC-HW-CONFIG unless the condition holds."""
    if not condition:
        raise HardwareError("RC-HW-CONFIG", message)


def require_range(name: str, value: object, lo: int, hi: int) -> None:
    """Plain integers only: MyHDL converts NumPy integers to wrong HDL without a message."""
    require(type(value) is int and lo <= value <= hi, f"{name} must be an integer {lo}..{hi}, got {value!r}")
