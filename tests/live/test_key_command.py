"""`hub key` and `hub audit`, against an API process."""

from __future__ import annotations

import os
import subprocess
import sys

import httpx

from tests.live.api import KEY
from tests.live.test_api_keys import bearer
from tests.live.test_api_process import ROOT, api, url_of
from tests.plain_http import NO_TLS


def test_keys_and_what_was_done_with_them_on_the_command_line(kafka, namespace, tmp_path):
    with api(kafka, namespace, tmp_path, HUB_API__COLLECT_KEY="true") as process:
        url = url_of(process)

        def hub(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-m", "hub", *words, "--url", url, "--data", str(tmp_path)],
                cwd=ROOT,
                env={**os.environ, "HUB_ADMIN_KEY": KEY, **env},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )

        with httpx.Client(base_url=url, transport=httpx.HTTPTransport(verify=NO_TLS, retries=6), timeout=20) as client:
            assert client.get("/live").status_code == 200
            made = hub("key", "add", "dashboard", "--role", "read", "--role", "collect", "--expires", "90d")
            assert made.returncode == 0, made.stderr
            key = made.stdout.strip()
            assert made.stdout == f"{key}\n", "a script takes it as it is"
            assert "dashboard: read, collect" in made.stderr
            assert "until 20" in made.stderr
            sent = [client.post("/track", json={}, headers=headers) for headers in ({}, bearer(key))]
            assert [answer.json()["reason"] for answer in sent] == ["unauthorized", "missing_field"]

            refused = hub("key", "list", HUB_KEY=key)
            assert refused.returncode == 2
            assert "403: this needs a key with the role admin; dashboard has collect, read" in refused.stderr

            changed = hub("key", "rotate", "dashboard", "--keep", "0")
            other = changed.stdout.strip()
            statuses = [client.get("/profiles", headers=bearer(each)).status_code for each in (key, other)]
            assert statuses == [401, 200], changed.stderr
            removed = hub("key", "remove", "dashboard")
            assert removed.returncode == 0, removed.stderr
            assert client.get("/profiles", headers=bearer(other)).status_code == 401

            told = hub("audit", "--id", "dashboard")
            assert told.returncode == 0, told.stderr
            lines = [line.split("  ", 1)[1] for line in told.stdout.splitlines() if not line.startswith(" ")]
            assert lines == [
                "@admin from 127.0.0.1  DELETE /api-keys/dashboard  204",
                "@admin from 127.0.0.1  POST /api-keys/dashboard/rotate  200",
                "@admin from 127.0.0.1  POST /api-keys  201",
            ]
            assert "api-key/dashboard: deleted, version " in told.stdout
            assert '        roles: null -> ["read", "collect"]' in told.stdout
            assert not any(secret in told.stdout for secret in (key, other))
