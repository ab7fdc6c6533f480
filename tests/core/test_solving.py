"""The loop, its tolerance, and saving a state."""

from dataclasses import dataclass

import pytest
import torch
from support.dense import Intensity, Matrix, generator

from preimage.errors import CapabilityError, RequestError, SpaceError
from preimage.operators import LinearOperator, hstack
from preimage.problem import Problem
from preimage.randomness import Seed
from preimage.solving import (
    Needs,
    Solver,
    State,
    Stop,
    initial_estimate,
    lipschitz,
    load_noted,
    load_part,
    load_state,
    save_state,
    solve,
)
from preimage.solving.state import hollow
from preimage.space import Blocks, ProductSpace, Space

C = torch.complex128


@dataclass(kw_only=True)
class NoisyState(State):
    seed: Seed
    gradient: torch.Tensor
    sizes: tuple[float, ...] = (0.5,)
    nested: State | None = None


class NoisyDescent(Solver):
    """x ← x − size·∇ + noise: every kind of field that a state may have."""

    needs = Needs(operator=(LinearOperator,))

    def __init__(self, noise=0.0, stop=Stop(20)):  # noqa: B008
        self.noise = noise
        self.stop = stop

    def start(self, problem, x0=None):
        x = initial_estimate(problem, x0)
        return NoisyState(x=x, seed=Seed(problem.seed), gradient=0 * x, nested=State(x=x.clone()))

    def step(self, problem, state):
        gradient = problem.data_gradient(state.x)
        drawn, seed = state.seed.normal(problem.domain, problem.batch, problem.device)
        x = state.x - gradient * (state.sizes[0] / lipschitz(problem)) + self.noise * drawn
        return NoisyState(x=x, iteration=state.iteration + 1, seed=seed, gradient=gradient, nested=State(x=x.clone()))


def problem(batch=(), seed=0):
    operator = Matrix(torch.randn(5, 3, dtype=C, generator=generator(1)))
    return Problem(operator.codomain.randn(generator(2), batch), operator, seed=seed)


def test_iterates_to_the_least_squares_solution_and_counts():
    p = problem()
    seen = []
    final = solve(NoisyDescent(), p, Stop(3000), observers=[lambda _, s: seen.append(s.iteration)])
    assert final.iteration == 3000
    assert seen == list(range(1, 3001))
    torch.testing.assert_close(final.x, torch.linalg.pinv(p.operator.matrix) @ p.y)


def test_an_observer_stops_the_loop_and_all_observers_see_that_step():
    seen = []
    final = solve(NoisyDescent(), problem(), observers=[lambda _, s: s.iteration < 5, lambda _, s: seen.append(1)])
    assert final.iteration == 5
    assert len(seen) == 5


def test_without_needs_met_nothing_runs():
    operator = Intensity(Matrix(torch.eye(3, dtype=C)))
    with pytest.raises(CapabilityError, match=r"NoisyDescent cannot solve this: .*Intensity.* is no LinearOperator"):
        solve(NoisyDescent(), Problem(operator.codomain.zeros(), operator))


def test_a_converged_element_of_a_batch_is_frozen_where_it_would_stop_alone():
    p = problem((3,))
    p.y[1] *= 0  # converged at once: 0 − 0
    p.y[2] *= 1e3
    stop = Stop(500, tolerance=1e-3)
    batched = solve(NoisyDescent(), p, stop)
    for i in range(3):
        alone = solve(NoisyDescent(), Problem(p.y[i], p.operator), stop)
        torch.testing.assert_close(batched.x[i], alone.x, rtol=1e-12, atol=1e-12)
    assert batched.iteration < 500
    assert torch.isfinite(batched.x.abs()).all()


def test_a_stop_that_is_given_is_known_to_the_steps_and_changes_no_solver():
    class Curious(NoisyDescent):
        def step(self, problem, state):
            seen.append(self.stop)
            return super().step(problem, state)

    seen, solver = [], Curious()
    before = solver.stop
    solve(solver, problem(), Stop(2, tolerance=1e-30))
    assert seen == [Stop(2, tolerance=1e-30)] * 2
    assert solver.stop == before


def test_start_is_zero_for_linear_operators_and_a_clone_of_x0():
    p = problem((2,))
    assert not initial_estimate(p).any()
    x0 = p.domain.randn(generator(3), (2,))
    started = initial_estimate(p, x0)
    assert torch.equal(started, x0)
    assert started.data_ptr() != x0.data_ptr()
    with pytest.raises(SpaceError, match="dim 'n'"):
        initial_estimate(p, torch.zeros(2, 4, dtype=C))


def test_lipschitz_prefers_the_number_of_the_run():
    p = problem()
    largest = float(torch.linalg.matrix_norm(p.operator.matrix, 2)) ** 2
    assert largest <= lipschitz(p) <= 1.05**2 * largest * 1.0001
    assert lipschitz(Problem(p.y, p.operator, scalars={"norm": 3.0})) == 9.0


def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path):
    p, solver = problem((2,), seed=5), NoisyDescent(noise=0.1)
    whole = solve(solver, p, Stop(20))
    half = solve(solver, p, Stop(7))
    save_state(half, tmp_path / "state")
    again = load_state(solver.start(p), tmp_path / "state")
    assert again.iteration == 7
    resumed = solve(solver, p, Stop(20), state=again)
    assert torch.equal(resumed.x, whole.x)
    assert resumed.seed == whole.seed
    other = solve(solver, problem((2,), seed=6), Stop(20))  # the noise is really there
    assert not torch.equal(other.x, whole.x)


def test_resumed_from_its_last_state_it_goes_no_further(tmp_path):
    p, stop = problem((2,)), Stop(500, tolerance=1e-3)
    p.y[1] *= 1e3
    solver = NoisyDescent()
    saved = []

    def save(_, state):
        saved.append(state.iteration)
        save_state(state, tmp_path / str(state.iteration))

    whole = solve(solver, p, stop, observers=[save])
    for iteration in (saved[0], saved[len(saved) // 2], saved[-1]):
        resumed = solve(solver, p, stop, state=load_state(solver.start(p), tmp_path / str(iteration)))
        assert resumed.iteration == whole.iteration
        assert torch.equal(resumed.x, whole.x)


def test_a_state_of_blocks_and_of_any_dtype_is_saved(tmp_path):
    space = ProductSpace(a=Space(("n",), (3,), torch.complex64), b=Space(("m",), (2,), torch.float64))
    state = State(x=space.randn(generator(0)), iteration=4, change=torch.tensor([0.5]))
    save_state(state, tmp_path / "s")
    again = load_state(State(x=space.zeros()), tmp_path / "s")
    assert isinstance(again.x, Blocks)
    assert torch.equal(again.x["a"], state.x["a"])
    assert torch.equal(again.x["b"], state.x["b"])
    assert torch.equal(again.change, state.change)


def test_a_state_of_another_shape_or_no_state_is_refused(tmp_path):
    save_state(State(x=torch.zeros(3)), tmp_path / "s")
    with pytest.raises(RequestError, match=r"shape \(3,\), this problem's is .* \(4,\)"):
        load_state(State(x=torch.zeros(4)), tmp_path / "s")
    save_state(State(x=torch.zeros(3, dtype=C)), tmp_path / "s")
    with pytest.raises(RequestError, match="saved by another solver"):
        load_state(NoisyDescent().start(problem()), tmp_path / "s")
    (tmp_path / "junk").write_bytes(b"\x80\x04junk")
    with pytest.raises(RequestError, match="is not a saved state"):
        load_state(State(x=torch.zeros(3)), tmp_path / "junk")


def test_notes_are_kept_with_a_state(tmp_path):
    notes = {"run": "seven", "history": {"10": 0.1}}
    save_state(State(x=torch.zeros(3)), tmp_path / "s", notes)
    assert load_noted(State(x=torch.zeros(3)), tmp_path / "s")[1] == notes


def test_a_bit_that_is_flipped_anywhere_in_a_saved_state_is_noticed(tmp_path):
    x = torch.randn(3, dtype=C, generator=generator(0))
    save_state(State(x=x, change=torch.tensor(0.5)), tmp_path / "s", {"run": "seven"})
    good = (tmp_path / "s").read_bytes()
    for i in range(len(good)):
        damaged = bytearray(good)
        damaged[i] ^= 1 << i % 8
        (tmp_path / "s").write_bytes(damaged)
        with pytest.raises(RequestError, match="is damaged|is not a saved state"):
            load_state(State(x=torch.zeros(3, dtype=C)), tmp_path / "s")
    (tmp_path / "s").write_bytes(good)
    assert torch.equal(load_state(State(x=torch.zeros(3, dtype=C)), tmp_path / "s").x, x)


def test_tensors_of_any_layout_are_saved_also_where_they_share_memory(tmp_path):
    x = torch.randn(3, 4, dtype=C, generator=generator(0))
    states = [State(x=x, change=x), State(x=x.mT, change=x.real), State(x=x[:, 1:3].conj(), change=x[:1, :1].imag)]
    states += [State(x=x[0], change=torch.zeros(()).expand(5)), State(x=x[:0], change=torch.tensor([True, False]))]
    for state in states:
        save_state(state, tmp_path / "s")
        again = load_state(hollow(state), tmp_path / "s")
        assert torch.equal(again.x, state.x)
        assert torch.equal(again.change, state.change)


def test_a_part_of_a_saved_state_is_read_alone(tmp_path):
    x, change = torch.randn(4, 5, dtype=C, generator=generator(0)), torch.arange(20.0).reshape(4, 5)
    save_state(State(x=x, change=change), tmp_path / "s")
    part = slice(1, 3), slice(None)
    assert torch.equal(load_part(tmp_path / "s", "x", part), x[part])
    assert torch.equal(load_part(tmp_path / "s", "change", part), change[part])
    for path, name in ((tmp_path / "s", "offer"), (tmp_path / "gone", "x")):
        with pytest.raises(RequestError, match=f"{path} is not a saved state with {name}"):
            load_part(path, name, part)


def test_a_hollow_state_has_the_form_and_no_memory():
    state = hollow(State(x=torch.randn(1000, 1000), iteration=3, change=torch.zeros(2)))
    assert state.x.shape == (1000, 1000)
    assert state.x.untyped_storage().nbytes() == 4
    assert state.iteration == 3


def test_a_field_that_cannot_be_saved_is_named(tmp_path):
    with pytest.raises(RequestError, match=r"state\.x of the state is a object"):
        save_state(State(x=object()), tmp_path / "s")
    assert not list(tmp_path.iterdir())


def test_unrolled_steps_carry_gradients_and_equal_the_loop():
    p, solver = problem(), NoisyDescent()
    size = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    state = solver.start(p)
    for _ in range(3):
        state.sizes = (size,)
        state = solver.step(p, state)
    (gradient,) = torch.autograd.grad(state.x.abs().square().sum(), size)
    assert gradient != 0
    torch.testing.assert_close(state.x.detach(), solve(solver, p, Stop(3)).x)


def test_objective_and_residual_are_per_batch_element():
    p = problem((2,))
    x = p.domain.randn(generator(4), (2,))
    misfit = p.operator(x) - p.y
    torch.testing.assert_close(p.objective(x), 0.5 * misfit.abs().square().sum(-1))
    torch.testing.assert_close(p.residual(x), misfit.norm(dim=-1) / p.y.norm(dim=-1))


def test_data_gradient_of_a_product_space():
    operator = hstack(a=Matrix(torch.randn(4, 3, dtype=C)), b=Matrix(torch.randn(4, 2, dtype=C)))
    p = Problem(operator.codomain.randn(generator(1)), operator)
    x = operator.domain.randn(generator(2))
    torch.testing.assert_close(p.data_gradient(x)["b"], operator.adjoint(operator(x) - p.y)["b"])


def test_a_problem_moves_as_a_copy():
    p = problem()
    moved = p.to("meta")
    assert moved.device.type == "meta"
    assert p.device.type == "cpu"
    assert moved.data_gradient(moved.zeros()).shape == (3,)
