#!/bin/sh
# configure-arm64.sh ROOT AMD64.tar: give unpacked arm64 packages what their own scripts, which
# would run emulated, have made for amd64: the files of /etc, the record of what is installed, and
# the links of `update-alternatives`.
set -eu
root=$1 amd64=$2

tar -C "$root" -xf "$amd64" --exclude=./etc/ld.so.cache --exclude=./etc/apt ./etc ./var/lib/dpkg/status
tar -tvf "$amd64" | awk '$6 ~ /^\.\/usr\/s?bin\// && $8 ~ /^\/etc\/alternatives\// {print $6}' |
  tar -C "$root" -xf "$amd64" -T -

sed -i 's/amd64/arm64/g' "$root/var/lib/dpkg/status"
for link in "$root"/etc/alternatives/*; do
  to=$(readlink "$link") || continue
  case $to in
    *-amd64/*) ln -sfn "$(echo "$to" | sed 's/-amd64/-arm64/g')" "$link" ;;
  esac
done
