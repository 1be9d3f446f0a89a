# Sourced by the recipes (`. ../debian.sh`): makes root file systems of Debian packages with mmdebstrap.
#
#   begin_image "$@"     checks the recipe's one argument, an existing empty folder, which becomes $tree
#   step TITLE COMMAND…  does something to $tree and says how long it took
#   finish_image CHECK   removes what a sandbox must not find, and checks the tree; CHECK is the recipe's own check
#
# No mount, device node or setuid bit stays in it: the sandbox brings its own /dev, /proc and /tmp and never gains
# privileges. Progress goes to standard output, a failure is one sentence on standard error.
set -euo pipefail
umask 022

readonly suite=bookworm
recipe=$(cd "$(dirname "${BASH_SOURCE[1]}")" && pwd)
readonly recipe
readonly image=${recipe##*/}

say() { printf '%s: %s\n' "$image" "$*"; }
fail() { printf '%s: %s\n' "$image" "$*" >&2; exit 1; }

# Prints what it is about to do, then how long that took.
step() {
    local title=$1 started=$SECONDS
    shift
    say "$title …"
    "$@"
    say "$title: $((SECONDS - started)) s"
}

begin_image() {
    [ $# -eq 1 ] || fail "usage: build DESTINATION (an existing, empty directory)"
    [ "$(id -u)" -eq 0 ] || fail "must run as root: the files of the image belong to root. Use sudo."
    command -v mmdebstrap >/dev/null || fail "mmdebstrap is not installed. Run: apt-get install mmdebstrap"
    [ -d "$1" ] || fail "$1 is not a directory. Create it first: mkdir -p $1"
    [ -z "$(ls -A "$1")" ] || fail "$1 is not empty. Give an empty directory: the image becomes its whole content."
    tree=$(cd "$1" && pwd -P)
    readonly tree
    [ "$tree" != / ] || fail "/ cannot be the destination"
    scratch=$(mktemp -d)
    readonly scratch
    trap 'rm -rf "$scratch"' EXIT
}

# The host's own Debian sources of this suite, so that its mirrors are used; none if the host is another system.
# apt itself reads them, so every format that it knows works. Foreign archives of the same suite name are left out.
host_sources() {
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)' 'Created-By: Packages' 2>/dev/null |
        awk -v suite="$suite" '
            $2 !~ "^" suite "(-updates|-security)?$" || $3 != "main" { next }
            $4 != "Debian" && $4 != "$(ORIGIN)" { next }  # unexpanded: the lists were never downloaded
            !seen[$1 $2]++ { print "deb", $1, $2, "main" }' || true
}

# How the host's apt reaches its mirrors: proxies, timeouts, certificates.
host_transport() {
    apt-config dump | grep -E '^Acquire::(http|https|ftp|Retries|ForceIPv[46]|Proxy)' || true
}

# Debian's packages in $tree. apt stays outside: nothing can be downloaded in a sandbox anyway.
# usage: debian VARIANT PACKAGE…   VARIANT essential: with Debian's essential packages, everything configured
#                                  VARIANT extract:   only these packages and what they need, unpacked and nothing more
debian() {
    local variant=$1
    shift
    local -a options=(
        --variant="$variant"
        --include="$(IFS=,; echo "$*")"
        --format=directory
        --aptopt="$scratch/transport.conf"
        --aptopt='Acquire::Languages "none"'
        --aptopt='APT::Install-Recommends "false"'
        --dpkgopt='force-unsafe-io'
        --dpkgopt='path-exclude=/usr/share/man/*'
        --dpkgopt='path-exclude=/usr/share/info/*'
        --dpkgopt='path-exclude=/usr/share/locale/*'
        --dpkgopt='path-exclude=/usr/share/doc/*'
        --dpkgopt='path-include=/usr/share/doc/*/copyright'
    )
    # The package that merges /usr afterwards brings all of Perl along, 50 MB; so merge it before.
    local merged_usr=/usr/share/mmdebstrap/hooks/merged-usr
    if [ -d "$merged_usr" ]; then
        printf 'Package: usrmerge\nPin: release *\nPin-Priority: -1\n' >"$scratch/preferences"
        options+=(
            --hook-dir="$merged_usr"
            --setup-hook="cp '$scratch/preferences' \"\$1/etc/apt/preferences.d/no-usrmerge\""
        )
    fi
    # Newer hosts no longer trust the archive's keys for every source; they still ship them.
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    if ! compgen -G '/etc/apt/trusted.gpg.d/debian-archive-*' >/dev/null && [ -e "$keyring" ]; then
        options+=(--keyring="$keyring")
    fi

    host_transport >"$scratch/transport.conf"
    host_sources >"$scratch/sources.list"
    local -a mirrors=()
    if grep -q " $suite " "$scratch/sources.list"; then
        mirrors=("$scratch/sources.list")
        say "packages from: $(awk '{ print $2 }' "$scratch/sources.list" | sort -u | paste -sd ' ')"
    else
        say "this host has no Debian $suite sources; packages from Debian's own mirror"
    fi
    if ! mmdebstrap "${options[@]}" "$suite" "$tree" "${mirrors[@]}" >"$scratch/log" 2>&1; then
        tail -n 30 "$scratch/log" >&2
        fail "mmdebstrap could not build Debian $suite (its last lines are above). Check that apt-get update works."
    fi
}

# The account the sandbox runs as, and files that programs expect to find.
add_identity() {
    local file
    for file in passwd group; do [ -e "$tree/etc/$file" ] || printf 'root:x:0:\n' >"$tree/etc/$file"; done
    grep -q '^root:x:0:0:' "$tree/etc/passwd" || printf 'root:x:0:0:root:/root:/bin/sh\n' >"$tree/etc/passwd"
    local shell=/bin/sh
    [ ! -x "$tree/bin/bash" ] || shell=/bin/bash
    printf 'user:x:1000:1000:user:/home/user:%s\n' "$shell" >>"$tree/etc/passwd"
    printf 'user:x:1000:\n' >>"$tree/etc/group"
    install -d -o 1000 -g 1000 -m 0755 "$tree/home/user"
    # mmdebstrap copies the host's own; a link among them could lead out of the image.
    rm -f "$tree/etc/hostname" "$tree/etc/hosts" "$tree/etc/resolv.conf"
    printf '%s\n' "$image" >"$tree/etc/hostname"
    # The host names that policies give: the default's, the image's name, its first word. Programs look themselves up.
    printf '127.0.0.1 localhost sandbox %s %s\n::1 localhost\n' "$image" "${image%%-*}" >"$tree/etc/hosts"
    : >"$tree/etc/resolv.conf"
}

# Unchecked bytecode: the files never change, and a start saves the stat calls and the parsing.
# usage: compile_python FOLDER   a folder as the image names it
compile_python() {
    chroot "$tree" /usr/bin/python3 -I -m compileall -q -j 0 --invalidation-mode unchecked-hash "$1" ||
        fail "the files in $1 do not compile with the image's python3 (see above)"
}

# What only serves building, and what a sandbox must not find.
strip_down() {
    rm -rf "$tree"/etc/apt "$tree"/var/lib/apt "$tree"/var/cache "$tree"/var/log "$tree"/var/backups
    rm -rf "$tree"/etc/dpkg/dpkg.cfg.d/99mmdebstrap "$tree"/etc/machine-id "$tree"/var/lib/dbus
    rm -rf "$tree"/usr/share/man "$tree"/usr/share/info "$tree"/usr/share/locale "$tree"/usr/share/lintian
    rm -f "$tree"/etc/passwd- "$tree"/etc/group- "$tree"/etc/shadow- "$tree"/etc/gshadow-
    # An unpacked package brings its whole documentation; what has to stay of it is the licence.
    find "$tree/usr/share/doc" -xdev ! -type d ! -name copyright -delete
    find "$tree/usr/share/doc" -xdev -depth -type d -empty -delete
    install -d -m 0755 "$tree/var/cache" "$tree/var/log"
    install -d -m 0755 "$tree/proc" "$tree/dev" "$tree/sys" "$tree/run"
    install -d -m 1777 "$tree/tmp" "$tree/var/tmp"
    # Nothing is mounted here any more, so these are nodes and leftovers of the tree itself.
    find "$tree/dev" "$tree/proc" "$tree/sys" "$tree/run" "$tree/tmp" -xdev -mindepth 1 -delete
    find "$tree" -xdev -type f -perm /6000 -exec chmod a-s {} +
    find "$tree" -xdev -type d -perm /6000 -exec chmod a-s {} +
    chmod 0755 "$tree"
}

# What the platform relies on, checked on the finished tree.
check_tree() {
    local found
    if grep -qF " $tree/" /proc/self/mountinfo; then
        fail "something is still mounted below $tree. Unmount it and build again."
    fi
    found=$(find "$tree" -xdev ! -type f ! -type d ! -type l -print -quit)
    [ -z "$found" ] || fail "$found is a device, pipe or socket; an image holds only files, directories and links"
    found=$(find "$tree" -xdev ! -type l -perm /6000 -print -quit)
    [ -z "$found" ] || fail "$found still has a setuid or setgid bit"
}

# Starts a program of the image as its user, with nothing of the host's environment; for a recipe's own check.
as_user() {
    env -i HOME=/tmp LANG=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin \
        /usr/sbin/chroot --userspec=1000:1000 "$tree" "$@"
}

# usage: finish_image [COMMAND…]   a check of the recipe's own, on the finished tree
finish_image() {
    step "removing what is not needed" strip_down
    [ $# -eq 0 ] || step "trying it" "$@"
    step "checking the tree" check_tree
    say "done in $SECONDS s, $(du -sh --apparent-size "$tree" | cut -f1), $(find "$tree" | wc -l) files"
}
