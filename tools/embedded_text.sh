#!/bin/sh
# Cuts the embedded text from Debian's bible-kjv-text: sh tools/embedded_text.sh
# Needs: apt-get install bible-kjv bible-kjv-text
# A verse a line, without its number, whole verses up to a million bytes. The program
# prints the first verse when it starts.
set -eu
target="$(dirname "$0")/../ddw_graph/training/king_james/text.txt"
echo 'Gen1:1-Rev22:21' | bible -f 2>/dev/null |
    sed -nE 's/^(bible[^>]*> *)?[1-3]?[A-Z][A-Za-z]*[0-9]+:[0-9]+ //p' |
    LC_ALL=C awk 'NR > 1 { size += length($0) + 1; if (size > 1000000) exit; print }' > "$target"
wc -c "$target"
