# Kehu 客户 — `make` lists what there is. Paths are relative, so that the folder may lie anywhere, spaces included.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run setup stop test lint format cli shots bench clean system
.DELETE_ON_ERROR:

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
# These say which requirements the environment was made for: nothing is installed, or asked of the network, while they
# are newer than the files.
FOR_RUN := $(VENV)/installed-run
FOR_DEV := $(VENV)/installed-dev
# Tests run in as many processes as there are processors, four at most, each with a PostgreSQL of its own.
SHARED_OUT := -n logical --maxprocesses 4 --dist loadgroup --no-loadscope-reorder

# An environment whose Python has gone (upgraded, copied from another machine) is made anew.
$(shell [ ! -e $(VENV) ] || $(PY) -m pip --version >/dev/null 2>&1 || rm -f $(FOR_RUN) $(FOR_DEV))

help: ## this list
	@printf 'Kehu 客户: customers, sales and marketing in one place\n\n'
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1@\2/p' Makefile | awk -F@ '{ printf "%-14s %s\n", $$1, $$2 }'
	@printf '\nSettings: KEHU_PORT (8501), KEHU_ADDRESS (127.0.0.1), KEHU_HOSTS, KEHU_DATA (.data), DATABASE_URL (none: a\n'
	@printf 'PostgreSQL of its own), PYTHON (which Python makes the environment). Example: KEHU_PORT=8600 make run\n'

run: $(FOR_RUN) ## set up what is missing and start Kehu; Ctrl-C stops everything
	@$(PY) -m deploy run

setup: $(FOR_RUN) ## environment, database, schema, demo data, without starting Kehu
	@$(PY) -m deploy setup

stop: $(FOR_RUN) ## stop Kehu, and the PostgreSQL that it brought
	@$(PY) -m deploy stop

cli: $(FOR_RUN) ## the command line: make cli ARGS='--help'
	@$(PY) -m db $(ARGS)

test: $(FOR_DEV) system lint ## everything: lint, types, all tests
	$(PY) -m pytest $(SHARED_OUT) $(ARGS)

lint: $(FOR_DEV) ## ruff and mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: $(FOR_DEV) ## put the code into its form
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

shots: $(FOR_DEV) system ## pictures of every screen, in .data/shots/
	$(PY) -m tests.shots $(ARGS)

bench: $(FOR_RUN) ## measure at scale: make bench ARGS='--help'
	$(PY) -m benchmarks $(ARGS)

clean: ## remove the environment and caches; the data in .data stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.data/*' -prune -exec rm -rf {} +

$(FOR_RUN): requirements.txt
	@$(MAKE) --no-print-directory $(PY)
	$(PIP) install -r requirements.txt
	@touch $@

$(FOR_DEV): requirements.txt requirements-dev.txt
	@$(MAKE) --no-print-directory $(PY)
	$(PIP) install -r requirements-dev.txt
	@touch $(FOR_RUN) $@

# Made only when it does not work: `venv` in place keeps what is installed.
.PHONY: $(PY)
$(PY):
	@$(PY) -m pip --version >/dev/null 2>&1 && exit 0; \
	for candidate in $(PYTHON) python3.13 python3.12 python3.11 python3; do \
		"$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
		found="$$candidate"; \
		"$$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1 || continue; \
		echo "Making the environment in $(VENV) with $$candidate"; \
		"$$candidate" -m venv --clear $(VENV) && exit 0; \
		exit 1; \
	done; \
	if [ -n "$$found" ]; then \
		echo "Kehu: $$found cannot make environments: install its venv package (Debian: apt install python3-venv)." >&2; \
	else \
		echo "Kehu: Python 3.11 or newer is needed, and none was found: install one, or name it: make PYTHON=… run." >&2; \
	fi; exit 1

# Browser tests and pictures use the system's Chromium, driven by a program that needs libatomic; Chinese needs a font.
system:
	@has_browser() { command -v chromium || command -v chromium-browser || command -v google-chrome; }; \
	has_font() { fc-list :lang=zh 2>/dev/null | grep -q .; }; \
	has_library() { [ "$$(uname)" != Linux ] || ls /lib/*/libatomic.so.1 /usr/lib*/libatomic.so.1 2>/dev/null | grep -q .; }; \
	has_browser >/dev/null && has_font && has_library && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing Chromium and a Chinese font for the browser tests"; \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get update && apt-get install -y --no-install-recommends chromium fontconfig fonts-noto-cjk libatomic1 && exit 0; \
	fi; \
	echo "Kehu: the browser tests need Chromium and a Chinese font (Debian: apt install chromium fonts-noto-cjk libatomic1)." >&2
