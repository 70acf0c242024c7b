# Each target sets up from nothing: Python 3.11+ and make are all that is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Two files of tests at a time, each on one thread; a file stays whole, so that what its tests share is made once.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

.PHONY: bench test perf gpu-check coverage costs lint audit-controls clean

bench: $(VENV)/installed
	$(BIN)/bench run

test: $(VENV)/installed-test
	$(PYTEST)

# What it costs, beside the script that everybody writes: half an hour, on an idle machine. PERF_N=1000 takes ten.
perf: $(VENV)/installed-test
	$(BIN)/pytest tests/performance -q -p no:xdist --benchmark-enable --benchmark-json=build/measured.json
	$(BIN)/python tests/performance/page.py build/measured.json

# On a machine with a CUDA device: its tests, a small grid on both devices, timings; at most eight minutes.
gpu-check: $(VENV)/installed-test
	$(BIN)/python tests/performance/gpu_check.py

coverage: $(VENV)/installed-test
	$(PYTEST) --cov=purification_bench --cov-report=term:skip-covered

# What dry runs estimate by, where nothing was computed yet: medians over the published results, and those of make bench.
costs: $(VENV)/installed
	$(BIN)/python -m purification_bench.benchmark.run.costs leaderboard/published leaderboard/reproduction leaderboard/controls $(wildcard results)

# What hides its gradient, cheats, is honest, or robust: the audit of each, written to leaderboard/controls.
NAMES = $(shell sed -n 's/^@register_defense("\(.*\)")/\1/p' $(1:%=tests/plugins/%.py) | paste -sd, -)
PLUGINS = $(1:%=--plugin tests/plugins/%.py)

audit-controls: $(VENV)/installed
	$(BIN)/bench audit $(call NAMES,masked honest),binarize,median $(call PLUGINS,masked honest) -n 200 --out leaderboard/controls || test $$? -eq 1
	$(BIN)/bench audit $(call NAMES,cheating ordinary) $(call PLUGINS,cheating ordinary) -n 50 --out leaderboard/controls || test $$? -eq 1
	$(BIN)/bench audit none,median --classifier model_a_at -n 200 --out leaderboard/controls || test $$? -eq 1
	$(BIN)/bench audit none --dataset fashion_mnist -n 200 --out leaderboard/controls || test $$? -eq 1
	$(BIN)/bench audit none,median --dataset fashion_mnist --classifier 'model_a_at[eps=0.1]' -n 200 --out leaderboard/controls || test $$? -eq 1

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) .editable build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

$(VENV)/bin/pip:
	@echo "Setting up $(VENV): torch and what it needs are some GB, so this takes a few minutes the first time."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

$(VENV)/installed: $(VENV)/bin/pip pyproject.toml
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/installed-test: $(VENV)/bin/pip pyproject.toml
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@ $(VENV)/installed

$(VENV)/installed-dev: $(VENV)/bin/pip pyproject.toml
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@ $(VENV)/installed $(VENV)/installed-test
