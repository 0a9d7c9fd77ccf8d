# `make demo` runs the whole road on a simulated fleet; `make test` runs the tests. Both set themselves up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo release-demo test check mutants format clean

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Dojo needs Python 3.11 or later; set PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(STAMP)
	$(BIN)/dojo demo

ablation: $(STAMP)
	$(BIN)/dojo ablation

release-demo: $(STAMP)
	$(BIN)/dojo release-demo

test: $(STAMP)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

# Which changes of the number formats and of what must never fail do their tests not notice? Minutes a module; docs/log.md
# has what came of it.
NUMBERS := scalar=scalar rounding=rounding format=number_format formats=number_format bias=bias fixed=fixed \
	blocks=blocks array=array tensor=tensor block_tensor=block_tensor storage=storage
mutants: $(STAMP)
	$(BIN)/python -m pip install --quiet cosmic-ray
	for pair in $(NUMBERS); do $(BIN)/python benchmarks/mutants.py src/dojo/machine/numbers/$${pair%=*}.py \
		tests/machine/numbers/test_$${pair#*=}.py; done
	for pair in drive/limits release/verify; do $(BIN)/python benchmarks/mutants.py src/dojo/$$pair.py \
		tests/$${pair%/*}/test_$${pair#*/}.py; done

check: $(STAMP)
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_layout.py

format: $(STAMP)
	$(BIN)/ruff format src tests benchmarks
	$(BIN)/ruff check --fix src tests benchmarks

clean:
	rm -rf runs .mypy_cache .ruff_cache .pytest_cache
