#!/usr/bin/env bash
# Build Prism, the portable Beam runner that tests/test_engines.py starts. Needs Go; takes a minute or two once, then nothing.
# Without it those tests are skipped. The version is that of apache-beam in constraints.txt: runner and SDK belong together.
set -euo pipefail
version=v2.77.0
folder="${XDG_CACHE_HOME:-$HOME/.cache}/avs-data/servers/prism-$version"
if [ ! -x "$folder/prism" ]; then
    rm -rf "$folder.part"
    GOBIN="$folder.part" go install "github.com/apache/beam/sdks/v2/go/cmd/prism@$version"
    rm -rf "$folder"
    mv "$folder.part" "$folder"
fi
echo "$folder/prism"
