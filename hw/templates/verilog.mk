# make icarus, make verilator, make lint; STRESS=seed adds gaps and back-pressure, RUNS=n repeats the run, FLOW=1 lets
# the runs follow each other without a pause (always so under stress), RESET=n puts a run before that a reset ends after n
# cycles.
STRESS ?= 0
RUNS ?= 1
RESET ?= 0
FLOW ?= 0
PLUSARGS = +stress=$(STRESS) +runs=$(RUNS) +reset=$(RESET) +flow=$(FLOW)

.PHONY: icarus verilator lint clean

icarus:
	iverilog -g2005 -s timed_bench -o icarus.vvp timed_bench.v bench.v {{module}}.v
	vvp -n icarus.vvp +log=icarus.out $(PLUSARGS) > icarus.log
	cat icarus.log
	grep -q '^PASS' icarus.log

verilator: verilator.build/Vbench
	verilator.build/Vbench +log=verilator.out $(PLUSARGS) > verilator.log
	cat verilator.log
	grep -q '^PASS' verilator.log

verilator.build/Vbench: main.cpp bench.v {{module}}.v
	verilator --cc --exe --build -O3 --x-assign fast --x-initial fast --noassert -Wno-fatal -Wno-WIDTH -Wno-STMTDLY \
		--top-module bench --Mdir verilator.build -CFLAGS -O1 main.cpp bench.v {{module}}.v > verilator.txt

lint:
	verilator --lint-only -Wall -Wno-WIDTH -Wno-DECLFILENAME --top-module {{module}} {{module}}.v

clean:
	rm -rf *.vvp *.out *.log verilator.build verilator.txt
