"""test_canary.py where the state is in PostgreSQL: a file of its own, so that both may run at once."""

from __future__ import annotations

import aiodocker
import pytest

from tests.e2e.test_canary import lives_through_it_all

pytestmark = [pytest.mark.docker, pytest.mark.postgres, pytest.mark.timeout(600)]


async def test_no_secret_is_anywhere_but_at_home(docker: aiodocker.Docker) -> None:
    await lives_through_it_all(docker, "postgres")
