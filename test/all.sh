#!/usr/bin/env bash
# npm run test:all: types, lint, documentation, the README's commands, and the tests on every backend.
# No failure keeps the rest from running. Ends with the line "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/.."

passed=0
failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# began NAME COMMAND..., ended: what runs, and how long it took.
began() { echo "== $1: ${*:2}"; SECONDS=0; }
ended() { echo "== took $((SECONDS / 60)) min $((SECONDS % 60)) s"; }

# check NAME COMMAND...: one check, which passes if the command succeeds.
check() {
  began "$@"
  if "${@:2}"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $1"; fi
  ended
}

# tests NAME COMMAND...: a mocha run. Each of its tests counts. A run without a summary counts as one
# failure.
tests() {
  began "$@"
  "${@:2}" 2>&1 | tee "$log"
  local status=${PIPESTATUS[0]}
  local ok bad
  ok=$(awk '$2 == "passing" { sum += $1 } END { print sum + 0 }' "$log")
  bad=$(awk '$2 == "failing" { sum += $1 } END { print sum + 0 }' "$log")
  passed=$((passed + ok))
  failed=$((failed + bad))
  if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then failed=$((failed + 1)); echo "FAILED: $1"; fi
  ended
}

check types npm run typecheck
check lint npm run lint
check demo npm run demo
check 'demo wrote a video' test -s demo.mp4
check 'the command runs' npx svd --help

tests 'tests on wasm' npm run test:wasm
tests 'tests on cpu' npm run test:cpu
check 'API documentation' npm run docs # after the test that docs/layers.md is up to date

check 'set up tensorflow' npx svd setup tensorflow
tests 'tests on tensorflow' npm run test:tensorflow
tests 'tests of what runs on a graphics card' npm run test:gpu

tests 'tests in a browser' npm run test:browser
software=/usr/lib/chromium/vk_swiftshader_icd.json # Vulkan without a graphics card
if [ -e "$software" ]; then export VK_ICD_FILENAMES=${VK_ICD_FILENAMES:-$software}; fi
tests 'tests on webgpu' npm run test:webgpu

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
