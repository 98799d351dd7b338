PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet -c constraints.txt

.PHONY: install demo test lint docs evidence bench bench-quick clean

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) torch==2.13.0
	$(PIP) -e '.[dev,docs]'
	touch $@

install: .venv/ready  ## .venv with ficta in it

demo: .venv/ready  ## train a VAE and a GAN on the built-in digits
	rm -rf runs/demo-vae runs/demo-gan
	$(BIN)/ficta train vae --data digits --out runs/demo-vae --minutes 1
	$(BIN)/ficta train gan --data digits --out runs/demo-gan --minutes 1
	@echo
	@echo "Look at runs/demo-vae/report.html and runs/demo-gan/report.html."
	@echo "Then try:  $(BIN)/ficta sample runs/demo-vae -n 100"
	@echo "           $(BIN)/ficta train vae --data FOLDER_OF_PICTURES --minutes 10"

test: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2

lint: .venv/ready
	$(BIN)/ruff check src tests benchmarks docs/conf.py
	$(BIN)/ruff format --check src tests benchmarks docs/conf.py
	$(BIN)/mypy

docs: .venv/ready
	$(BIN)/sphinx-build -W -q -b html docs docs/_build

evidence: .venv/ready .venv-bench/ready  ## long runs that show the claims of docs/results.md; more than 8 hours on 2 cores
	for job in start kill precision article-vae mnist-gans gan-stability; do \
		$(BIN)/python benchmarks/evidence.py $$job || exit 1; \
	done
	for script in intervals verdicts stacked evaluation table choosing; do \
		$(BIN)/python benchmarks/$$script.py || exit 1; \
	done
	for job in nll weighted priors layers codes labels; do $(BIN)/python benchmarks/vaes.py $$job || exit 1; done
	$(BIN)/python benchmarks/factors.py
	$(BIN)/python benchmarks/toys.py
	$(BIN)/python benchmarks/toys_gans.py
	for job in codes labels deep few equal styles reject; do $(BIN)/python benchmarks/gans.py $$job || exit 1; done
	for job in adult peers balance size; do $(BIN)/python benchmarks/rows.py $$job || exit 1; done

.venv-bench/ready: benchmarks/requirements.txt constraints.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --quiet -c constraints.txt -r benchmarks/requirements.txt
	touch $@

bench: .venv/ready .venv-bench/ready  ## side by side with Keras, pythae and a plain PyTorch loop
	$(BIN)/python benchmarks/bench.py

bench-quick: .venv/ready  ## against plain PyTorch alone, each kind of family, under 7 minutes; fails below a floor
	$(BIN)/python benchmarks/bench.py --quick

clean:
	rm -rf .venv .venv-bench docs/_build
