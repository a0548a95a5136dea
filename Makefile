# Storehouse. `make` lists the targets; the README says more.
.DEFAULT_GOAL := help
SHELL := /bin/bash

# Unset: uv takes a Python from 3.11 to 3.13 that is here, or brings one. Set: that one.
PYTHON ?=
BIN := .venv/bin
# The uv on the PATH if it is 0.13 or later, else one of our own.
UV := $(or $(shell uv --version 2>/dev/null | awk '{split($$2, v, "."); if (v[1] > 0 || v[2] >= 13) print "uv"}'),.tools/bin/uv)
export PYTHONPATH := $(CURDIR)
export DBT_PROFILES_DIR := $(or $(value DBT_PROFILES_DIR),$(CURDIR))
export DO_NOT_TRACK := 1

# Make's own `AS` is the assembler; ours is a source's name.
ifeq ($(origin AS),default)
undefine AS
endif
# In Windows' Linux the environment has the machine's; ours is a metric's.
ifeq ($(origin NAME),environment)
undefine NAME
endif

# What is given (`make audit SELECT=x`) stands in the environment of the recipes, where the shell takes it as it is:
# `$(SELECT)` in a recipe would be read as part of the shell's script. As it is, to make too: it would put in the place of
# `$(shell …)` in a customer's id what that command says, where it exports what stands on its command line.
$(foreach name,ARGS AS BAD_ORDERS BEFORE BACKFILL_DAYS BACKFILL_SIZE BY CONNECTOR CSV CURRENCIES CUSTOMER DAYS DBT_PROFILES_DIR FOLDER FORCE FROM FULL GROUP HISTORIES \
	HISTORY_SEED INTO JSON KEY KILLS KILL_SEED META MODEL NAME ORDER PAGE PORT READ SELECT SEND SIZE SOURCE SQL STOREHOUSE_HOME TABLE TO UNTIL VARS,\
	$(if $(value $(name)),$(eval override $(name) := $$(value $(name)))$(eval export $(name))))
# An option that was given:
option = $(if $(value $(1)),--$(2)="$$$(1)")
# The words of a variable, with quotes as in a shell, for "$${words[@]}" after it:
given = printf '%s' "$$$(1)" | xargs -r true && words=() && \
	while IFS= read -r -d '' word; do words+=("$$word"); done < <(printf '%s' "$$$(1)" | xargs -r printf '%s\0') &&

INSTALLED := .venv/.installed
PACKAGES := dbt_packages/.installed

## run        land the next day and build everything (first time: 30 days of the demo shop). DAYS= UNTIL= SIZE= BAD_ORDERS= VARS=
.PHONY: run
run: $(PACKAGES)
	@$(BIN)/python -m storehouse run $(call option,DAYS,days) $(call option,UNTIL,until) $(call option,SIZE,size) $(call option,BAD_ORDERS,bad-orders) $(call option,VARS,vars)

## discover   print the declaration of a source: SOURCE=a URL, a variable that holds one, or a declared source; AS= names it, META= narrows it
.PHONY: discover
discover: $(INSTALLED)
	@$(if $(value SOURCE),,$(error What? make discover SOURCE=BILLING_DATABASE_URL))$(BIN)/python -m extract_load discover $(call option,AS,as) $(call option,CONNECTOR,connector) $(call option,META,meta) -- "$$SOURCE"

## check-source  read a bit of SOURCE= and say what differs from its declaration
.PHONY: check-source
check-source: $(INSTALLED)
	@$(if $(value SOURCE),,$(error Which? make check-source SOURCE=shop))$(BIN)/python -m extract_load check -- "$$SOURCE"

## reconcile  compare what has landed with the databases, and land what loads missed, deletes above all: SOURCE= TABLE= narrow it; ARGS="--dry-run --compare columns"
.PHONY: reconcile
reconcile: $(PACKAGES)
	@$(call given,ARGS) $(BIN)/python -m extract_load reconcile $(if $(value SOURCE),"$$SOURCE") $(call option,TABLE,tables) "$${words[@]}"

## snapshot   after a gap in the change log of SOURCE=: read its tables in full, land what differs. TABLE= narrows it; ARGS="--allow-empty"
.PHONY: snapshot
snapshot: $(PACKAGES)
	@$(if $(value SOURCE),,$(error Which? make snapshot SOURCE=billing))$(call given,ARGS) $(BIN)/python -m extract_load "$$SOURCE" --snapshot $(call option,TABLE,tables) "$${words[@]}"

## published  which build readers see, group by group, what holds back the next, and which they can be taken to
.PHONY: published
published: $(INSTALLED)
	@$(BIN)/python -m storehouse published

## unpublish  take what readers see of GROUP= back to an earlier build: TO=a number that `make published` lists (the one before)
.PHONY: unpublish
unpublish: $(PACKAGES)
	@$(if $(value GROUP),,$(error Which? make unpublish GROUP=shop))$(BIN)/python -m storehouse unpublish $(call option,TO,to) -- "$$GROUP"

## republish  end that: on to what is built of GROUP=, if it is tested
.PHONY: republish
republish: $(PACKAGES)
	@$(if $(value GROUP),,$(error Which? make republish GROUP=shop))$(BIN)/python -m storehouse republish -- "$$GROUP"

## metric     revenue, orders, retention, … of the published marts: NAME=net_revenue BY=month,channel FROM= UNTIL= CSV=file SQL=1. Without NAME: list them
.PHONY: metric
metric: $(PACKAGES) target/manifest.json
	@$(BIN)/python -m storehouse metric $(call option,BY,by) $(call option,FROM,from) $(call option,UNTIL,until) $(call option,CSV,csv) $(if $(value SQL),--sql) $(if $(value NAME),-- "$$NAME")

## metrics    answer Prometheus on PORT= (9184), until interrupted; without a server: .venv/bin/python -m storehouse metrics
.PHONY: metrics
metrics: $(INSTALLED)
	@$(BIN)/python -m storehouse metrics --serve "$${PORT:-9184}"

## publish    ratings to Redis (REDIS_URL), daily sales as Parquet (SALES_EXPORT_URL): what changed
.PHONY: publish
publish: $(INSTALLED)
	@$(BIN)/python -m publish all

## test       the tests, three files at a time; ARGS= goes to pytest ("-n 0": one at a time)
.PHONY: test
test: $(PACKAGES)
	@$(call given,ARGS) $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder "$${words[@]}"

## bench      does a day cost what changed? 1 million against 10 million orders; in STOREHOUSE_HOME/small and /large, 50 GB, which stay
.PHONY: bench
bench: $(PACKAGES)
	@$(call given,ARGS) $(BIN)/python -m bench.scale "$${words[@]}"

## bench-extract  what extract-load costs over a pipe of 2 million orders; ARGS="--before PATH": and over the code in that worktree
.PHONY: bench-extract
bench-extract: $(PACKAGES)
	@$(call given,ARGS) $(BIN)/python -m bench.extract_load "$${words[@]}"

## bench-change-log  what 20,000 changes of 2 million orders cost by change_log, and by updated_at; ARGS="--dlt PYTHON": and by dlt
.PHONY: bench-change-log
bench-change-log: $(PACKAGES)
	@$(call given,ARGS) $(BIN)/python -m bench.change_log "$${words[@]}"

## bench-reconcile  what it costs to compare 2 million orders with their source, and to find 1,000 differences; ARGS="--orders 10000000 --rounds 3"
.PHONY: bench-reconcile
bench-reconcile: $(PACKAGES)
	@$(call given,ARGS) $(BIN)/python -m bench.reconcile "$${words[@]}"

## bench-airflow  what Airflow costs on top of dbt: bare, Cosmos LOCAL, WATCHER, ours; after `make run`
.PHONY: bench-airflow
bench-airflow: $(PACKAGES) start target/manifest.json
	@$(call given,ARGS) $(BIN)/python -m bench.airflow "$${words[@]}"

## fuzz       play random histories: HISTORIES=100, HISTORY_SEED= plays one again; READ=full plays those that are read so
.PHONY: fuzz
fuzz: $(PACKAGES)
	@$(call given,ARGS) HISTORIES="$${HISTORIES:-20}" $(BIN)/python -m pytest tests/converge$(if $(value READ),/test_from_the_source.py) -s "$${words[@]}"

## chaos      kill dbt, extract-load, readers of a change log, the parts of Airflow and the server: KILLS=100, KILL_SEED=
.PHONY: chaos
chaos: $(PACKAGES)
	@$(call given,ARGS) KILLS="$${KILLS:-50}" $(BIN)/python -m pytest tests/chaos -s "$${words[@]}"

## test-backfill  Airflow's own backfill of the demo shop, backwards with holes, then forwards over all: BACKFILL_DAYS=30, BACKFILL_SIZE=0.1
.PHONY: test-backfill
test-backfill: $(PACKAGES)
	@$(call given,ARGS) BACKFILL_DAYS="$${BACKFILL_DAYS:-30}" BACKFILL_SIZE="$${BACKFILL_SIZE:-0.1}" $(BIN)/python -m pytest tests/dags/test_backfill.py "$${words[@]}"

## audit      rebuild every converging model from raw beside the warehouse and compare; SELECT= narrows it; FROM=source compares raw with its databases too
.PHONY: audit
audit: $(PACKAGES)
	@$(BIN)/python -m storehouse audit $(call option,SELECT,select) $(call option,FROM,from)

## backup     back the whole server up and verify it: in full the first time and each week (FULL=1), else what changed; TO=folder
.PHONY: backup
backup: $(INSTALLED)
	@$(BIN)/python -m storehouse backup $(call option,TO,to) $(if $(value FULL),--full)

## restore    restore the back-up FROM=, verified, INTO=a new home; FORCE=1: in place of this one, which is kept aside. Without FROM: list them
.PHONY: restore
restore: $(INSTALLED)
	@$(BIN)/python -m storehouse restore $(call option,FROM,from) $(call option,INTO,into) $(if $(value FORCE),--force)

## archive    write what has landed, of before BEFORE=2026-01-31, and is in no archive yet as Parquet into FOLDER=; it stays in raw
.PHONY: archive
archive: $(INSTALLED)
	@$(BIN)/python -m storehouse archive $(call option,FOLDER,folder) $(call option,BEFORE,before)

## replay     land again what the archives of FOLDER= have and the ledger lacks
.PHONY: replay
replay: $(INSTALLED)
	@$(BIN)/python -m storehouse replay $(call option,FOLDER,folder)

## alerts     what is amiss now, since when, whom it hurts, and where the runbook tells more; SEND=yes tells people first, as a run does
.PHONY: alerts
alerts: $(INSTALLED)
	@$(BIN)/python -m storehouse alerts $(if $(value SEND),--send)

## status     can the data be trusted, what broke, since when, whom it hurts, what to do: on a screen, and as a page (target/status.html; PAGE=file)
.PHONY: status
status: $(INSTALLED)
	@$(BIN)/python -m storehouse status $(call option,PAGE,page)

## dashboard  sales, customers, products, reviews as analysts ask for them: one page without network (target/dashboard.html; PAGE=file)
.PHONY: dashboard
dashboard: $(INSTALLED)
	@$(BIN)/python -m storehouse dashboard $(call option,PAGE,page)

## report     the sales report of the last whole week, as it is sent to REPORT_URL; SEND=yes sends it, once a period (REPORT_EVERY)
.PHONY: report
report: $(PACKAGES) target/manifest.json
	@$(BIN)/python -m storehouse report $(if $(value SEND),--send)

## pictures   the screenshots in docs/images, with a Chromium, of a demo shop and an Airflow of their own; some minutes
.PHONY: pictures
pictures: $(PACKAGES) target/manifest.json
	@$(BIN)/python tests/pictures.py

## rates      monthly exchange rates of the ECB into seeds/exchange_rates.csv; CURRENCIES="SEK PLN" adds some
.PHONY: rates
rates: $(INSTALLED)
	@$(call given,CURRENCIES) $(BIN)/python -m storehouse rates "$${words[@]}"

## trace      what became of ORDER= or CUSTOMER=, or of KEY= of the mart MODEL=: landed versions, refusals, each layer, readers. JSON=1
.PHONY: trace
trace: $(PACKAGES)
	@$(if $(or $(value ORDER),$(value CUSTOMER),$(value KEY)),,$(error Which? make trace ORDER=web-123))$(if $(filter-out 0 1,$(words $(if $(value ORDER),1) $(if $(value CUSTOMER),1) $(if $(value KEY),1))),$(error One of ORDER, CUSTOMER and KEY))$(call given,KEY) $(BIN)/python -m storehouse trace $(if $(value CUSTOMER),--model=dim_customers) $(call option,MODEL,model) $(if $(value JSON),--json) -- $(if $(value ORDER),"$$ORDER") $(if $(value CUSTOMER),"$$CUSTOMER") "$${words[@]}"

## forget     erase a person everywhere and prove it: CUSTOMER=web-123. At the source first (docs/privacy.md)
.PHONY: forget
forget: $(PACKAGES)
	@$(if $(value CUSTOMER),,$(error Whom? make forget CUSTOMER=web-123))$(call given,CUSTOMER) $(BIN)/python -m storehouse forget -- "$${words[@]}"

## start      start the embedded PostgreSQL and the demo shop's API
.PHONY: start
start: $(INSTALLED)
	@$(BIN)/python -m storehouse start

## stop       stop them, and nothing else
.PHONY: stop
stop: $(INSTALLED)
	@$(BIN)/python -m storehouse stop

## psql       open the warehouse; SQL on standard input is run
.PHONY: psql
psql: $(INSTALLED)
	@$(BIN)/python -m storehouse psql

## env        the warehouse's place, for dbt by hand: eval "$(make -s env)" && .venv/bin/dbt build
.PHONY: env
env: $(INSTALLED)
	@$(BIN)/python -m storehouse env

## docs       dbt's documentation and lineage, as one HTML file
.PHONY: docs
docs: $(PACKAGES)
	@$(BIN)/python -m storehouse docs

## airflow    Airflow with its UI, on this machine only
.PHONY: airflow
airflow: $(PACKAGES) start target/manifest.json
	@$(BIN)/python -m storehouse.laptop.airflow

## manifest   dbt's graph, which the DAG is rendered from
.PHONY: manifest
manifest: target/manifest.json
DBT_FILES := $(shell find models seeds snapshots macros packages/converge tests/data -type f ! -name '*.pyc' 2>/dev/null)
target/manifest.json: $(PACKAGES) dbt_project.yml $(DBT_FILES)
	@$(BIN)/dbt parse --quiet
	@touch $@

## check      what every change passes before it is shown: lint, types, policy, imports, the tests that need no server; about a minute
.PHONY: check
check: $(PACKAGES)
	@$(MAKE) --no-print-directory -j 4 lint types policy imports test-quick
	@echo "check: all is well"

## lint       Python (ruff), SQL of models, tests, macros and the dashboard (sqlfluff), YAML (yamllint)
.PHONY: lint
lint: lint-python lint-yaml lint-sql
.PHONY: lint-python lint-yaml lint-sql
lint-python: $(INSTALLED)
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
lint-yaml: $(INSTALLED)
	@$(BIN)/yamllint --strict .
# The rules that .sqlfluff leaves out, and two more: these queries are read beside a chart, so they name no column twice.
SHORTER := RF02,RF03,RF04,AL07,ST06,AM09,AM06,ST07
# Linted again when SQL, or how it is linted, has changed.
lint-sql: target/.linted
target/.linted: $(INSTALLED) .sqlfluff $(shell find models macros tests/data examples dashboard/queries packages/converge/lint -name '*.sql' -o -name '*.py' 2>/dev/null)
	@PYTHONWARNINGS=ignore $(BIN)/sqlfluff lint --processes 0 --disable-progress-bar --nocolor models tests/data examples
	@$(BIN)/sqlfluff lint --templater placeholder --exclude-rules $(SHORTER) --disable-progress-bar --nocolor dashboard/queries
	@mkdir -p target && touch $@

## types      Python's types (pyright)
.PHONY: types
types: $(INSTALLED)
	@$(BIN)/pyright --warnings --pythonpath $(BIN)/python

## policy     what every model, source and macro must have (dbt-bouncer.yml), and macros' YAML against their arguments
.PHONY: policy
policy: target/.parsed
	@$(BIN)/dbt-bouncer run --show-all-failures > target/policy.txt || { cat target/policy.txt; exit 1; }
# Warnings of dbt's are errors here.
target/.parsed: $(PACKAGES) dbt_project.yml $(DBT_FILES)
	@$(BIN)/dbt --quiet --warn-error-options '{"error": "all", "silence": ["UnsupportedConstraintMaterialization"]}' parse
	@touch target/manifest.json $@

## imports    which part of the code may import which (import-linter, pyproject.toml)
.PHONY: imports
imports: $(INSTALLED)
	@$(BIN)/lint-imports --no-logo --no-cache

## test-quick  the tests that need no server (marked `quick`)
.PHONY: test-quick
test-quick: $(PACKAGES)
	@$(BIN)/python -m pytest -n 0 -m quick $$(grep -rl --include='*.py' 'mark.quick' tests packages)

## coverage   the tests, and which lines of Python they ran, in commands of their own too; ARGS= goes to pytest
.PHONY: coverage
coverage: $(PACKAGES)
	@$(call given,ARGS) $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --cov --cov-report=term-missing:skip-covered --cov-report=html "$${words[@]}"

## format     let ruff and sqlfluff mend what they can
.PHONY: format
format: $(INSTALLED)
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .
	@$(BIN)/sqlfluff fix models tests/data examples

## clean      stop, and remove the data, the logs and what was built (not .venv)
.PHONY: clean
clean:
	@home="$${STOREHOUSE_HOME:-.storehouse}"; \
	if [ -d "$$home" ] && [ -x $(BIN)/python ]; then $(BIN)/python -m storehouse stop || exit; fi; \
	rm -rf "$$home"/{postgres,demo,export,logs,airflow,dbt,pii_key} target dbt_packages logs package-lock.yml

.PHONY: help
help:
	@sed -n 's/^## /  make /p' Makefile

.tools/bin/uv:
	@echo "uv is missing or older than 0.13: installing it into .tools"
	@python=$$(command -v $(PYTHON) python3 python | head -n 1) && \
		"$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 9))' 2>/dev/null && \
		"$$python" -m venv .tools && .tools/bin/pip install --quiet uv==0.13.9 || \
		{ echo "To begin, have uv 0.13 or later, or Python 3.9 or later with its venv module (Debian: python3-venv)." >&2; exit 1; }

$(INSTALLED): uv.lock pyproject.toml | $(filter .tools/%,$(UV))
	@echo "installing the environment (once) …"
	@$(UV) sync --frozen --quiet $(if $(PYTHON),--python "$(PYTHON)")
	@touch $@

$(PACKAGES): $(INSTALLED) packages.yml
	@$(BIN)/dbt deps --quiet
	@touch $@
