# Each target sets up what it needs in a private environment (.venv) and then does its work.
# The first Python that runs and that TensorFlow has wheels for is taken; PYTHON=... overrides it.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& echo $$python && break; done)
BIN := .venv/bin
# Without a GPU, TensorFlow logs an error at level 2; whoever wants all of its messages sets this to 0.
export TF_CPP_MIN_LOG_LEVEL ?= 3
# At no level is TensorFlow silent while its libraries are loaded. These targets own their process, so
# they hold stderr back: if the command fails all of it is shown, else all but those messages.
TENSORFLOW := ^([IWE]0000 |WARNING: All log messages before absl|To enable the following instructions)
quietly = @echo '$(1)'; log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	$(1) 2>"$$log" || { cat "$$log" >&2; exit 1; }; grep -vE '$(TENSORFLOW)' "$$log" >&2; true

.PHONY: demo test coverage slow portable lint types wheel oldest prerelease clients scale docs pages clean

demo: .venv/installed ## find the abnormal heartbeats, beside IsolationForest
	$(call quietly,$(BIN)/python examples/01_find_abnormal_heartbeats.py)

test: .venv/installed ## every test but the slow ones
	$(BIN)/python -m pytest -n 2 -m "not slow"

coverage: .venv/installed ## the same tests, and the lines that they miss; fails below the floor in pyproject.toml
	$(BIN)/python -m pytest -n 2 -m "not slow" --cov=skae --cov-report=term-missing:skip-covered

slow: .venv/installed ## the long repetitions
	$(BIN)/python -m pytest -n 2 -m slow

# Whose results rest on rounding.
NUMERIC := tests/conformance tests/test_architectures.py tests/test_autoencoder.py tests/test_cache.py \
	tests/test_calibration.py tests/test_combined_error.py \
	tests/test_determinism.py tests/test_ensemble.py tests/test_missing_cells.py \
	tests/test_numpy_engine.py tests/test_persistence.py tests/test_recipes.py tests/test_training.py
# Instruction sets, kernels and threads of other processors, as far as this one can pass for them.
PORTABLE := ONEDNN_MAX_CPU_ISA=AVX2 ONEDNN_MAX_CPU_ISA=SSE41 TF_ENABLE_ONEDNN_OPTS=0 \
	OPENBLAS_CORETYPE=Haswell OPENBLAS_CORETYPE=ZEN OPENBLAS_CORETYPE=Nehalem \
	OMP_NUM_THREADS=1,OPENBLAS_NUM_THREADS=1,TF_NUM_INTRAOP_THREADS=1 \
	OMP_NUM_THREADS=2,OPENBLAS_NUM_THREADS=2,TF_NUM_INTRAOP_THREADS=2

portable: .venv/installed ## the numeric tests as on other processors
	failed=; for setting in $(PORTABLE); do \
		echo "$$setting"; \
		env $$(echo $$setting | tr , " ") $(BIN)/python -m pytest -q -n 2 -m "not slow" $(NUMERIC) \
		|| failed="$$failed $$setting"; \
	done; test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

lint: .venv/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/installed-types ## check the types, in the documents' code as well, and what users' editors report
	$(BIN)/python .ci/typed_documents.py docs/_typed
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/pyright --pythonpath $(BIN)/python --project .ci/users

.venv/installed-types: .venv/installed
	$(BIN)/python -m pip install --quiet --editable ".[types]"
	touch $@

.venv/installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "skae needs Python 3.11, 3.12 or 3.13; none was found"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	touch $@

wheel: .venv/installed ## build the wheel and test what it installs, in an environment of its own
	rm -rf dist .venv-wheel
	$(BIN)/python -m pip install --quiet build
	$(BIN)/python -m build --outdir dist
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/python -m pip install --quiet "$$(ls dist/*.whl)"
	cd .venv-wheel && bin/python ../.ci/check_installed.py

docs: .venv/installed-docs ## build the documentation, its examples run, into docs/_build/html
	$(call quietly,$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html)

.venv/installed-docs: .venv/installed
	$(BIN)/python -m pip install --quiet --editable ".[docs]"
	touch $@

pages: docs .venv-pages/installed ## is anything cut off on the built pages or in a report? Needs Chromium
	.venv-pages/bin/python .ci/check_pages.py docs/_build/html

.venv-pages/installed: pyproject.toml
	$(PYTHON) -m venv .venv-pages
	.venv-pages/bin/python -m pip install --quiet --editable ".[pages]"
	touch $@

oldest: ## the conformance run on the oldest declared versions
	test -e .venv-oldest/installed || { $(PYTHON) -m venv .venv-oldest \
		&& .venv-oldest/bin/python -m pip install --quiet --editable ".[test]" --constraint tests/oldest.txt \
		&& touch .venv-oldest/installed; }
	.venv-oldest/bin/python -m pytest -n 2 tests/conformance

clients: .venv-clients/installed ## the recipes for other packages, with these packages
	.venv-clients/bin/python -m pytest tests/clients

.venv-clients/installed: pyproject.toml
	$(PYTHON) -m venv .venv-clients
	.venv-clients/bin/python -m pip install --quiet --editable ".[clients]"
	touch $@

scale: .venv-scale/installed ## frames scored by Dask, with threads, processes and a cluster
	.venv-scale/bin/python -m pytest tests/scale

.venv-scale/installed: pyproject.toml
	$(PYTHON) -m venv .venv-scale
	.venv-scale/bin/python -m pip install --quiet --editable ".[scale]"
	touch $@

# TensorFlow's pre-releases depend on keras-nightly, which overwrites files of keras: so it is removed,
# and keras is installed again. ".[test]" would hold NumPy back (numba does), so pytest has to do.
prerelease: ## the conformance and training tests on the newest versions that fit together
	$(PYTHON) -m venv .venv-prerelease
	.venv-prerelease/bin/python -m pip install --quiet --pre --upgrade \
		--editable . scikit-learn keras tensorflow numpy pandas
	.venv-prerelease/bin/python -m pip uninstall --quiet --yes keras-nightly
	.venv-prerelease/bin/python -m pip install --quiet --pre --force-reinstall --no-deps keras
	.venv-prerelease/bin/python -m pip install --quiet pytest pytest-xdist
	.venv-prerelease/bin/python -c "import skae; skae.show_versions()"
	.venv-prerelease/bin/python -m pytest -n 2 tests/conformance tests/test_training.py tests/test_autoencoder.py

clean:
	rm -rf .venv .venv-wheel .venv-oldest .venv-prerelease .venv-clients .venv-scale .venv-pages .coverage dist figures docs/_build docs/_gallery docs/_typed docs/auto_examples docs/generated
