# make demo   sets everything up and runs the main job
# make test   sets everything up, lints, type-checks and runs the tests

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PLUGINS := $(sort $(wildcard plugins/*/pyproject.toml))
EDITABLE := $(foreach plugin,$(PLUGINS),-e ./$(dir $(plugin)))

.PHONY: demo test lint slow bench clean

demo: .installed
	$(BIN)/lesionbench run --augmenter classic --augmenter 'dcgan[steps=500,batch_size=32,learning_rate=0.0005]' \
	    --synthetic 480 --classifier 'kth-cnn[steps=300]' --seeds 2 --out runs/demo

# Two processes; the tests of one file stay together, because they share what they made, and long files come first.
test: lint
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

lint: .installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy src $(wildcard plugins/*/src)

slow: .installed
	$(BIN)/pytest -m slow

# Every row of docs/speed.md, beside its reference: 35 minutes on 2 cores on which nothing else runs.
bench: .installed
	$(BIN)/python benchmarks/speed/bench.py

# Remade when a dependency changes; the packages themselves are installed editable.
.installed: pyproject.toml constraints.txt $(PLUGINS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "lesionbench needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.11"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -c constraints.txt -e ".[torch,dask,s3]" $(EDITABLE) --group dev
	touch .installed

clean:
	rm -rf .venv .installed runs
