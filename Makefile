PYTHON ?= python3
bin = .venv/bin
pytest = $(bin)/python -m pytest -n auto --maxprocesses 4 --dist loadgroup --no-loadscope-reorder

.PHONY: lab edit test test-all prepare run bench matrix site

lab: .venv/lab.ok; $(bin)/coursehelpers lab
edit: .venv/lab.ok; $(bin)/coursehelpers lab nbs
test: .venv/dev.ok; sh tests/programs.sh && $(pytest) -m 'not long' $(ARGS)
test-all: .venv/dev.ok; sh tests/programs.sh && $(pytest) $(ARGS)
prepare: .venv/dev.ok; $(bin)/coursehelpers prepare
run: .venv/dev.ok; $(bin)/coursehelpers run --save $(ARGS)
bench: .venv/bench.ok; sh tests/programs.sh && $(bin)/python -m bench $(ARGS)
matrix: .venv/dev.ok; sh tests/programs.sh && $(bin)/python -m scripts.matrix $(ARGS)
site: .venv/docs.ok; $(bin)/sphinx-build -q -W docs docs/_build/html

# One environment; each extra is installed once, and again when what it is made of changes.
.venv/%.ok: pyproject.toml constraints.txt coursehelpers/__init__.py; $(PYTHON) scripts/environment.py $* && touch $@
