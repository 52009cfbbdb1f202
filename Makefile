# GNU Make. dev/bootstrap installs everything under .local/, reports what it does, and does nothing
# twice.
#
# Variables: PORT and AWS_PORT (of make run and make run-service), PYTHON27 and PYTHON3 (the
# interpreters), PYTEST (more options of pytest), BENCH (the options of benchmarks/), CI (if it is
# set, tests fail instead of being skipped when Java, Maven or a client of the service is missing),
# TAG (of make dist and make images: fail unless it is v and the version), IMAGES (of make images).

PYTHON3_BIN := .local/py3/bin
PYTHON27_BIN := .local/py27/bin
RUN_PYTEST := -m pytest -p no:cacheprovider -q -rs
ON_BOTH_PYTHONS := tests/engine tests/contract
ON_PYTHON27 := $(ON_BOTH_PYTHONS) $(addprefix tests/,test_configuration.py \
    test_configuration_files.py plugin)
# These take half of the time on Python 2.7: `make test` runs both halves at the same time.
WRITES := $(addprefix tests/engine/,search store sync write)
FOR_PYTHON27 := docker_registry_index $(ON_PYTHON27) tests/conftest.py setup.py \
    $(addprefix dev/servers/,aws.py credentials.py process.py registry_v1.py \
        run_with_parent.py) \
    $(addprefix dev/storage/,s3.py v1_images.py) \
    $(addprefix benchmarks/,__init__.py loads.py meter.py searches.py)
VERSION = $(shell sed -n "s/^__version__ = '\(.*\)'$$/\1/p" docker_registry_index/__init__.py)
PROVENANCE := --provenance mode=max --sbom true
# The names of images contain no capitals.
tags = $(foreach tag,$(VERSION) latest,--tag $(shell echo '$(IMAGES)' | tr A-Z a-z)/$(1):$(tag))
# Python 3 keeps its compiled modules in .local/, so that the next run need not compile them again.
export PYTHONPYCACHEPREFIX := $(CURDIR)/.local/pycache
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
.PHONY: help run run-service check check-tests lint-py3 setup setup-check setup-run setup-service \
    setup-dist check-tag dist images clean bench bench-full test lint test-py3 test-py27 \
    test-py27-writes test-py27-reads test-ministack test-registry \
    test-service test-page screenshots test-v3 test-packaging test-templates \
    test-images lock test-some-faults test-faults

help: ## Show these lines
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup-run ## Start docker-registry on a local S3, and search it; Ctrl-C ends it (PORT=5000)
	@exec .local/aws/bin/python -m dev.demo.run

run-service: setup-service ## Start a registry v2, the service and nginx; Ctrl-C ends it (PORT=8080)
	@exec .local/aws/bin/python -m dev.demo.run_service

check: setup-check ## Run lint and the tests that need no server: 5 minutes, with Python 3 and pip
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint-py3 check-tests
	@echo 'make check: all passed'

check-tests: setup-check
	@echo '== tests without a server'
	@$(PYTHON3_BIN)/python $(RUN_PYTEST) -n 2 --dist worksteal $(PYTEST) \
	    --ignore tests/end_to_end tests

test: lint ## Run all tests, after installing what they need
	@echo '== runs four parts at a time and shows each when it ends: about 16 minutes in all'
	@$(MAKE) --no-print-directory --jobs=4 --output-sync=target \
	    test-registry test-py27-reads test-py27-writes test-some-faults test-service \
	    test-page check-tests test-py3 test-packaging test-templates
	@echo 'make test: all passed'

lint-py3: setup-check
	@echo '== flake8, Python 3'
	@$(PYTHON3_BIN)/python -m flake8
	@echo '== types of the service'
	@$(PYTHON3_BIN)/python -m mypy

lint: setup lint-py3 ## Check the style, the types of the service, and the syntax for Python 2.7
	@echo '== syntax, Python 2.7'
	@find $(FOR_PYTHON27) -name '*.py' ! -path 'docker_registry_index/service/*' -print0 | \
	    xargs -0 $(PYTHON27_BIN)/python -B -c \
	    'import sys; [compile(open(path).read(), path, "exec") for path in sys.argv[1:]]'

test-py3: setup ## Test the contract of search on Python 3 and DynamoDB Local, without random names
	@echo '== contract, Python 3'
	@$(PYTHON3_BIN)/python $(RUN_PYTEST) --dynamodb local $(PYTEST) tests/contract -k 'not random'

test-ministack: setup ## Test the engine, the contract and the plugin on ministack
	@echo '== engine, contract and registry on ministack, Python 3'
	@$(PYTHON3_BIN)/python $(RUN_PYTEST) --dynamodb ministack $(PYTEST) \
	    $(ON_BOTH_PYTHONS) tests/end_to_end/plugin tests/end_to_end/cli

test-py27: setup ## Test the engine, the contract, the plugin and the configuration on Python 2.7
	@$(MAKE) --no-print-directory test-py27-writes test-py27-reads

test-py27-writes: setup
	@echo '== stores, changes and loads, Python 2.7'
	@$(PYTHON27_BIN)/python $(RUN_PYTEST) --dynamodb local $(PYTEST) $(WRITES)

test-py27-reads: setup
	@echo '== everything else on Python 2.7'
	@$(PYTHON27_BIN)/python $(RUN_PYTEST) --dynamodb local $(PYTEST) \
	    $(addprefix --ignore ,$(WRITES)) $(ON_PYTHON27)

test-registry: setup ## Test the plugin inside the real docker-registry, and the command line
	@echo '== the plugin in docker-registry 0.9.1, and the command line'
	@$(PYTHON3_BIN)/python $(RUN_PYTEST) --dynamodb local $(PYTEST) \
	    tests/end_to_end/plugin tests/end_to_end/cli

test-service: setup ## Test the service with a real registry v2, podman, skopeo, docker and nginx
	@echo '== the service beside CNCF Distribution'
	@$(PYTHON3_BIN)/python $(RUN_PYTEST) $(PYTEST) tests/end_to_end/service

test-v3: setup ## Test the service with version 3 of the registry, built with Go: ten minutes
	@dev/bootstrap distribution-v3 distribution-v3.1
	@echo '== the service beside CNCF Distribution 3'
	@PATH="$(CURDIR)/.local/distribution-v3:$$PATH" \
	    $(PYTHON3_BIN)/python $(RUN_PYTEST) $(PYTEST) tests/end_to_end/service

test-page: setup ## Test the search page in Chromium
	@echo '== the search page in Chromium'
	@$(PYTHON3_BIN)/python $(RUN_PYTEST) $(PYTEST) tests/end_to_end/page

screenshots: setup ## Make the pictures of the search page in docs/screenshots/
	@$(PYTHON3_BIN)/python -m dev.screenshots

test-some-faults: setup ## Test what holds under faults, such as kills and an unavailable DynamoDB
	@echo '== faults'
	@$(PYTHON3_BIN)/python $(RUN_PYTEST) -n 2 --dist worksteal $(PYTEST) tests/end_to_end/faults

test-faults: setup ## Test each fault as often as docs/faults.md states: an hour
	@echo '== faults, the long versions'
	@$(PYTHON3_BIN)/python $(RUN_PYTEST) -s $(PYTEST) --long tests/end_to_end/faults \
	    tests/end_to_end/service/test_service_without_dynamodb.py

bench: setup ## Measure speed and write docs/performance.md: 20 minutes (BENCH=options)
	@$(PYTHON3_BIN)/python -m benchmarks.run $(BENCH)

bench-full: setup ## The same, also with 100 000 repositories: an hour (BENCH=options)
	@$(PYTHON3_BIN)/python -m benchmarks.run --full $(BENCH)

test-packaging: setup ## Build the source package and both wheels, and install them
	@echo '== packages'
	@$(PYTHON3_BIN)/python $(RUN_PYTEST) $(PYTEST) tests/end_to_end/packaging

test-templates: setup ## Test the templates in config/, and their rights with both programs
	@echo '== templates and rights'
	@$(PYTHON3_BIN)/python $(RUN_PYTEST) $(PYTEST) tests/end_to_end/templates

test-images: setup ## Build both images with a Docker daemon, and test them: ten minutes, as root
	@dev/bootstrap base-images distribution-v3 docker-compose
	@echo '== both images'
	@$(PYTHON3_BIN)/python $(RUN_PYTEST) $(PYTEST) tests/end_to_end/images

lock: ## Renew the lock files of the images (LOCK=--upgrade: with the newest versions)
	@dev/bootstrap lock
	@.local/lock/bin/python -m dev.setup.locks $(LOCK)

setup: ## Install everything that the tests need under .local/
	@dev/bootstrap

setup-check: ## Install what make check needs under .local/
	@dev/bootstrap py3

setup-run: ## Install what make run needs under .local/
	@dev/bootstrap py27 aws

setup-service: ## Install what make run-service needs under .local/, and its Debian packages
	@dev/bootstrap py3 aws clients

setup-dist: ## Install what make dist needs under .local/
	@dev/bootstrap py27 py3

dist: setup-dist check-tag ## Build the source package and the wheels for Python 2 and 3 in dist/
	@rm -rf build dist
	@$(PYTHON3_BIN)/python -m build --no-isolation --outdir dist .
	@$(PYTHON27_BIN)/python -m pip --disable-pip-version-check wheel --quiet \
	    --no-deps --no-index --no-build-isolation --wheel-dir dist dist/*.tar.gz

images: check-tag ## Build both images with their provenance, and push them to IMAGES=REGISTRY/OWNER
	docker buildx build --push $(PROVENANCE) $(call tags,registry-index) --file Dockerfile.service .
	docker buildx build --push $(PROVENANCE) $(call tags,docker-registry-dynamodb) .

check-tag:
	@test -z '$(TAG)' || test '$(TAG)' = 'v$(VERSION)' || { \
	    echo 'TAG=$(TAG), but docker_registry_index/__init__.py has the version $(VERSION)' >&2; \
	    exit 1; }

clean: ## Remove everything that the other targets have made
	rm -rf .local build dist .hypothesis .tox *.egg-info
	find . -name '__pycache__' -type d -prune -exec rm -rf {} +
	find . -name '*.py[co]' -type f -delete
