#!/bin/sh
# Runs once at every boot, started by init: configures the machine from its NoCloud disk
# (label cidata) and says on the console what it does.
# Source: cloud-init, "NoCloud" (files meta-data, user-data, network-config).
echo "ursa: init reached"
mount -t sysfs sys /sys
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
acpid -l /dev/null -p /run/acpid.pid # hears the power button from here on
ip link set lo up
mkdir /run/cidata
if ! disk=$(findfs LABEL=cidata) || ! mount -t iso9660 -o ro "$disk" /run/cidata; then
    echo "ursa: no NoCloud disk: the machine stays unconfigured"
    exit 0
fi
cd /run/cidata || exit

/lib/guest/metadata.sh meta-data
[ -f network-config ] && /lib/guest/network.sh network-config

user_data() {
    read -r first <user-data || [ -n "$first" ] || return 0
    case $first in
    "#!"*) cat user-data ;;
    "#cloud-config"*) /lib/guest/cloudconfig.sh user-data ;;
    *) echo "echo 'ursa: user-data is neither a script (#!) nor a #cloud-config: ignored'" ;;
    esac
}
if [ -f user-data ]; then
    user_data >/run/user-data
    chmod 700 /run/user-data
    cd /root || exit
    [ -s /run/user-data ] && { /run/user-data; echo "ursa: user-data ended with exit code $?"; }
fi
echo "ursa: ready"
