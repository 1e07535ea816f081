// A clock for simulators with delays.
`timescale 1ns / 1ns

module timed_bench;
    reg clock = 0;
    always #5 clock = !clock;
    bench bench (.clock(clock));
endmodule
