"""The two ways a loop is compiled; nothing else may configure Numba."""

from __future__ import annotations

import numba

# Integer arithmetic only: fastmath stays off, and results never depend on the thread count,
# because parallel loops run over outputs and share no accumulator.
kernel = numba.njit(cache=True, nogil=True)
parallel_kernel = numba.njit(cache=True, parallel=True)
prange = numba.prange
