#!/usr/bin/env bash
# Build the S3 server that tests/test_publish_s3.py starts: VersityGW, a gateway to a local folder. Needs Go; takes minutes
# once, then nothing. Without it those tests are skipped.
set -euo pipefail
version=v1.8.0
folder="${XDG_CACHE_HOME:-$HOME/.cache}/avs-data/servers/versitygw-$version"
if [ ! -x "$folder/versitygw" ]; then
    GOBIN="$folder.part" go install "github.com/versity/versitygw/cmd/versitygw@$version"
    rm -rf "$folder"
    mv "$folder.part" "$folder"
fi
echo "$folder/versitygw"
