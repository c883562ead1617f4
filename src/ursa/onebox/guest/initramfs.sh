#!/bin/busybox sh
# First process of the guest: loads the drivers, mounts the root disk and hands over to its
# init. With `ursa.probe` on the kernel's command line it only says that it runs: that is how
# the VM runtime finds out whether an accelerator boots a real guest.
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
read -r cmdline </proc/cmdline
case " $cmdline " in
*" ursa.probe "*)
    echo "ursa: probe: guest runs"
    poweroff -f
    ;;
esac
for module in /modules/*.ko; do # numbered in the order of their dependencies
    insmod "$module" || echo "ursa: driver $module was refused"
done
if ! mount -t ext4 /dev/vda /root; then
    echo "ursa: no root file system on /dev/vda: the machine stops"
    poweroff -f
fi
mount --move /dev /root/dev
/bin/busybox mount --move /proc /root/proc
exec /bin/busybox switch_root /root /sbin/init
