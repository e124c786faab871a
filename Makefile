# `make demo` and `make test` do all their own set-up: a .venv with the tested versions. Repeated, they start at once.
# PYTHON=... chooses the interpreter; TORCH_INDEX=... the index of a CPU or CUDA build of torch (see README.md).

SHELL := /bin/sh
VENV := .venv
STAMP := $(VENV)/.installed
CANDIDATES := python3 python3.11 python3.12 python3.13 python3.14 python
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(VENV)/bin/python -m pip install --quiet --quiet --progress-bar off

export OMP_NUM_THREADS ?= 2
export MPLBACKEND ?= Agg

.PHONY: demo test install lint clean

demo: $(STAMP)
	$(VENV)/bin/sciml-diffusion demo $(ARGS)

test: $(STAMP)
	$(VENV)/bin/python -m pytest $(ARGS)

lint: $(STAMP)
	$(VENV)/bin/ruff check .

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@if [ ! -x $(VENV)/bin/python ]; then \
	  found=; \
	  for p in $(PYTHON) $(CANDIDATES); do \
	    if "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$p; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then echo "Python 3.11 or newer is needed and was not found; make PYTHON=/path/to/python ..." >&2; exit 1; fi; \
	  echo "making $(VENV) with $$found"; \
	  "$$found" -m venv $(VENV) || { rm -rf $(VENV); echo "the venv module does not work (Debian: apt install python3-venv)" >&2; exit 1; }; \
	fi
	@echo "installing the tested versions into $(VENV) (once)"
	@$(if $(TORCH_INDEX),$(PIP) -c constraints.txt --index-url $(TORCH_INDEX) torch)
	@$(PIP) -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist
