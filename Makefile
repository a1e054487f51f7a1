# Every target works on a fresh clone: it makes its own virtual environment and installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 3

.PHONY: soak-long soak-load demo test fuzz test-systemd measure-service soak soak-log soak-flood bench pictures check format clean soak-client man

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable . --group dev
	touch $@

demo: $(STAMP)  ## The main job, for real, over a bad link, with a crash in the middle.
	$(BIN)/bisik demo

test: $(STAMP)  ## Everything that must hold; under four minutes on two cores.
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

soak: $(STAMP)  ## The simulator's campaign: SEEDS=10000 BUDGET=1800, or one SEED=42 with EVENTS=200.
	$(BIN)/python -m tests.simulation.soak --workers $(WORKERS) $(if $(SEED),--seed $(SEED)) $(if $(SEEDS),--seeds $(SEEDS)) \
		$(if $(BUDGET),--budget $(BUDGET)) $(if $(EVENTS),--events $(EVENTS)) $(if $(FIRST),--first $(FIRST))

soak-long: $(STAMP)  ## A day in virtual time, and whether anything grew: HOURS=24 SEED=1, or SLICE=1.
	$(BIN)/python -m tests.simulation.soak_long $(if $(SLICE),--slice) $(if $(HOURS),--hours $(HOURS)) $(if $(SEED),--seed $(SEED))

soak-load: $(STAMP)  ## Hundreds of real clients on a real daemon, and whether anything stays: CLIENTS=500 MINUTES=10 RATE=6, or SLICE=1.
	$(BIN)/python -m tests.load.soak $(if $(SLICE),--slice) $(if $(CLIENTS),--clients $(CLIENTS)) \
		$(if $(MINUTES),--minutes $(MINUTES)) $(if $(RATE),--rate $(RATE)) $(if $(SEED),--seed $(SEED))

soak-log: $(STAMP)  ## Campaigns against the log: BUDGET=3600 seconds in all, SLICE=1 for what CI runs, ONLY=kills KILLS=20000.
	$(BIN)/python -m tests.soak_log.soak --workers $(WORKERS) $(if $(BUDGET),--budget $(BUDGET)) $(if $(SLICE),--slice) \
		$(if $(ONLY),--only $(ONLY)) $(foreach name,kills states nonces flips faults fuse cuts,$(if $($(shell echo $(name) | tr a-z A-Z)),--$(name) $($(shell echo $(name) | tr a-z A-Z))))

soak-flood: $(STAMP)  ## Floods a daemon with HELLOs: HELLOS=1000000 RATE=5000 BUDGET=600, or SLICE=1. Needs root and ip.
	$(BIN)/python -m tests.flood.soak $(if $(SLICE),--slice) $(if $(HELLOS),--hellos $(HELLOS)) $(if $(RATE),--rate $(RATE)) \
		$(if $(BUDGET),--budget $(BUDGET))

fuzz: $(STAMP)  ## Fuzz whatever reads bytes of others: SECONDS=600 for all together, TARGET=frames for one.
	$(BIN)/python -m pip install --quiet --group fuzz
	$(BIN)/python -m tests.fuzz.fuzz $(if $(SECONDS),--seconds $(SECONDS)) $(if $(TARGET),--target $(TARGET))

bench: $(STAMP)  ## Tables beside aioquic; fifty minutes on a quiet machine. SMALL=1 only shows that it works.
	$(BIN)/python -m benchmarks $(if $(SMALL),--small,--record docs/benchmarks.md)

test-systemd: $(STAMP)  ## The service under a systemd that it boots with systemd-nspawn. Needs root; skips with a word.
	$(BIN)/python -m pytest -m systemd tests/system/booted

measure-service: $(STAMP)  ## How long an outage is, killed and hung: CYCLES=50 HANGS=5. Needs root, as above.
	$(BIN)/python -m tests.system.booted.measure $(if $(CYCLES),--cycles $(CYCLES)) $(if $(HANGS),--hangs $(HANGS))

soak-client: $(STAMP)  ## Kill a client while it sends: KILLS=200 BUDGET=600 SEED=1.
	$(BIN)/python -m tests.client.kill_soak $(if $(KILLS),--kills $(KILLS)) $(if $(BUDGET),--budget $(BUDGET)) \
		$(if $(SEED),--seed $(SEED))

man: $(STAMP)  ## Write the man pages again, from the source of --help.
	$(BIN)/python -m tests.support.manual

pictures: $(STAMP)  ## The screen, as docs/pictures shows it.
	$(BIN)/python -m tests.client.tui.pictures

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
