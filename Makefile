# Strato. `make` lists the targets. Go and make are all that is needed; what else
# a target wants, it brings or names. Tools run by `go run MODULE@VERSION`, so
# that those who use the SDK do not inherit them through go.mod.

GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
BUF      := github.com/bufbuild/buf/cmd/buf@v1.75.0

# Every folder under plugins/ with a program is a plugin: nothing to add here.
PLUGINS := $(patsubst plugins/%/main.go,%,$(wildcard plugins/*/main.go))

BUILD := CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags "-s -w"

# Packages whose tests run under the race detector: the ones with concurrency of
# their own. The rest would take CI's time and find little.
RACE := (core/internal/(cache|httpapi|ingress|live|outbox|pluginhost|postgres|queue|tenant)|sdk)($$|/)

# The race detector needs a C compiler. Without one these tests run all the same,
# without it.
RACEFLAG := $(if $(shell command -v cc || command -v gcc),-race)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help build strato plugins $(PLUGINS:%=plugin-%) postgres run test test-race bench lint fmt generate verify clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[1m%-10s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: strato plugins ## build bin/strato and bin/plugins/*

strato:
	@echo "Building bin/strato"
	@$(BUILD) -o bin/strato ./core/cmd/strato

plugins: $(PLUGINS:%=plugin-%)

# strato before plugins: two builds at once would compile what they share twice.
$(PLUGINS:%=plugin-%): plugin-%: | strato
	@echo "Building bin/plugins/$*"
	@$(BUILD) -o bin/plugins/$*/$* ./plugins/$*
	@cmp -s plugins/$*/plugin.json bin/plugins/$*/plugin.json || cp plugins/$*/plugin.json bin/plugins/$*/plugin.json

# exec makes the server the recipe's own process: Ctrl-C and a SIGTERM sent to
# make reach it, and make waits until it has stopped. (A SIGINT sent to make alone
# goes no further; make counts on the terminal to send it to all.)
run: postgres build ## build everything and serve the demo at http://127.0.0.1:8080
	@bin=$$(.ci/postgres) || exit 1; \
	if [ -n "$$bin" ]; then export STRATO_POSTGRES_BIN="$$bin"; fi; \
	exec bin/strato demo

# Before the build, which takes minutes the first time: a machine that cannot
# have PostgreSQL is told so at once.
postgres:
	@.ci/postgres >/dev/null

# -count=1 because Go's cache of results knows nothing of the programs that the
# tests build and start.
test: ## run every test
	@.ci/deps
	@race=$$(go list ./... | grep -E '/strato/$(RACE)'); \
	rest=$$(go list ./... | grep -vE '/strato/$(RACE)'); \
	status=0; \
	go test -count=1 -timeout 15m $$rest || status=1; \
	go test -count=1 -timeout 15m $(RACEFLAG) $$race || status=1; \
	exit $$status

test-race: ## run every test under the race detector
	@.ci/deps
	@go test -count=1 -timeout 30m -race ./...

bench: build ## measure against pgbench, raw pgx and HTTP in the same run
	@go run ./core/bench

lint: ## check format and code
	@files=$$(gofmt -l core plugins sdk migrations); \
	if [ -n "$$files" ]; then echo "Not formatted (make fmt):" >&2; echo "$$files" >&2; exit 1; fi
	@go vet ./...
	@go run $(GOLANGCI) run ./...

fmt: ## format the code
	@gofmt -w core plugins sdk migrations

generate: strato ## renew the generated files
	@cd sdk/proto && go run $(BUF) generate
	@bin/strato openapi > docs/openapi.json

verify: strato ## check that what is generated is up to date and what is released unchanged
	@BUF=$(BUF) .ci/verify

clean: ## remove what was built; the demo's data in .strato stays
	@rm -rf bin
