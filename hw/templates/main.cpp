// Toggles the clock of the bench; for Verilator 4 and 5.
#include "Vbench.h"
#include "verilated.h"

double sc_time_stamp() { return 0; }

int main(int argc, char **argv) {
    Verilated::commandArgs(argc, argv);
    Vbench *bench = new Vbench;
    while (!Verilated::gotFinish()) {
        bench->clock = 0;
        bench->eval();
        bench->clock = 1;
        bench->eval();
    }
    bench->final();
    delete bench;
    return 0;
}
