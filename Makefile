# Outrigger. `make help` lists the targets; a fresh machine needs Go and make only.

export CGO_ENABLED ?= 0
GO      ?= go
BIN     := $(CURDIR)/bin
MODULES := . devcluster
CONTROLLER_GEN = $(GO) tool -modfile=tools/go.mod controller-gen
GOLANGCI_LINT  = $(GO) tool -modfile=$(CURDIR)/tools/lint/go.mod golangci-lint
# Where the manager's rights are written down; the node agent's are config/node.
MANAGER = ./internal/app ./internal/controller/... ./internal/engine/... ./internal/webhook/...
# Simulated worlds per run of the tests.
SIM_SEEDS ?= 20000

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

.PHONY: demo
demo: binaries cluster-binary ## Build and start everything, do the main job before your eyes, stop everything
	@$(BIN)/demo run

.PHONY: up
up: binaries cluster-binary ## Start a cluster with Outrigger in it and leave it running
	@$(BIN)/demo up

.PHONY: down
down: binaries ## Stop what `make up` started
	@$(BIN)/demo down

.PHONY: test
test: test-fast test-devcluster test-product test-node ## Run all tests

.PHONY: test-fast
test-fast: ## Law, decisions, stories, worlds, faults, goldens: no cluster needed
	SIM_SEEDS=$(SIM_SEEDS) $(GO) test ./internal/... ./api/... ./cmd/... ./config/... ./test/env/... ./test/invalid/... ./test/script/...

.PHONY: test-devcluster
test-devcluster: cluster-binary ## The dev cluster's own tests, with a real control plane
	$(MAKE) -C devcluster test

.PHONY: test-product
test-product: binaries cluster-binary ## The built product on a real API server
	OUTRIGGER_BIN=$(BIN) $(GO) test -count=1 -timeout 30m -v ./test/e2e/...

.PHONY: test-node
test-node: binaries cluster-binary ## Everything that needs real containers: a real kubelet and containerd (as root)
	$(MAKE) -C devcluster test-node
	OUTRIGGER_BIN=$(BIN) $(GO) test -count=1 -timeout 20m -v ./test/node/...

.PHONY: bench
bench: binaries cluster-binary ## Measure the goals (docs/goals.md): a table on the screen, JSON in bench-results/
	$(GO) run ./test/bench

.PHONY: binaries
binaries: ## Build the product and the demo into bin/
	@$(GO) build -o $(BIN)/ ./cmd/... ./test/demo
	@cd devcluster && $(GO) build -o $(BIN)/devcluster ./cmd/devcluster

.PHONY: cluster-binary
cluster-binary: binaries ## Build the Kubernetes control plane (minutes the first time, seconds later)
	@ln -sf "$$($(BIN)/devcluster build)" $(BIN)/kubectl

.PHONY: generate
generate: ## Generate deep copies, CRDs, RBAC and webhook manifests
	$(CONTROLLER_GEN) object crd paths=./api/... output:crd:dir=config/crd
	$(GO) run ./config/gen config/crd/apps.*.yaml
	$(CONTROLLER_GEN) rbac:roleName=kruise-manager $(addprefix paths=,$(MANAGER)) output:rbac:dir=config/rbac

.PHONY: verify
verify: generate ## Fail when generated files are not up to date or files are not formatted
	@git diff --exit-code -- api config || { echo "run make generate and commit the result"; exit 1; }
	@test -z "$$(gofmt -l api cmd internal test devcluster)" || { gofmt -l api cmd internal test devcluster; exit 1; }
	@for m in $(MODULES); do (cd $$m && $(GO) mod verify >/dev/null && $(GO) mod tidy -diff) || exit 1; done

.PHONY: lint
lint: ## Run golangci-lint on every module
	@for m in $(MODULES); do (cd $$m && $(GOLANGCI_LINT) run --config $(CURDIR)/.golangci.yml ./...) || exit 1; done

.PHONY: clean
clean: ## Remove what was built
	rm -rf $(BIN) .dev bench-results
