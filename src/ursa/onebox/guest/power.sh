#!/bin/sh
# The power button was pressed: acpid runs this. Everything that matters is on the root disk.
echo "ursa: powering off" >/dev/console
sync
mount -o remount,ro /
poweroff -f
