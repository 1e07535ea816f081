# Every target sets up what it needs by itself; `make` alone lists them.
PY := .venv/bin/python
PYTEST_FLAGS ?= -q -n auto
DEMO_FLAGS ?=
BENCH_FLAGS ?=
SYNTH_FLAGS ?=
FUZZ_FLAGS ?=
REPRODUCE_FLAGS ?=
# Third-party pictures and clips; the tests that want them are skipped where the folder is missing.
export REFCODEC_DATA ?= ../shared/data

# ruff reads no setup.cfg, so its settings stand here.
RUFF_BASE := --isolated --line-length 120 --target-version py310
RUFF_RULES := --select B,BLE,C4,E,F,I,PIE,PT,RET,RUF,SIM,UP,W --config 'src = [".", "tools"]'

.PHONY: help bootstrap demo test hardware check gate reproducible fuzz vectors bench synth oracles clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

bootstrap: ## create .venv and install what is missing
	@tools/bootstrap.sh

demo: bootstrap ## encode, decode, verify and simulate a small picture into out/demo
	@.venv/bin/refcodec demo -o out/demo $(DEMO_FLAGS)

test: bootstrap ## run the tests
	@$(PY) tools/fetch_oracles.py || echo "oracles: not available, the comparisons with them are skipped"
	@$(PY) -m pytest $(PYTEST_FLAGS)

hardware: bootstrap ## run the long tests: whole decoders and faults in hardware, the full suite
	@$(PY) -m pytest $(PYTEST_FLAGS) -m long

check: bootstrap ## lint, types, the repository's own audits, the committed vectors
	$(PY) -m ruff check $(RUFF_BASE) $(RUFF_RULES) .
	$(PY) -m ruff format --check $(RUFF_BASE) .
	$(PY) -m mypy
	$(PY) tools/check_repository.py
	.venv/bin/refcodec vectors verify vectors

gate: bootstrap ## measure what the vectors find: mutants killed, corners seen, clauses covered
	.venv/bin/refcodec vectors mutate vectors
	.venv/bin/refcodec vectors coverage vectors
	.venv/bin/refcodec vectors run --self-test --mutants

reproducible: bootstrap ## rebuild the vectors with other Pythons and NumPys, compare every byte
	@$(PY) tools/reproduce_vectors.py $(REPRODUCE_FLAGS)

fuzz: bootstrap ## read 100,000 damaged streams and model files
	@$(PY) tools/fuzz.py $(FUZZ_FLAGS)

vectors: bootstrap ## write the committed vectors, the kill matrix and the smoke suite anew
	@$(PY) tools/ship_clauses.py
	.venv/bin/refcodec vectors build -o vectors
	.venv/bin/refcodec vectors mutate vectors --write -j 2
	@$(PY) tools/ship_smoke.py
	.venv/bin/refcodec vectors build -o vectors

bench: bootstrap ## measure speed and memory
	@$(PY) tools/bench.py $(BENCH_FLAGS)
	@$(PY) tools/bench_operations.py $(BENCH_FLAGS)

synth: bootstrap ## measure resources and clock rate of engines with yosys and nextpnr, draw them
	@$(PY) -m pip install -qq --disable-pip-version-check --editable ".[synth]"
	@$(PY) tools/synthesis_table.py $(SYNTH_FLAGS)

oracles: bootstrap ## download the third-party coders and TOSA tools that the tests compare with
	@$(PY) tools/fetch_oracles.py

clean: ## remove everything that was made, .venv and .oracles included
	rm -rf .venv .oracles build out .pytest_cache .mypy_cache .ruff_cache .hypothesis ./*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
