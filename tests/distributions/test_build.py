"""What is inside the wheels and sdists."""



FOLDERS = {
    "checkmaite-jobs": None,
    "checkmaite-jobs-core": "checkmaite/jobs/",
    "checkmaite-jobs-ray": "checkmaite/jobs_ray/",
    "checkmaite-jobs-ray-simple": "checkmaite/jobs_ray_simple/",
    "checkmaite-store-parquet": "checkmaite/store_parquet/",
}
