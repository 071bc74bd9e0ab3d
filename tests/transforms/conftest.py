"""Stores in this process, shared by the tests of storage and of sources."""

import pytest

from tests import google_storage, objects


@pytest.fixture(scope="module")
def s3():
    pytest.importorskip("moto", reason="moto is not installed")
    with objects.serving() as server:
        yield server


@pytest.fixture(scope="module")
def gs():
    pytest.importorskip("google.cloud.storage", reason="google-cloud-storage is not installed")
    with google_storage.serving() as bucket:
        yield bucket
