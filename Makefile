# Everything a newcomer needs. Each target does its own set-up, says what it does, and needs
# nothing but make and a Python 3.11, 3.12 or 3.13 (PYTHON=/path/to/python names one).

# Where it is set, every process of the gate would compile pytest and its plugins anew.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv/bin/python
BENCH := .venv-bench/bin/python
SETUP = mkdir -p build && sh tools/find-pythons.sh > build/pythons.txt \
	&& "$$(sed -n '1s/^[^ ]* //p' build/pythons.txt)" tools/environments.py

.DEFAULT_GOAL := help
.PHONY: help setup demo lab faults bench bench-quick test test-quick clean

help: ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

setup: ## make .venv, if it is not there or not up to date
	@$(SETUP) main

demo: setup ## run every notebook into build/demo/*.html and print the ledger
	@$(VENV) tools/demo.py

lab: setup ## open JupyterLab on the notebooks
	@echo "JupyterLab is starting; its address is printed below. Ctrl-C ends it."
	@cd notebooks && ../$(VENV) -m jupyterlab $$([ "$$(id -u)" = 0 ] && echo --allow-root)

faults: setup ## inject every fault that needs no server, and write docs/reliability.md
	@$(VENV) -m benchmarks.faults

bench: ## measure beside the peers and the limits, and write docs/performance.md
	@$(SETUP) bench
	@$(BENCH) -m benchmarks

bench-quick: ## the same in less than two minutes; it writes nothing
	@$(SETUP) bench
	@$(BENCH) -m benchmarks --quick

test: ## the whole gate, on every Python found: lint, types, tests, doctests, notebooks
	@$(SETUP) gate
	@$(VENV) tools/gate.py

test-quick: setup ## the part of the gate that takes less than a minute
	@$(VENV) tools/gate.py --quick

clean: ## remove what the other targets made
	rm -rf build dist .venv .venv-3.* .venv-bench
