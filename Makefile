# Every target works alone on a fresh machine with Python 3.11 and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo test lint bench effects faults clean

install: $(STAMP)

# torch first and alone: by its exact version it installs as it is, and nothing that follows asks for another build
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all]'
	@touch $@

demo: $(STAMP)
	$(BIN)/corpusmill run pipelines/recipes/demo.yaml --set output.path=$(CURDIR)/out/demo || test $$? -eq 3
	$(BIN)/corpusmill show out/demo

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto $(PYTEST_ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/python -m tests.benchmarks.run $(if $(PEERS),--peers) $(BENCH_ARGS)

# does prepared data train better models? about 17 CPU minutes, kept in build/effects; writes tests/benchmarks/EFFECTS.md
effects: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.effects $(EFFECTS_ARGS)

# long campaigns: kill -9 in every stage, many times
faults: $(STAMP)
	FAULTS=long $(BIN)/python -m pytest tests/faults --timeout 3600 $(PYTEST_ARGS)

clean:
	rm -rf out build .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
