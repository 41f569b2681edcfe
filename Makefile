# The two commands are `make serve` and `make test`; the rest is what they are made of.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
SEEDS ?= 1000
JOBS ?= $(shell nproc)

.PHONY: serve test lint types contracts unit browser fuzz proxies peers simulate mutate clean help
.DEFAULT_GOAL := help

help:
	@echo "make serve   install what is needed and start the server (lobby open to guests); ARGS='--port 9000' adds flags"
	@echo "make test    install what is needed and run lint, types, import contracts and tests"
	@echo "make browser install what the browser and Node.js tests need (Debian's chromium, the npm SDK) and run them"
	@echo "make proxies install Debian's nginx and Caddy and run the tests of a server behind them"
	@echo "make fuzz    send the real server generated requests, by everybody who may come (schemathesis; about two minutes)"
	@echo "make peers   install what hubbub bench peers compares with: Python and npm packages"
	@echo "make simulate  simulate the engine under faults, SEEDS=1000 of them; a seed that fails is shrunk and can be replayed"
	@echo "make mutate    break the engine on purpose, one promise at a time; every mutant must be caught (about 20 minutes)"
	@echo "make clean   remove the virtual environment and caches (never the data)"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --disable-pip-version-check -q -e .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --disable-pip-version-check -q -e '.[dev]'
	@touch $@

serve: $(VENV)/.run
	@exec $(BIN)/hubbub serve --guests $(ARGS)

test: lint types contracts unit

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

contracts: $(VENV)/.dev
	$(BIN)/lint-imports

unit: $(VENV)/.dev
	$(BIN)/pytest -m "not browser and not node and not fuzz and not proxy" $(ARGS)

browser: $(VENV)/.dev
	.ci/browser
	# Two runs: Playwright drives an asyncio loop of its own in the process.
	$(BIN)/pytest -m browser tests/browser $(ARGS)
	$(BIN)/pytest -m node tests/page tests/integration $(ARGS)

proxies: $(VENV)/.dev
	.ci/proxies
	$(BIN)/pytest -m proxy tests/integration $(ARGS)

fuzz: $(VENV)/.dev
	$(BIN)/pytest -m fuzz tests/fuzz $(ARGS)

peers: $(VENV)/.dev
	cd bench/peers/node && npm ci --no-audit --no-fund --silent

simulate: $(VENV)/.dev
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) --jobs $(JOBS) $(ARGS)

mutate: $(VENV)/.dev
	$(BIN)/python -m tests.mutation.run $(ARGS)

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis node_modules build dist
