#!/bin/sh
# Usage: network.sh FILE. Applies network-config version 1 or 2 in block style: static
# addresses, gateways, routes, MTU and name servers of interfaces chosen by MAC.
# Each interface becomes commands, because awk knows values and the shell knows links.
# Source: cloud-init, "Networking config Version 1" and "Version 2".

link() { # the name of the interface whose MAC is $1
    for path in /sys/class/net/*; do
        read -r mac <"$path/address"
        [ "$mac" = "$1" ] && { echo "${path##*/}"; return; }
    done
    echo "ursa: no interface has the MAC $1" >&2
    return 1
}
up() { # MAC MTU
    dev=$(link "$1") || return
    [ -n "$2" ] && ip link set "$dev" mtu "$2"
    ip link set "$dev" up
}
address() { [ -n "$dev" ] && ip addr add "$1" dev "$dev" && echo "ursa: $dev has $1"; }
route() { # DESTINATION GATEWAY; a gateway outside the prefix is on the link
    [ -n "$dev" ] || return
    ip route add "$1" via "$2" dev "$dev" 2>/dev/null && return
    ip route add "$2" dev "$dev"
    ip route add "$1" via "$2" dev "$dev"
}
nameserver() { echo "nameserver $1" >>/etc/resolv.conf; }

: >/etc/resolv.conf
commands=$(tr -d "\"'[]," <"$1" | awk '
    function flush(   i) {
        if (mac != "") {
            print "up", tolower(mac), mtu
            for (i = 0; i < lines; i++) print line[i]
        }
        mac = mtu = to = ""; lines = 0
    }
    { sub(/^ *(- *)?/, ""); key = ""; value = $0 }
    match($0, /^[a-z0-9_-]+:( |$)/) {
        key = substr($0, 1, RLENGTH); sub(/: ?$/, "", key)
        value = substr($0, RLENGTH + 1)
        sub(/^ */, "", value)
    }
    key == "type" && value == "physical" { flush() }
    key == "match" { flush() }
    key == "mac_address" || key == "macaddress" { mac = value }
    key == "mtu" { mtu = value }
    key == "to" || key == "network" || key == "destination" { to = value }
    key == "gateway" || key == "gateway4" || key == "gateway6" || key == "via" {
        line[lines++] = "route " (to == "" ? "default" : to) " " value; to = ""
    }
    (key == "" || key == "address" || key == "addresses") && value ~ /[.:]/ {
        count = split(value, each, " ")
        for (i = 1; i <= count; i++)
            if (each[i] ~ /\//) line[lines++] = "address " each[i]
            else servers = servers "nameserver " each[i] "\n"
    }
    END { flush(); printf "%s", servers }
')
while read -r command first second; do
    case $command in
    up | address | route | nameserver) $command "$first" "$second" ;;
    esac
done <<END
$commands
END
