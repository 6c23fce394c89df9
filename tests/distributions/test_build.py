"""What is inside the wheels and sdists."""

import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from conftest import PACKAGES, Built, run

FOLDERS = {
    "checkmaite-jobs": None,
    "checkmaite-jobs-core": "checkmaite/jobs/",
    "checkmaite-jobs-ray": "checkmaite/jobs_ray/",
    "checkmaite-jobs-ray-simple": "checkmaite/jobs_ray_simple/",
    "checkmaite-store-parquet": "checkmaite/store_parquet/",
}
