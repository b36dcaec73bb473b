# The commands of every day. Each recipe is one line, so that it can be typed without just.

# What there is
default:
    @just --list

# Everything CI runs; `just test rust` leaves the official clients out
test what="all":
    ./scripts/test {{what}}

# Formatting and lints alone
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- --deny warnings

# The demo, for 30 s or as told: `just demo --for 5m --seed 7`
demo *options="--for 30s":
    cargo run -- demo {{options}}

# Rows a second, end to end: `just bench 1000000x200`; figures go to docs/performance.md by hand
bench *cases:
    ./scripts/bench {{cases}}

# Rewrite the configuration reference, the expected problems and the golden files; then read the difference
bless:
    SNOWMELT_BLESS=1 SNOWMELT_REGENERATE=1 cargo test -p snowmelt --lib
    git diff --stat

# Licences, sources, bans, advisories (needs cargo-deny 0.18 or newer)
deny:
    cargo deny --workspace check
