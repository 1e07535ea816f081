"""Takes whole tensors from a stream into the banks of a RAM, on which the stage then runs (SPEC HW-8)."""

from __future__ import annotations

from myhdl import always, always_comb, block

from hw.elaboration import address_bits, unsigned


@block
def fill(clock, reset, source, running, done, launch, write, address, base, words, banks):
    """Accept words while a bank is free; `launch` with the last of a tensor, or when the run before ends (SPEC HW-8).

    running  of the stage, from `launch` to `done`, which frees the bank that starts at address `base`
    write, address  of the RAM of banks * words words, whose word is the stream's.  One word a cycle.
    """
    last = int(words - 1)
    last_address = int(banks * words - 1)
    banks = int(banks)
    second = int(words)
    valid, ready = source.valid, source.ready
    place = unsigned(address_bits(int(words)))
    full = unsigned(address_bits(banks + 1))

    @always_comb
    def accept():
        ready.next = full < banks
        write.next = False
        launch.next = False
        if not running and full != 0:
            launch.next = True
        if valid and full < banks:
            write.next = True
            if place == last and not running:
                launch.next = True

    @always(clock.posedge)
    def count():
        if reset:
            address.next = 0
            place.next = 0
        elif write:
            if address == last_address:
                address.next = 0
            else:
                address.next = address + 1
            if place == last:
                place.next = 0
            else:
                place.next = place + 1

    @always(clock.posedge)
    def keep():
        if reset:
            full.next = 0
            base.next = 0
        else:
            if write and place == last:
                if not done:
                    full.next = full + 1
            elif done:
                full.next = full - 1
            if done and banks == 2:
                if base == 0:
                    base.next = second
                else:
                    base.next = 0

    return accept, count, keep
