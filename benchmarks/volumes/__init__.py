"""What is measured of volumes that go from Zarr to Zarr."""
