"""How far two tensors are apart, as autograd differentiates it."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp


def mean_square(differences: Any) -> Any:
    """The mean of squares, in the precision of what is given.

    autograd's own derivative of a mean divides by an int64 and goes on in float64, through the whole network.
    """
    return anp.sum(differences * differences) / differences.size
