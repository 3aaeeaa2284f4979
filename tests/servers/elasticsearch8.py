"""The Elasticsearch of before: the last 8."""

from __future__ import annotations

from tests.servers.elasticsearch import Elasticsearch

SERVER = Elasticsearch("elasticsearch8", "8.19.0")
