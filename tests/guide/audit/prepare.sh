cat > Cargo.lock <<'LOCK'
version = 4
[[package]]
name = "some-crate"
version = "1.0.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
LOCK
echo '{ "name": "shop", "lockfileVersion": 3, "packages": { "node_modules/left": { "version": "1.0.0" } } }' > package-lock.json
echo '{ "id": "GUIDE-1", "modified": "2026-01-01T00:00:00Z", "summary": "a hole", "affected": [{ "package": { "ecosystem": "npm", "name": "left" }, "versions": ["1.0.0"] }] }' > GUIDE-1.json
python3 -m zipfile -c advisories.zip GUIDE-1.json
