#!/bin/bash -eu
# Builds every fuzz target into $OUT, each with its corpus and the dictionary. Run within the image of the Dockerfile, or by
# hand with a nightly Rust and cargo-fuzz: OUT=/tmp/out .clusterfuzzlite/build.sh
cd "$(dirname "${BASH_SOURCE[0]}")/.." 2>/dev/null && [ -d fuzz ] || cd "$SRC/headsnip"
# Optimised, with debug assertions: cargo-fuzz does so unless it is told --release.
cargo +nightly fuzz build
host=$(rustc -vV | sed -n "s/^host: //p")
mkdir -p "$OUT"
for target in $(cargo +nightly fuzz list); do
  cp "fuzz/target/$host/release/$target" "$OUT/"
  cp fuzz/http.dict "$OUT/$target.dict"
  (cd "fuzz/corpus/$target" && python3 -m zipfile -c "$OUT/${target}_seed_corpus.zip" ./*)
done
