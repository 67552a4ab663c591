# Two commands on a fresh machine: `make demo` and `make test`. Both install into .venv first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: install demo smoke mini test lint docs wheel bench clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: install
	$(BIN)/llavaction demo --output runs/demo

smoke: install
	rm -rf runs/smoke
	$(BIN)/llavaction data kitchen-mini --output runs/smoke/kitchen_mini --set train_videos=6 --set validation_videos=3 --set test_videos=0
	$(BIN)/llavaction benchmark build --annotations runs/smoke/kitchen_mini/annotations --split validation --output runs/smoke/benchmark
	$(BIN)/llavaction data curate --annotations runs/smoke/kitchen_mini/annotations --mixture kitchen-mini-smoke --output runs/smoke/records
	$(BIN)/llavaction train --config kitchen-mini-smoke

mini: install
	$(BIN)/llavaction train --config kitchen-mini
	rm -rf src/kitchen_mini/weights/mini src/kitchen_mini/weights/specialist
	cp -r runs/kitchen-mini/model/model src/kitchen_mini/weights/mini
	mkdir src/kitchen_mini/weights/specialist
	cp runs/kitchen-mini/specialist/*.json runs/kitchen-mini/specialist/model.safetensors src/kitchen_mini/weights/specialist

test: install
	$(BIN)/python -m pytest -n 2

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

wheel: install
	rm -rf runs/wheel
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir runs/wheel .
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target runs/wheel/site runs/wheel/*.whl
	cd runs/wheel && PYTHONPATH=$$PWD/site $(abspath $(BIN))/python -m llavaction.cli.main demo --output demo

docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: install
	$(BIN)/python benchmarks/decode.py
	$(BIN)/python benchmarks/scoring.py
	$(BIN)/python benchmarks/training.py

clean:
	rm -rf $(VENV) runs
