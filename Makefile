# Every target makes what it needs; a second call installs nothing.
#   make demo    four departments, a coordinator and a study, from nothing to a released model
#   make test    check, then all tests
#   make nightly the tests that take many minutes and gigabytes of disk
#   make check   format, lint, types, import contracts, wire definitions
#   make bench   measured figures, printed and written to bench.json
#   make fix     format and mend what can be mended by itself
#   make protos  regenerate the stubs
#   make lock    pin the newest versions that fit pyproject.toml

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
UV_VERSION := 0.12.24

# Linux gets the CPU build of torch from its own index (see pyproject.toml). Where pip is
# configured with a folder of wheels, that folder is used instead of the index.
WHEELS := $(or $(PIP_FIND_LINKS),$(shell $(PYTHON) -m pip config get global.find-links 2>/dev/null))
UV := $(if $(WHEELS),UV_NO_SOURCES=1 UV_FIND_LINKS=$(WHEELS) ,)$(BIN)/uv
PIP := $(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt

PROTOS := $(shell find protos -name '*.proto' | sort)
PROTOC := $(BIN)/python -m grpc_tools.protoc -I .

.PHONY: demo test nightly check bench fix protos lock venv format-check lint types contracts wire tests

demo: venv
	$(BIN)/datalabbet demo

test: check tests

check: format-check lint types contracts wire

venv: $(READY)

$(READY): pyproject.toml constraints.txt $(BIN)/uv
	$(PIP) --editable '.[coordinator,node,demo,figures,dev]'
	touch $@

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

format-check: venv
	$(BIN)/ruff format --check --quiet .

lint: venv
	$(BIN)/ruff check --quiet .

types: venv
	$(BIN)/mypy

contracts: venv
	$(BIN)/lint-imports

# Lint the definitions, and generate the stubs anew beside the committed ones: no difference.
wire: venv
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code
	@rm -rf .venv/stubs && mkdir -p .venv/stubs
	@$(PROTOC) --python_out=.venv/stubs --pyi_out=.venv/stubs --grpc_python_out=.venv/stubs $(PROTOS)
	@cd .venv/stubs && for stub in $$(find . -name '*_pb2*'); do \
	  cmp --silent $$stub ../../$$stub || { echo "$$stub is not up to date: run 'make protos'"; exit 1; }; done

tests: venv
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --durations 15

nightly: venv
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m nightly --durations 15

bench: venv
	$(BIN)/python -m tests.bench $(if $(ADULT),--adult $(ADULT))

fix: venv
	$(BIN)/ruff check --quiet --fix .
	$(BIN)/ruff format --quiet .
	$(BIN)/buf format --write

protos: venv
	$(PROTOC) --python_out=. --pyi_out=. --grpc_python_out=. $(PROTOS)

# torch's CUDA packages are left out: the CPU build needs none.
lock: $(BIN)/uv
	$(UV) pip compile --quiet --universal --python-version 3.11 --all-extras --no-emit-package torch \
	  --no-header --no-annotate --no-emit-find-links --no-emit-index-url pyproject.toml \
	  | grep -vE '^(nvidia|cuda|triton)' > constraints.txt.new
	printf 'torch==2.13.0\n' >> constraints.txt.new
	mv constraints.txt.new constraints.txt
