# Seamline. `make help` lists what there is; `make demo` shows it all.
VENV := .venv
PY := $(VENV)/bin/python
TOOLS := $(or $(SEAMLINE_HOME),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/seamline)/tools

# What is installed is these folders themselves; a changed pyproject.toml or lock needs it done again.
STAMP := $(VENV)/.installed-$(shell cat pyproject.toml deploy/serve/pyproject.toml locks/dev.txt | cksum | tr ' ' '-')

# The first Python from 3.11 to 3.13 there is (PYTHON=… to choose another).
PYTHON ?= $(shell for p in python3.12 python3.13 python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)

# Compiled files are kept, whatever the environment says: each role, each worker and each command would compile anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help postgres promtool setup upgrade demo test test-quick test-airflow test-clients test-rules chaos mutants lint format bench zip clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

setup: $(STAMP) ## everything needed to run: .venv, dependencies, jars (checked), faster starts; quick when done
	@$(PY) -m seamline.machine.jars >/dev/null
	-@$(PY) -m seamline prepare >/dev/null 2>&1 || echo "Java starts as before: '$(PY) -m seamline prepare' says why" >&2

$(STAMP):
	@if [ -z "$(PYTHON)" ]; then \
		echo "Seamline needs Python 3.11, 3.12 or 3.13: install it (apt-get install python3 python3-venv, brew install python@3.12)" >&2; \
		echo "or name one: make setup PYTHON=/path/to/python3.12" >&2; exit 1; fi
	@PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=src $(PYTHON) -m seamline.machine.java >/dev/null
	@test -x $(PY) || $(PYTHON) -m venv $(VENV) || { \
		echo "$(PYTHON) cannot make virtual environments: install its venv module (apt-get install python3-venv)" >&2; exit 1; }
	@echo "Installing Seamline and its dependencies (the first time about 700 MB, most of it Spark) ..."
	@rm -f $(VENV)/.installed-*
	@deploy/install $(PY) dev -e
	@$(PY) -c 'import seamline, pyspark, duckdb, pytest' && touch $@

upgrade: setup ## the newest releases that pyproject.toml allows: locked anew with their hashes, then all that CI runs
	deploy/lock --upgrade
	.ci/run
	@git --no-pager diff --stat -- locks

postgres: ## PostgreSQL 15, the oracle of what its clients are told, by apt-get where there is none yet (as root)
	@test -x /usr/lib/postgresql/15/bin/initdb || command -v initdb >/dev/null || { \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql-15 postgresql-client-15 >/dev/null; }

promtool: ## Prometheus' tester of rules, built by Go with Go's own checksums, where there is none yet
	@test -x "$(TOOLS)/promtool" || command -v promtool >/dev/null || GOBIN=$(TOOLS) \
		go install github.com/prometheus/prometheus/cmd/promtool@v0.316.0

test-rules: setup promtool ## alerts and recording rules, tried by promtool
	$(PY) -m pytest -c tests/with_promtool/pytest.ini tests/with_promtool

CLIENTS := .venv-clients

test-clients: setup postgres ## other languages' clients of the Postgres port: pgJDBC, Go's pgx and lib/pq, node-postgres, ADBC
	@test -x $(CLIENTS)/adbc/bin/python || $(PYTHON) -m venv $(CLIENTS)/adbc
	@$(CLIENTS)/adbc/bin/python -m pip install --quiet --disable-pip-version-check adbc-driver-postgresql==1.13.0 pyarrow==26.0.1
	@mkdir -p $(CLIENTS)/node && cp tests/with_clients/node/package*.json $(CLIENTS)/node && npm ci --silent --no-audit --no-fund --prefix $(CLIENTS)/node
	@mvn -q -B -f tests/with_clients/jdbc/pom.xml dependency:copy-dependencies -DoutputDirectory=$(CURDIR)/$(CLIENTS)/jdbc
	@cd tests/with_clients/go && go build -o $(CURDIR)/$(CLIENTS)/go .
	$(PY) -m pytest -c tests/with_clients/pytest.ini tests/with_clients

demo: setup ## the whole loop on real events, under 3 minutes (KEEP=1 leaves it running; ARGS=… is passed on)
	@$(PY) -m seamline demo $(if $(KEEP),--keep) $(ARGS)

test: setup ## every test, with a real broker and real Spark
	$(PY) -m pytest -n 3 --dist loadgroup $(ARGS)

test-quick: setup ## the tests without Spark, broker and long series of cases, under three minutes
	HYPOTHESIS_PROFILE=$${HYPOTHESIS_PROFILE:-quick} $(PY) -m pytest -n 2 --dist worksteal -m "not spark and not broker and not thorough" $(ARGS)

SEED ?= 1
KILLS ?= 20

AIRFLOW := .venv-airflow
AIRFLOW_STAMP = $(AIRFLOW)/.installed-$(shell cksum < locks/airflow.txt | tr ' ' '-')

$(AIRFLOW_STAMP):
	@rm -rf $(AIRFLOW)
	@$(PYTHON) -m venv $(AIRFLOW)
	@$(AIRFLOW)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/airflow.txt
	@touch $@

test-airflow: zip $(AIRFLOW_STAMP) ## the DAGs, run by a real Airflow in an environment of its own, with a real spark-submit
	$(AIRFLOW)/bin/python -m pytest -c tests/with_airflow/pytest.ini tests/with_airflow $(ARGS)

chaos: setup ## kills, freezes and changes from a seed while every answer is checked (SEED=1 KILLS=20): docs/chaos.md
	@PYTHONPATH=tests/support:tests/faults $(PY) tests/chaos --seed $(SEED) --kills $(KILLS) $(ARGS)

mutants: setup ## changes the source one thing at a time: do tests without Spark notice? (ARGS="--modules … --most 40 --seed 1")
	@nice $(PY) tests/mutants $(ARGS)

lint: setup ## ruff, mypy strict, import-linter
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	MYPYPATH=src:tests/support $(PY) -m mypy tests/support
	MYPYPATH=src $(PY) -m mypy benchmarks
	$(VENV)/bin/lint-imports

format: setup ## formats and sorts what ruff can
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

bench: setup ## the figures of docs/benchmarks.md on this machine, small (SIZE=whole as there; ARGS="rebuild …"; AGAINST=an earlier bench.json)
	@$(PY) benchmarks --size $(or $(SIZE),small) $(if $(AGAINST),--against $(AGAINST)) $(ARGS)

zip: setup ## build/seamline.zip, for spark-submit --py-files (with deploy/submit.py as the application)
	@rm -rf build/lib build/bdist.* build/zip deploy/serve/build
	@$(PY) -m pip install --quiet --no-deps --no-build-isolation --no-compile --target build/zip ./deploy/serve .
	@$(PY) -c 'from shutil import make_archive; print(make_archive("build/seamline", "zip", "build/zip", "seamline"))'

clean: ## removes all that was made here, .venv too (fetched jars stay in ~/.cache/seamline)
	rm -rf $(VENV) .venv-3.* $(AIRFLOW) $(CLIENTS) build dist deploy/serve/build src/*.egg-info .mypy_cache .ruff_cache .import_linter_cache .hypothesis .demo
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
