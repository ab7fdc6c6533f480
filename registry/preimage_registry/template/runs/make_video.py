"""Make the data of video.toml."""

from pathlib import Path

import preimage

from lab_example.video import moving_disc

if __name__ == "__main__":
    preimage.write_dataset(moving_disc(), Path(__file__).with_name("video.zarr"), overwrite=True)
