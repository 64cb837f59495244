# hostdir's work, by name. `make` lists the targets.
#
# What the targets need (Debian packages, Kubernetes, its sidecars, Helm) they
# install or build themselves; what was built is kept under the user's cache
# folder, so that only the first run is slow.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Without the v of a tag: images and charts have none.
VERSION ?= $(shell v=$$(git describe --tags --always --dirty 2>/dev/null || echo dev); echo $${v#v})
# The image that `make image` builds, for a registry of your own.
IMAGE ?= localhost/hostdir/hostdir:$(VERSION)

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
ACTIONLINT := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

UNIT := ./pkg/... ./cmd/... ./tests/architecture/... ./tests/docs ./tests/peers/... ./tests/monitoring
TEST_CLUSTER := test
DEMO_CLUSTER := demo

say = @printf '\n== %s\n' "$(1)"

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##### Everyday work

.PHONY: build
build: ## Build the programs into bin/
	CGO_ENABLED=0 go build -tags grpcnotrace -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/ ./cmd/hostdir ./cmd/hostdir-controller ./cmd/kubectl-hostdir
	go build -o bin/cluster ./tests/cluster

.PHONY: check
check: packages format lint unit ## The inner loop: format, vet, lint, unit tests

.PHONY: format
format: ## Fail if gofmt or go mod tidy would change anything
	$(call say,format)
	@changed=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$changed" ] || { echo "gofmt would change: $$changed" >&2; exit 1; }
	@go mod tidy -diff

.PHONY: lint
lint: ## go vet, staticcheck, and actionlint for the workflows
	$(call say,go vet; staticcheck; actionlint)
	@go vet -tags e2e ./...
	@go run $(STATICCHECK) -tags e2e ./...
	@go run $(ACTIONLINT) .github/workflows/*.yaml

.PHONY: unit
unit: ## Unit tests, with the race detector
	$(call say,unit tests)
	@go test -race $(UNIT)

.PHONY: arm64
arm64: ## Unit tests as they run on arm64, under qemu-user (ten minutes)
	@tests/packages arm64
	@tests/arm64

.PHONY: vuln
vuln: ## govulncheck (needs the Internet: it fetches the vulnerability database)
	go run $(GOVULNCHECK) ./...

.PHONY: bench
bench: packages ## Benchmarks of the store against the bare filesystem, and of quotas
	go test -run '^$$' -bench . -count 3 ./tests/bench

# The sizes that `make scale` measures. 1000 takes three to five minutes; 5000 takes
# a quarter of an hour and 18 GiB of memory.
NODES ?= 100,1000

.PHONY: scale
scale: ## What NODES=100,1000 nodes cost an API server, into docs/explanation/scale.md
	go test -count=1 -timeout 60m -v ./tests/scale -args -nodes $(NODES)

##### Everything, on a fresh machine (Debian, root, Go)

.PHONY: test
test: ## All tests: unit, csi-sanity, bad inputs, crashes, power cuts, end to end on a real Kubernetes
	@tests/run $(TEST_CLUSTER)

.PHONY: stress
stress: packages ## The long modes of the tests that crash, cut, race and storm (two hours)
	$(call say,hostile tenants, storms of calls, large volumes, kernels without new system calls)
	go test -count=1 -p 1 -timeout 90m -v ./tests/hostile ./tests/load ./tests/inputs ./tests/oldkernel -args -long
	$(call say,a crash and each failure at each system call, power cuts)
	go test -count=1 -p 1 -timeout 90m -v ./tests/faults ./tests/powercut -args -long

.PHONY: conformance
conformance: ## Kubernetes' own tests of storage drivers, on a real Kubernetes; FOCUS=REGEXP runs some
	@tests/conformance/run conformance "$${FOCUS:-}"

.PHONY: demo
demo: ## A StatefulSet on a real two-node Kubernetes, with hostdir; stays up
	@tests/demo $(DEMO_CLUSTER)

.PHONY: demo-down
demo-down: ## End the demo and leave nothing behind
	@go build -o bin/cluster ./tests/cluster
	@bin/cluster down --name $(DEMO_CLUSTER)

.PHONY: screenshots
screenshots: ## Pictures of kubectl hostdir for docs/images, of the demo's cluster
	@tests/screenshots/take $(DEMO_CLUSTER)

.PHONY: dashboards
dashboards: packages ## Pictures of Grafana's dashboards for docs/images, of a real Prometheus and Kubernetes (twelve minutes)
	@tests/run $(TEST_CLUSTER) dashboards

.PHONY: figures
figures: packages ## Times and memory, measured on a real Kubernetes
	@tests/run $(TEST_CLUSTER) figures

.PHONY: docs-pages
docs-pages: packages ## The commands of all pages of tutorial and how-to, on a real Kubernetes
	@tests/run $(TEST_CLUSTER) pages

.PHONY: bench-peers
bench-peers: packages ## hostdir beside local-path-provisioner, emptyDir and bare system calls, into docs/explanation/benchmarks.md; PARTS="calls page" measures some
	@tests/peers/run peers

.PHONY: packages
packages: # The Debian packages that tests need and this machine does not have
	@tests/packages

##### Delivery

.PHONY: image
image: ## Build the image IMAGE with docker, podman or buildah
	@for tool in docker podman buildah; do \
		command -v $$tool >/dev/null && $$tool info >/dev/null 2>&1 || continue; \
		case $$tool in buildah) verb=bud ;; *) verb=build ;; esac; \
		echo "building $(IMAGE) with $$tool"; \
		exec $$tool $$verb --build-arg VERSION=$(VERSION) -t $(IMAGE) .; \
	done; \
	echo "make image needs docker, podman or buildah" >&2; exit 1

.PHONY: manifests
manifests: ## Render deploy/kubernetes from the chart (needs Helm 4)
	@deploy/render

.PHONY: dist
dist: ## What a release has into dist/: chart, image, programs, what is in them, checksums (needs Helm 4)
	@deploy/dist $(VERSION) dist

.PHONY: clean
clean: ## Remove bin/ and dist/ (the cache of built programs stays: see tests/cluster/README.md)
	rm -rf bin dist
