#!/bin/sh
# Chromium for the browser tests, LibreOffice for the spreadsheet's: nothing to do when they are there, Debian's packages when we may install, else what to install.
found() { for name in "$@"; do command -v "$name" >/dev/null && return 0; done; return 1; }
wanted=
found chromium chromium-browser google-chrome || wanted="chromium"
found soffice libreoffice || wanted="$wanted libreoffice-calc-nogui"
[ -z "$wanted" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $wanted >/dev/null && exit 0
fi
echo "Not found here: $wanted. Install it (as root: apt-get install $wanted): the tests that need it are skipped without." >&2
[ -z "$CI" ]
