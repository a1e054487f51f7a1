# Every target works on a fresh clone: it makes its own virtual environment and installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2

.PHONY: demo test bench check format clean

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable . --group dev
	touch $@

demo: $(STAMP)  ## The main job, for real, over a bad link, with a crash in the middle.
	$(BIN)/bisik demo

test: $(STAMP)  ## Everything that must hold; under four minutes on two cores.
	$(BIN)/python -m pytest -n $(WORKERS)

bench: $(STAMP)  ## Tables beside aioquic; half an hour on a quiet machine. SMALL=1 only shows that it works.
	$(BIN)/python -m benchmarks $(if $(SMALL),--small,--record docs/benchmarks.md)

check: $(STAMP)  ## Format, lint, types, import contracts.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)  ## Put the format right.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV)
