SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# A linter is run at a pinned version, without becoming a dependency.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.0

# Where serve and demo listen.
LISTEN ?= 127.0.0.1:8080

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 14

.PHONY: demo
demo: ## See it all offline, on a simulated market, at http://localhost:8080; DATA=FOLDER plays real archive files
	@scripts/start $(if $(DATA),archive "$(LISTEN)" "$(DATA)",simulated "$(LISTEN)")

.PHONY: run
run: ## Fetch every candle from the exchange, train, and serve on http://localhost:8080
	@scripts/start exchange "$(LISTEN)"

.PHONY: build
build: assets ## Build bin/cryptoboat
	@go build -trimpath -o bin/cryptoboat ./cmd/cryptoboat

.PHONY: assets
assets: ## Fetch the browser code that is built into the binary
	@scripts/assets

.PHONY: up
up: ## Start the database
	@scripts/database start

.PHONY: down
down: ## Stop the database; its data stay
	@scripts/database stop

.PHONY: serve
serve: build up ## Serve what the database holds
	@CRYPTOBOAT_DATABASE_URL="$$(scripts/database url)"; export CRYPTOBOAT_DATABASE_URL; \
	bin/cryptoboat migrate up; \
	exec bin/cryptoboat serve -listen $(LISTEN)

.PHONY: soak
soak: build up ## Run it against a failing exchange for DURATION=600 seconds, and verify that nothing was lost
	@scripts/soak $(DURATION)

# TESTFLAGS=-run=... narrows a run; PACKAGES names packages. Nothing is taken from
# the cache: a database is no file whose change Go would notice.
PACKAGES ?= ./...
TESTFLAGS ?=

.PHONY: test
test: assets test-tools up ## Run every test on a real database
	@CRYPTOBOAT_DATABASE_URL="$$(scripts/database url)" go test -count=1 -timeout 15m $(TESTFLAGS) $(PACKAGES)

.PHONY: test-race
test-race: assets test-tools up
	@CRYPTOBOAT_DATABASE_URL="$$(scripts/database url)" go test -count=1 -race -timeout 15m $(TESTFLAGS) $(PACKAGES)

.PHONY: test-tools
test-tools:
	@scripts/test-tools

.PHONY: check
check: check-format check-generated lint test-race ## Check format, vet, lint, generated files, and test with -race

.PHONY: check-format
check-format:
	@unformatted="$$(gofmt -l cmd internal charts migrations)"; \
	if [[ -n $$unformatted ]]; then echo "not gofmt-ed:"; echo "$$unformatted"; exit 1; fi

.PHONY: check-generated
check-generated: assets
	@go mod verify >/dev/null
	@go mod tidy -diff
	@go run ./cmd/cryptoboat openapi | diff -u openapi/openapi.yaml - || { echo "openapi/openapi.yaml is stale: make generate"; exit 1; }
	@scripts/readme | diff -u README.md - || { echo "README.md is stale: make generate"; exit 1; }

.PHONY: lint
lint: assets
	@go vet ./...
	@go run $(STATICCHECK) ./...

.PHONY: generate
generate: assets ## Write openapi/openapi.yaml and the tables of README.md from the code
	@go run ./cmd/cryptoboat openapi > openapi/openapi.yaml.new
	@mv openapi/openapi.yaml.new openapi/openapi.yaml
	@scripts/readme > README.md.new
	@mv README.md.new README.md

.PHONY: bench
bench: assets up ## Measure import, training and serving, each as a ratio in one run
	@CRYPTOBOAT_DATABASE_URL="$$(scripts/database url)" scripts/bench

.PHONY: bench-forest
bench-forest: assets ## Measure the forest beside XGBoost and scikit-learn, in one run
	@scripts/bench forest
