# make quickstart – всё поставить и выполнить главное; make test – проверить.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup quickstart test test-fast engines check format demo bench docs clean
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export TOKENIZERS_PARALLELISM := true

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Нужен Python 3.11 или новее: make PYTHON=python3.11 …')"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --progress-bar off --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --progress-bar off --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

quickstart: setup
	$(BIN)/ruvlm quickstart --out results/quickstart

# axe-core checks the pages' accessibility in the tests; without npm those tests are skipped
$(VENV)/axe.min.js:
	-@cd $(VENV) && command -v npm >/dev/null && npm pack --silent axe-core@4.11.0 >/dev/null && tar -xzf axe-core-4.11.0.tgz package/axe.min.js && mv package/axe.min.js axe.min.js && rm -rf package axe-core-4.11.0.tgz

# a process a core, each with one thread: most tests start processes of their own
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadgroup

test: setup $(VENV)/axe.min.js
	$(PYTEST)

test-fast: setup
	$(PYTEST) -m "not slow"

# the folders that we write, served by a real vLLM: make engines RUVLM_VLLM=/путь/bin/vllm (about 15 minutes)
engines: setup
	@test -x "$(RUVLM_VLLM)" || { echo "Нужен vLLM в окружении с ним: make engines RUVLM_VLLM=/путь/bin/vllm"; exit 2; }
	RUVLM_VLLM="$(RUVLM_VLLM)" $(BIN)/python -m pytest tests/models/test_engines.py -m engines

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	$(BIN)/python bench/world_speed.py
	$(BIN)/python bench/start_speed.py
	$(BIN)/ruvlm quickstart --out results/bench --cnn-steps 1850

demo: setup
	$(BIN)/ruvlm demo nano

docs:
	@ls docs docs/decisions

clean:
	rm -rf results/quickstart results/bench .pytest_cache .mypy_cache .ruff_cache
