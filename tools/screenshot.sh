#!/bin/sh
# Takes a picture of the status page of a guest on real Xen: screenshot.sh PICTURE COMMAND, where COMMAND runs the guest and
# forwards a port of 127.0.0.1 to its port 80. The guest serves requests meanwhile, so that the graphs show something.
set -eu
picture=$1
port=$2
shift 2
work=$(mktemp -d)
"$@" >"$work/log" 2>&1 &
guest=$!
traffic=""
# The command leads a process group of its own only under a shell with job control: QEMU ends with its parent.
trap 'kill $guest $traffic 2>/dev/null || true; rm -rf "$work"' EXIT

waited=0
until curl -fsS -o /dev/null --max-time 2 "http://127.0.0.1:$port/healthz" 2>/dev/null; do
    waited=$((waited + 1))
    if [ $waited -gt 1500 ] || ! kill -0 $guest 2>/dev/null; then
        cat "$work/log" >&2
        echo "screenshot: the guest does not answer; its console is above" >&2
        exit 1
    fi
    sleep 1
done
while :; do curl -fsS -o /dev/null "http://127.0.0.1:$port/1k?[1-40]" 2>/dev/null || true; sleep 0.3; done &
traffic=$!
# The page asks once a second: two dozen points of its graphs.
chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1180,900 --user-data-dir="$work/profile" \
    --virtual-time-budget=25000 --screenshot="$work/status.png" "http://127.0.0.1:$port/status" >"$work/chromium" 2>&1 || {
    cat "$work/chromium" >&2
    exit 1
}
pngquant --force --quality=60-90 --output "$picture" "$work/status.png"
printf '%s: %s bytes\n' "$picture" "$(stat -c %s "$picture")"
