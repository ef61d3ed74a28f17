# The entry for people; `just` lists what there is. CI runs .ci/run, which needs no just.

# what there is
default:
    @just --list

# everything that must hold before a change lands
ci *checks:
    .ci/run {{checks}}

# two providers exchange mail before your eyes
demo *args:
    cargo run --release -- demo {{args}}

# what the machines cost: time and allocations
bench *args:
    cargo bench -p pillarbox-benches {{args}}

# reading IMAP's commands and writing its responses, beside imap-codec and imap-proto in the same run
imap-bench:
    cargo bench -p pillarbox-benches --bench imap

# durable deliveries a second of the store, by number of deliverers and size of message
store-bench:
    cargo run --release -p pillarbox-store --example deliver

# how long a mail reader waits for a mailbox of a thousand to a million messages
mailbox-bench:
    cargo run --release -p pillarbox-store --example mailboxes

# what the search index is worth and what it costs: searches with and without it, its size, deliveries beside it
search-bench *args:
    cargo run --release -p pillarbox-store --example search {{args}}

# a 250 means on disk: the proof, from the system calls of a running server
durability:
    cargo build
    .ci/durability.py

# power failures at every sync and at thousands of moments between, and disks that fail at any step, on the whole store
powerfail states="5000" seed="1" disks="200":
    POWERFAIL={{states}} POWERFAIL_DISKS={{disks}} SEED={{seed}} cargo test --profile sim -p pillarbox-store --test powerfail -- --nocapture

# one state of those that failed, once more: the folder that `just powerfail` named
powerfail-again folder:
    POWERFAIL_AGAIN={{folder}} cargo test -p pillarbox-store --test powerfail power_fails_anywhere -- --nocapture

# the heavier promises, measured on a release binary: memory, crowds, space that comes back; `--runtime smol` and so on
acceptance *parts:
    cargo build --release -p pillarbox
    python3 server/tests/python/acceptance.py target/release/pillarbox {{parts}}

# the same server on each runtime, side by side: lines, throughput, processor time, memory
runtimes *args:
    cargo build --release -p pillarbox
    cargo run --release -p pillarbox-benches --bin runtimes -- {{args}}

# how long a client waits while a hundred others flood garbage and two hundred dribble
fairness *args:
    cargo build --release -p pillarbox
    cargo run --release -p pillarbox-benches --bin fairness -- {{args}}

# several IMAP sessions on the same mailboxes, at random, against a plain reference: `just imap-model 10000 300`, or one seed
imap-model count="10000" disk="300" seed="":
    IMAP_MODEL={{count}} IMAP_MODEL_DISK={{disk}} {{ if seed == "" { "" } else { "IMAP_MODEL_SEED=" + seed } }} cargo test -p pillarbox-tests --test imap_model -- --nocapture

# a large mailbox by IMAP on each runtime: FETCH 1:*, SELECT, and what a session in IDLE holds
imap-figures *args:
    cargo build --release -p pillarbox
    cargo run --release -p pillarbox-benches --bin imap -- {{args}}

# the real server, killed with kill -9 under load again and again on each runtime, and judged after each start
kill-loop *args:
    cargo build --release -p pillarbox
    cargo run --release -p pillarbox-benches --bin crash -- kill {{args}}

# the same with its disk cut off from power, on ext4 and xfs in files, and a control without syncs that must lose mail; wants root
power-cuts *args:
    cargo build --release -p pillarbox
    cargo run --release -p pillarbox-benches --bin crash -- power {{args}}

# ten thousand simulated worlds, each of them twice, under every fault there is; `just sim 100` for fewer, or `just sim 500..600`
sim seeds="10000":
    cargo run --profile sim -p pillarbox --features marks -- sim --seeds {{seeds}}

# mistakes made on purpose, one at a time: each must be found by the simulator; writes docs/planted.md
planted:
    cargo run --profile sim -p pillarbox-sim --features planted --example planted > docs/planted.md.new
    mv docs/planted.md.new docs/planted.md

# which limits, refusals and ways back from trouble ten thousand simulated worlds never reach, and why; writes docs/marks.md
marks *worlds:
    cargo run --profile sim -p pillarbox-sim --features marks --example marks -- {{worlds}} > docs/marks.md.new
    mv docs/marks.md.new docs/marks.md

# coverage-guided fuzzing of one target, by libFuzzer on the stable toolchain: `just fuzz imap-command 600`; fuzz/README.md says more
fuzz target seconds="60" *args:
    fuzz/run {{target}} {{seconds}} {{args}}

# every target in turn, for so many seconds each, and a table of what came of it
fuzz-all seconds="60":
    fuzz/run --all {{seconds}}

# a million messages over a thousand domains with everything that can go wrong, and a tenth of it: time, memory, and what a message costs in each
sim-million *domains:
    cargo run --profile sim -p pillarbox-sim --example million -- {{domains}}
