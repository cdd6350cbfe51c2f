#!/bin/bash
# Packs what the machines and the function of a fleet run.
#
#   infra/package.sh FLEET OUT arm64=BINARY [x86_64=BINARY]
#
# FLEET is the folder with the fleet's trawler.toml. OUT gets a package for
# machines of each architecture, schedule.zip for the function, and
# `parameters`, which name them for `aws cloudformation deploy`. The same input
# gives the same bytes, and another release has another name.
set -euo pipefail

# Amazon Linux 2023 has this version of the C library.
GLIBC_MAX=2.34

fail() { echo "package.sh: $*" >&2; exit 1; }

here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 3 ] || fail "usage: package.sh FLEET OUT arm64=BINARY [x86_64=BINARY]"
fleet=$1 out=$2
shift 2
[ -f "$fleet/trawler.toml" ] || fail "$fleet has no trawler.toml"
mkdir -p "$out"
out=$(cd "$out" && pwd)

# Machine of an ELF file, from its header.
machine() {
    case $(od -An -tx2 -j18 -N2 "$1" | tr -d ' ') in
        00b7) echo arm64 ;;
        003e) echo x86_64 ;;
        *) echo other ;;
    esac
}

# Newest version of the C library that a binary asks for.
glibc() { grep -a -o 'GLIBC_2\.[0-9]*' "$1" | sed 's/GLIBC_//' | sort -uV | tail -1; }

stage() {
    rm -rf "$out/stage" && mkdir "$out/stage"
    cp "$2" "$out/stage/trawler"
    cp "$fleet/trawler.toml" "$out/stage/"
    cp "$here/$1"/* "$out/stage/"
    # Whatever the umask: the worker is not root.
    chmod 755 "$out/stage"
    chmod 644 "$out/stage"/*
    chmod 755 "$out/stage/trawler"
    for script in boot.sh bootstrap; do
        [ ! -f "$out/stage/$script" ] || chmod 755 "$out/stage/$script"
    done
}

arm= x86= function=
for pair in "$@"; do
    arch=${pair%%=*} binary=${pair#*=}
    [ -f "$binary" ] || fail "$pair: there is no file $binary"
    [ "$(machine "$binary")" = "$arch" ] || fail "$binary is built for $(machine "$binary") and not for $arch"
    needs=$(glibc "$binary")
    if [ "$(printf '%s\n' "$GLIBC_MAX" "$needs" | sort -V | tail -1)" != "$GLIBC_MAX" ]; then
        fail "$binary needs glibc $needs, and Amazon Linux 2023 has $GLIBC_MAX: build it on Debian 12 or in a container of amazonlinux:2023"
    fi
    stage instance "$binary"
    package=$out/trawler-$arch.tar.gz
    tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$out/stage" -cf - . | gzip -n > "$package"
    sum=$(sha256sum "$package" | cut -d' ' -f1)
    case $arch in
        arm64) arm=$sum ;;
        x86_64) x86=$sum ;;
    esac
    if [ -z "$function" ]; then
        function=$arch
        stage lambda "$binary"
        python3 - "$out/stage" "$out/schedule.zip" <<'END'
import os, sys, zipfile

folder, target = sys.argv[1:]
with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        # Without a date, so that the same input gives the same bytes.
        entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
        entry.compress_type = zipfile.ZIP_DEFLATED
        entry.external_attr = (os.stat(path).st_mode & 0o777 | 0o100000) << 16
        entry.create_system = 3
        with open(path, "rb") as file:
            package.writestr(entry, file.read())
END
    fi
done
rm -rf "$out/stage"

release=$(cat "$out/schedule.zip" <(echo "$arm $x86") | sha256sum | cut -c1-16)
{
    echo "Release=$release"
    echo "ArmSha256=$arm"
    echo "X86Sha256=$x86"
    echo "ScheduleArchitecture=$function"
} > "$out/parameters"
echo "release $release is in $out"
