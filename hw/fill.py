"""Takes a whole tensor from a stream into a RAM, then lets the stage run on it (SPEC HW-8)."""

from __future__ import annotations

from myhdl import always, always_comb, block


@block
def fill(clock, reset, source, running, launch, write, address, words):
    """Accept words while the stage does not run; `launch` with the last of `words` (SPEC HW-8).

    write, address  of the RAM, whose word is the stream's.  One word a cycle; none while `running`.
    """
    last = int(words - 1)
    valid, ready = source.valid, source.ready

    @always_comb
    def accept():
        ready.next = not running
        write.next = False
        launch.next = False
        if valid and not running:
            write.next = True
            if address == last:
                launch.next = True

    @always(clock.posedge)
    def count():
        if reset or launch:
            address.next = 0
        elif write:
            address.next = address + 1

    return accept, count
