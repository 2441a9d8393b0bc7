# What people type. `make check` is what CI runs, and needs only Go and git.

FUZZTIME ?= 10s
COUNT    ?= 20
BENCH    ?= -n 64
CHAOS    ?= 10m
BROWSER  ?=
VIEWS    ?=
KILLS    ?= 200
REPLAY   ?= 1000000
CLIENTS  ?= 1000

.DEFAULT_GOAL := check

.PHONY: help check test race lint law bench bench-log bench-peers bench-views chaos-projector streams fuzz-short chaos-log chaos-servers clients browser soak golden build clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 17

check: ## everything CI checks, in the order in which it fails fastest
	@.ci/run

test: ## all tests
	go test ./...

race: ## all tests under the race detector (needs a C compiler)
	go test -race -timeout 10m ./...

lint: ## gofmt, go vet, staticcheck
	@.ci/run lint

law: ## the repository's own law: imports, ceilings, names, links, records
	go test -count=1 -run '^TestLaw' .

bench: ## micro-benchmarks of every package
	go test -run '^$$' -bench . -benchmem ./...

bench-log: ## the table of docs/bench.md about the log: appends, outbox, REPLAY (1000000) events replayed, end to end; 4 minutes
	go test -run '^$$' -bench 'Append|Outbox' -benchtime 2s -timeout 20m ./events/jslog
	go test -run '^$$' -bench Replay -benchtime 2x -timeout 20m ./events/jslog -replay $(REPLAY)
	go test -run '^$$' -bench EndToEnd -benchtime 2000x -timeout 20m ./test/integration

bench-peers: ## a cluster of BENCH (-n 64) beside memberlist's: detection and cost, 20 minutes
	cd test/bench && go run . $(BENCH)

bench-views: ## fold, restart, reads and the past over 1,000,000 events of 10,000 nodes: 3 minutes, 2 GB of disk
	go run ./test/views $(VIEWS)

chaos-projector: ## KILLS (200) times kill -9 of a projector while events flow: its hashes stay those of one never killed
	go test -count=1 -timeout 30m -v -run '^TestI9KilledProjectors$$' ./test/integration -kills $(KILLS)

streams: ## CLIENTS (1000) of the event stream while 1,000 events a second are folded: none misses, repeats or reorders
	go test -count=1 -timeout 10m -v -run '^TestI10StreamClients$$' ./test/integration -stream-clients $(CLIENTS) -stream-seconds 30 -stream-strict

fuzz-short: ## every fuzz target for FUZZTIME (10s)
	@.ci/fuzz $(FUZZTIME)

chaos-log: ## kill -9 of members, projectors and NATS servers, several at once, for CHAOS (10m), and a checker of what became of every event
	go test -count=1 -timeout 2h -v -run '^TestChaos$$' ./test/integration -chaos $(CHAOS)

chaos-servers: ## NATS servers killed and their leader moved under appends from eight writers, for CHAOS (10m)
	go test -count=1 -timeout 2h -v -run '^TestKilledServers$$' ./infra/nats -chaos $(CHAOS)

clients: ## clients that are none of ours: prometheus, dig, the nats CLI; each says what it needs
	@for script in prometheus dig nats; do test/integration/clients/$$script.bash || exit 1; done

soak: ## all tests COUNT (20) times under the race detector: what is flaky shows
	go test -race -count=$(COUNT) -timeout 4h ./...

browser: ## the page in a real browser; needs Debian's chromium, or BROWSER=PATH
	cd test/browser && go vet ./... && go test -count=1 -timeout 10m . -browser "$(BROWSER)"

golden: ## rewrite the expected output of the command scripts; read the diff before committing it
	go test ./cmd/member -run '^TestScripts$$' -update

build: ## both binaries into bin/
	go build -o bin/ ./cmd/...

clean: ## what the targets above leave behind
	rm -rf bin
	find . -path ./.git -prune -o -type f \( -name '*.test' -o -name '*.prof' -o -name '*.out' \) -exec rm -f {} +
