#!/bin/sh
# Usage: metadata.sh FILE. Applies NoCloud meta-data: host name and public keys.
host=$(sed -n 's/^local-hostname: *"\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' "$1")
hostname "${host:-ursa}"
echo "${host:-ursa}" >/etc/hostname
echo "127.0.0.1 localhost ${host:-ursa}" >/etc/hosts
echo "ursa: host name ${host:-ursa}"
mkdir -p /root/.ssh
sed -n '/^public-keys:/,/^[^ -]/s/^ *- *"\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' "$1" >/root/.ssh/authorized_keys
chmod -R go= /root/.ssh
