#!/usr/bin/env bash
# Holds a shop of its own against its description: Schemathesis reads /docs/json and asks every call in hundreds of ways,
# sensible and not. Orders, payments, a code and dead letters are made before (real-data.ts), so that it finds some. Needs python3 and an index for pip; everything lies in a temporary folder.
set -euo pipefail
cd "$(dirname "$0")/../.."
dir=$(mktemp -d)
port=${PORT:-19200}
export JWT_SECRET=description-check-secret-of-a-good-length
shop=
stop() {
  if [ -n "$shop" ]; then
    kill -INT "$shop" 2>/dev/null || true
    wait "$shop" || true
  fi
  rm -rf "$dir"
}
trap stop EXIT

python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check 'schemathesis==4.32.*'

STAMPEDE_DIR="$dir/shop" PORT="$port" SEED_SHOWS=false node scripts/shop.mjs >"$dir/shop.log" 2>&1 &
shop=$!
for _ in $(seq 1200); do
  curl -fs "http://127.0.0.1:$port/health/ready" >/dev/null && break
  kill -0 "$shop" || { cat "$dir/shop.log"; exit 1; }
  sleep 0.1
done

BROKER_URL="tcp://127.0.0.1:$((port + 12))" \
  BROKER_TOKEN=$(node -p 'JSON.parse(require("fs").readFileSync(process.argv[1])).brokerToken' "$dir/shop/secrets.json") \
  node dist/e2e/description/real-data.js "http://127.0.0.1:$port" >"$dir/description.json"

claims() { node -e 'process.stdout.write(Buffer.from(JSON.stringify(eval("(" + process.argv[1] + ")"))).toString("base64url"))' "$1"; }
unsigned="$(claims '{alg:"HS256",typ:"JWT"}').$(claims '{sub:"checker",roles:["admin"],exp:Math.floor(Date.now()/1000)+3600}')"
signature=$(printf %s "$unsigned" | openssl dgst -sha256 -hmac "$JWT_SECRET" -binary | basenc --base64url -w0 | tr -d =)

# It keeps a cache where it runs.
config=$PWD/e2e/description/schemathesis.toml
cd "$dir"
"$dir/venv/bin/schemathesis" --config-file "$config" run description.json --url "http://127.0.0.1:$port" \
  --header "Authorization: Bearer $unsigned.$signature" "$@"
