#!/bin/sh
# Chromium for the browser tests: nothing to do when it is there, Debian's package when we may install, else what to install.
for name in chromium chromium-browser google-chrome; do command -v "$name" >/dev/null && exit 0; done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null && exit 0
fi
echo "No Chromium found: install the package 'chromium' (as root: apt-get install chromium) for the browser tests. They are skipped without it." >&2
[ -z "$CI" ]
