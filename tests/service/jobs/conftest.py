"""PostgreSQL for the job store."""

from tests.database.conftest import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]
