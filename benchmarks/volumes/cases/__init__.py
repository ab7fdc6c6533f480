"""The cases: each measures something in a folder of its own, and says what was found in rows.

A case has a `TITLE`; `measure(folder, tiny)`, which returns plain data; and `rows(found)`, which reads them.
"""

from types import ModuleType

from volumes.cases import budget, cost, many_blocks, terabyte, workers, zarr_to_zarr

BY_NAME: dict[str, ModuleType] = {
    "zarr-to-zarr": zarr_to_zarr,
    "workers": workers,
    "budget": budget,
    "cost": cost,
    "many-blocks": many_blocks,
    "terabyte": terabyte,
}
