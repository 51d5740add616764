# Functions that install what the tests need, and only what is missing. To be sourced at the top of the tree.
# shellcheck shell=bash

# `su` without a dash keeps a user's PATH, where the system's own programs are not.
PATH="$PATH:/usr/sbin:/sbin"

target_dir="${CARGO_TARGET_DIR:-$PWD/target}"
clients_dir="$target_dir/venv"

# The clients under test, unmodified, in the last versions ever published.
clients=(cattle==0.5.4 gdapi-python==0.5.3)
# Docker's own library.
clients+=(docker==7.2.0)
# What asks for everything that the OpenAPI documents describe.
clients+=(schemathesis==4.32.5)
# What drives the browser.
clients+=(selenium==4.51.0)
# What finds what people with a screen reader or weak eyes would stumble over.
clients+=(axe-core-python==0.1.0)

# The suites of tests that Docker's library brings along, of the last version that has all of swarms, and what they need.
suites_dir="$target_dir/suites"
suites=docker==6.1.3
suites_need=(pytest==7.4.4 pytest-timeout==2.1.0 paramiko==5.1.0 requests==2.31.0 urllib3==1.26.20)

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# Installs Debian packages; nothing happens without arguments.
apt_install() {
    (($# > 0)) || return 0
    [[ $EUID -eq 0 ]] || die "please install: $*"
    has apt-get || die "this is not Debian; please install: $*"
    local quiet=(-qq -o Dpkg::Use-Pty=0)
    {
        apt-get "${quiet[@]}" update
        DEBIAN_FRONTEND=noninteractive apt-get "${quiet[@]}" install -y --no-install-recommends "$@"
    } >&2
}

need_build_tools() {
    # rustup's per-user directory is not on the PATH of every non-interactive shell.
    has cargo || PATH="$HOME/.cargo/bin:$PATH"
    has cargo || die 'cargo is missing: install Rust from https://rustup.rs'
    local missing=()
    has cc || missing+=(gcc libc6-dev)
    apt_install "${missing[@]}"
    # The minimal profile of rustup lacks these two.
    cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
    cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
}

has_deny() { cargo deny --version >/dev/null 2>&1; }

# Builds cargo-deny once, if that was asked for.
need_deny() {
    PATH="$target_dir/tools/bin:$PATH"
    [[ "${DROVER_TEST_DENY:-}" == 1 ]] || return 0
    has_deny || cargo install --quiet --locked --root "$target_dir/tools" cargo-deny
}

# Checks what is known here, and what is known elsewhere if that can be reached.
check_deny() {
    cargo deny --offline check bans licenses sources
    local url=https://github.com/rustsec/advisory-db
    if curl --silent --head --fail --location --max-time 10 --output /dev/null "$url"; then
        cargo deny check advisories
    else
        printf 'left out: advisories, as %s cannot be reached\n' "$url" >&2
    fi
}

need_postgres() {
    local missing=()
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
    has runuser || missing+=(util-linux)
    apt_install "${missing[@]}"
}

need_live_packages() {
    local missing=()
    has dockerd || missing+=(docker.io)
    has iptables || missing+=(iptables)
    has ip || missing+=(iproute2)
    has chromium || missing+=(chromium)
    has chromedriver || missing+=(chromium-driver)
    # A plain busybox is linked dynamically and would not run in an image of its own.
    dpkg -s busybox-static >/dev/null 2>&1 || missing+=(busybox-static)
    has haproxy || missing+=(haproxy)
    has docker-registry || missing+=(docker-registry)
    has python3 || missing+=(python3)
    python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || missing+=(python3-venv)
    apt_install "${missing[@]}"
    # From Debian 13 on the command line is a package of its own.
    has docker || apt_install docker-cli
}

# Makes the virtual environments, unless complete ones are there: the mark is written last.
need_clients() {
    need_suites
    local mark="$clients_dir/installed"
    [[ "$(cat "$mark" 2>/dev/null)" != "${clients[*]}" ]] || return 0
    rm -rf "$clients_dir"
    python3 -m venv "$clients_dir" >&2
    "$clients_dir/bin/pip" install --quiet --disable-pip-version-check "${clients[@]}" >&2
    printf '%s\n' "${clients[*]}" >"$mark"
}

need_suites() {
    local mark="$suites_dir/installed"
    [[ "$(cat "$mark" 2>/dev/null)" != "$suites ${suites_need[*]}" ]] || return 0
    rm -rf "$suites_dir"
    python3 -m venv "$suites_dir/venv" >&2
    local pip=("$suites_dir/venv/bin/pip" --quiet --disable-pip-version-check)
    "${pip[@]}" download --no-deps --no-binary docker --dest "$suites_dir" "$suites" >&2
    tar --extract --gzip --file "$suites_dir"/docker-*.tar.gz --directory "$suites_dir"
    "${pip[@]}" install "${suites_need[@]}" "$suites_dir"/docker-*.tar.gz >&2
    printf '%s\n' "$suites ${suites_need[*]}" >"$mark"
}
