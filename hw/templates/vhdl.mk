# make ghdl; STRESS=seed adds gaps and back-pressure, RUNS=n repeats the run, FLOW=1 lets the runs follow each
# other without a pause (always so under stress), RESET=n puts a run before that a reset ends after n cycles.
# Memories and data registers start undefined, as in hardware, so the library's warnings about that are off.
STRESS ?= 0
RUNS ?= 1
RESET ?= 0
FLOW ?= 0
SOURCES = {{package}} {{module}}.vhd bench.vhd

.PHONY: ghdl clean

ghdl:
	mkdir -p ghdl.build
	ghdl -a --std=08 --workdir=ghdl.build $(SOURCES)
	ghdl -e --std=08 --workdir=ghdl.build bench
	ghdl -r --std=08 --workdir=ghdl.build bench -gSTRESS=$(STRESS) -gRUNS=$(RUNS) -gSPOIL=$(RESET) -gFLOW=$(FLOW) --ieee-asserts=disable > ghdl.log
	cat ghdl.log
	grep -q 'PASS' ghdl.log

clean:
	rm -rf ghdl.build ghdl.out ghdl.log bench
