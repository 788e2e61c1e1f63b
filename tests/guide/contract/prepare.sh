# The released one had a path that is gone.
sed 's|^  /health:|  /status:|' openapi.yaml > released.yaml
