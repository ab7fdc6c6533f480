"""What is told of a chain from the headers of its data alone."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from support import toy_chain

from preimage.errors import DataError, PluginError, RequestError
from preimage.likelihoods import Gaussian
from preimage.space import ProductSpace
from preimage.volumes.resolve import resolve
from preimage.volumes.stores import write_dataset


@dataclass(frozen=True)
class Magnitudes(Gaussian):
    phaseless = True


class Robust:
    pass


class Picky(toy_chain.Descent):
    def check_unknowns(self, unknowns, on):
        raise RequestError(f"picky was given {unknowns} and priors on {on}")


def chain_of(path, likelihood=Gaussian, **options):
    chain = toy_chain.build(toy_chain.recipe(path, path.with_name("out.zarr"), threshold=0.1, **options))
    return replace(
        chain, likelihood=replace(chain.likelihood, name=getattr(likelihood, "__name__", "either"), declared=likelihood)
    )


def with_two_unknowns(chain, on=(None,), named=("image", "gain")):
    spaces = chain.operator.hooks["preimage_spaces"]

    def two(dataset):
        domain, codomain = spaces(dataset)
        return ProductSpace(image=domain, gain=domain), codomain

    hooks = {**chain.operator.hooks, "preimage_spaces": two, "preimage_unknowns": lambda: named}
    return replace(chain, operator=replace(chain.operator, hooks=hooks), on=on)


def test_a_prior_on_an_unknown_that_is_not_there_is_named(stored):
    resolve(with_two_unknowns(chain_of(stored), on=("gain",)))
    says = r"prior.1.on: there is no unknown 'gian': those of operator rows are image, gain"
    with pytest.raises(RequestError, match=says):
        resolve(with_two_unknowns(chain_of(stored), on=("gian",)))
    with pytest.raises(RequestError, match="no unknown 'gain': operator rows has one, without a name"):
        resolve(replace(chain_of(stored), on=("gain",)))


def test_the_solver_is_asked_before_data_are_read(stored):
    chain = with_two_unknowns(chain_of(stored), on=("gain",))
    with pytest.raises(RequestError, match=r"picky was given \('image', 'gain'\) and priors on \('gain',\)"):
        resolve(replace(chain, solver=replace(chain.solver, factory=Picky)))


def test_an_operator_that_contradicts_itself_is_broken(stored):
    says = "by preimage_spaces the unknowns are image, gain, by preimage_unknowns there is one unknown"
    with pytest.raises(PluginError, match=says):
        resolve(with_two_unknowns(chain_of(stored), named=()))


def changed(path, **variables):
    target = path.with_name("changed.zarr")
    write_dataset(toy_chain.example(hybrid=True).assign(variables), target, overwrite=True)
    return target


def test_data_are_real_under_a_likelihood_of_magnitudes(stored):
    example = toy_chain.example(hybrid=True)["measurement"]
    real = changed(stored, measurement=abs(example))
    assert resolve(chain_of(real, Magnitudes)).dataset["measurement"].dtype == np.float32
    with pytest.raises(DataError, match="operator rows gives complex64 data, the measurement is float32"):
        resolve(chain_of(real))
    says = "likelihood Magnitudes is of magnitudes: operator rows gives float32 data, the measurement is complex64"
    with pytest.raises(DataError, match=says):
        resolve(chain_of(changed(stored, measurement=example), Magnitudes))


def test_a_simulated_measurement_has_the_likelihoods_kind_of_numbers(stored):
    truth = stored.with_name("truth.zarr")
    write_dataset(toy_chain.example(hybrid=True).drop_vars("measurement"), truth)
    for likelihood, dtype in ((Gaussian, np.complex64), (Magnitudes, np.float32)):
        found = resolve(chain_of(truth, likelihood, simulate={"noise": 0.1}))
        assert found.dataset["measurement"].dtype == dtype


def test_data_are_transformed_only_where_noise_stays_what_it_is(stored):
    """A unitary transform of the readout leaves white Gaussian noise white and Gaussian, and no other."""
    assert [element.part.name for element in resolve(chain_of(stored)).elements] == ["row-transform"]
    for likelihood in (Robust, Gaussian | Robust):
        with pytest.raises(DataError, match="'measurement' with dims x, m: it has kx, m"):
            resolve(chain_of(stored, likelihood))
