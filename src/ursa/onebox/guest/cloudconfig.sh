#!/bin/sh
# Usage: cloudconfig.sh FILE. Prints the shell script that a #cloud-config stands for. Known are
# hostname, ssh_authorized_keys, write_files and runcmd in block style; what else is there is
# named on the console and left out.
# Source: cloud-init, "Module reference" (cc_runcmd, cc_write_files, cc_ssh, cc_set_hostname).
echo '#!/bin/sh'
exec awk '
    function quoted(text) { gsub(/\047/, "\047\\\047\047", text); return "\047" text "\047" }
    function plain(text) { # a scalar without its quotes
        if (text ~ /^".*"$/ || text ~ /^\047.*\047$/) return substr(text, 2, length(text) - 2)
        return text
    }
    function words(list,   out, word) { # [a, "b c"] as words of a command
        sub(/^\[ */, "", list); sub(/ *\]$/, "", list)
        while (list != "") {
            if (match(list, /^"([^"\\]|\\.)*"/) || match(list, /^\047[^\047]*\047/) || match(list, /^[^,]*/)) {
                word = plain(substr(list, 1, RLENGTH)); list = substr(list, RLENGTH + 1)
            }
            sub(/^ *, */, "", list)
            gsub(/\\"/, "\"", word)
            out = out quoted(word) " "
        }
        return out
    }
    function write_file() {
        if (path == "") return
        print "mkdir -p \"$(dirname " quoted(path) ")\""
        print "printf %s " quoted(content) " >" quoted(path)
        if (permissions != "") print "chmod " quoted(permissions) " " quoted(path)
        path = content = permissions = ""
    }
    function set(key, value) {
        if (key == "path") path = value
        else if (key == "content") content = value
        else if (key == "permissions") permissions = value
        else print "echo \"ursa: cloud-config: write_files." key " is not known here\""
    }
    function end_block() {
        if (block == "run") print text
        else if (block != "") set(block, text)
        block = text = ""; depth = 0
    }
    { indent = match($0, /[^ ]/) ? RSTART - 1 : 999 }
    block != "" {
        if (!depth && indent != 999) depth = indent
        if (indent >= depth && depth > outer) { text = text substr($0, depth + 1) "\n"; next }
        if (indent == 999) { text = text "\n"; next }
        end_block()
    }
    /^ *(#|$)/ { next }
    indent == 0 && /^[a-z_]+:/ {
        write_file()
        section = substr($0, 1, index($0, ":") - 1)
        value = $0; sub(/^[a-z_]+: */, "", value)
        if (section == "hostname") print "hostname " quoted(plain(value))
        else if (section !~ /^(runcmd|write_files|ssh_authorized_keys)$/)
            print "echo \"ursa: cloud-config: " section " is not known here\""
        next
    }
    section == "ssh_authorized_keys" {
        sub(/^ *- */, ""); print "echo " quoted(plain($0)) " >>/root/.ssh/authorized_keys"; next
    }
    section == "runcmd" {
        outer = indent; sub(/^ *- */, "")
        if (/^[|>][-+]?$/) block = "run"
        else if (/^\[/) print words($0)
        else print plain($0)
        next
    }
    section == "write_files" {
        if (/^ *- /) { write_file(); sub(/- /, "  "); indent = match($0, /[^ ]/) - 1 }
        key = $0; sub(/^ */, "", key); sub(/:.*/, "", key)
        value = $0; sub(/^ *[a-z_]+: */, "", value)
        outer = indent
        if (value ~ /^[|>][-+]?$/) block = key
        else set(key, plain(value))
    }
    END { end_block(); write_file() }
' "$1"
