#!/bin/sh
# Installs the programs of real nodes that are missing: `make node-packages`.
# Where that cannot be done it says what is missing, and fails in CI only: the
# tests then skip themselves, which nobody should overlook in CI.
set -eu

missing=
command -v containerd >/dev/null || missing="$missing containerd"
command -v runc >/dev/null || missing="$missing runc"
[ -x /usr/lib/cni/bridge ] || [ -x /opt/cni/bin/bridge ] || [ -x /usr/libexec/cni/bridge ] || missing="$missing containernetworking-plugins"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "real nodes need$missing; they can be installed here only by root with apt-get" >&2
	[ -z "${CI:-}" ] || exit 1
	exit 0
fi
echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
# shellcheck disable=SC2086 # several words
apt-get -qq install -y --no-install-recommends $missing >/dev/null
