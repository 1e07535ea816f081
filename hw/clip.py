"""Twin of `refcodec.fixed.clip` and, with lo = 0, of `relu` (SPEC HW-4, CLIP-1, CLIP-2)."""

from __future__ import annotations

from myhdl import always, block


@block
def clip(clock, advance, valid, value, clipped, lo, hi):
    """Limit a signed value to lo .. hi (SPEC HW-4).

    value  signed, any width;  clipped  a bus whose format holds lo .. hi;  |lo|, hi < 2**30.
    Latency one cycle with `advance`, one value a cycle; `clipped` keeps its value while `valid` is low.
    """
    width = len(clipped)
    lo = int(lo)
    hi = int(hi)

    if clipped.min < 0:

        @always(clock.posedge)
        def limit():
            if advance and valid:
                if value > hi:
                    clipped.next = hi
                elif value < lo:
                    clipped.next = lo
                else:
                    clipped.next = value[width:].signed()

    else:

        @always(clock.posedge)
        def limit():
            if advance and valid:
                if value > hi:
                    clipped.next = hi
                elif value < lo:
                    clipped.next = lo
                else:
                    clipped.next = value[width:]

    return limit
