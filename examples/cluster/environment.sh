# What the environment of a worker must be; sourced before `dask worker` is started.

# Threads that wait for one another sleep. Spinning ones take the processor from the other workers.
export OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=0
# Dask's nanny makes malloc give memory back at every free, which doubles what torch needs of the processor.
export DASK_DISTRIBUTED__NANNY__PRE_SPAWN_ENVIRON="{'MALLOC_TRIM_THRESHOLD_': None}"
