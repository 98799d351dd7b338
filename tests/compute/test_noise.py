"""Noise: rows of one step are the same however many processes share them; latents depend on their index alone."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ficta.compute.noise import LATENT_BLOCK, Noise, Place, choices, latents

CPU = torch.device("cpu")
LAW = settings(deadline=None, derandomize=True, max_examples=50)
Draw = Callable[[int, Place, int, int], Tensor]
each = pytest.mark.parametrize("numbers", [latents, choices])


def draw(noise: Noise) -> list[Tensor]:
    """A sequence of draws of every kind."""
    forked = noise.fork("augment")
    return [
        noise.normal(3, 2),
        noise.uniform(),
        forked.normal(4),
        noise.normal(),
        forked.uniform(2),
    ]


@LAW
@given(st.integers(0, 2**63 - 1), st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_slices_put_together_are_the_whole(key: int, rows: list[int]) -> None:
    whole = draw(Noise.whole(key, CPU, sum(rows)))
    starts = [sum(rows[:part]) for part in range(len(rows))]
    parts = [draw(Noise(key, CPU, sum(rows), start, count)) for start, count in zip(starts, rows, strict=True)]
    for kind, numbers in enumerate(whole):
        assert torch.equal(torch.cat([part[kind] for part in parts]), numbers)


def test_shared_numbers_are_those_of_the_whole_in_every_part() -> None:
    whole = Noise.whole(3, CPU, 7).fork("restart").uniform(2)
    for start, rows in ((0, 4), (4, 3)):
        part = Noise(3, CPU, 7, start, rows)
        assert torch.equal(part.fork("restart").shared().uniform(2), whole)
        assert torch.equal(part.fork("restart").uniform(2), whole[start : start + rows])


def test_shapes_and_ranges() -> None:
    noise = Noise.whole(1, "cpu", 4000)
    normal, uniform = noise.normal(2, 3), noise.uniform(2)
    assert (normal.shape, normal.dtype) == ((4000, 2, 3), torch.float32)
    assert (uniform.shape, uniform.dtype) == ((4000, 2), torch.float32)
    assert normal.mean().abs() < 5 / 24_000**0.5
    assert normal.std().sub(1).abs() < 0.03
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert uniform.mean().sub(0.5).abs() < 5 * 0.289 / 8000**0.5


def test_later_draws_differ() -> None:
    noise = Noise.whole(1, CPU, 8)
    assert not torch.equal(noise.normal(4), noise.normal(4))


def test_same_key_same_numbers() -> None:
    assert torch.equal(Noise.whole(5, CPU, 8).normal(4), Noise.whole(5, CPU, 8).normal(4))
    assert not torch.equal(Noise.whole(5, CPU, 8).normal(4), Noise.whole(6, CPU, 8).normal(4))


def test_forks_are_functions_of_their_name() -> None:
    noise = Noise.whole(3, CPU, 8)
    assert torch.equal(noise.fork("a").normal(4), noise.fork("a").normal(4))
    assert noise.fork("a").key != noise.fork("b").key != noise.key


def test_forks_and_their_parent_do_not_disturb_each_other() -> None:
    alone = Noise.whole(3, CPU, 8)
    first, second = alone.normal(4), alone.normal(4)
    disturbed = Noise.whole(3, CPU, 8)
    assert torch.equal(disturbed.normal(4), first)
    fork = disturbed.fork("a")
    fork.normal(100)
    assert torch.equal(disturbed.normal(4), second)
    disturbed.normal(7)
    assert torch.equal(disturbed.fork("a").normal(4), Noise.whole(3, CPU, 8).fork("a").normal(4))


def test_forks_are_uncorrelated() -> None:
    noise = Noise.whole(3, CPU, 20_000)
    draws = torch.stack([noise.normal(), *(noise.fork(name).normal() for name in ("a", "b", "ab"))])
    off_diagonal = torch.corrcoef(draws) - torch.eye(4)
    assert off_diagonal.abs().max() < 5 / 20_000**0.5


def test_global_randomness_is_neither_used_nor_moved() -> None:
    torch.manual_seed(1)
    first = draw(Noise.whole(9, CPU, 3))
    state = torch.get_rng_state()
    torch.manual_seed(2)
    second = draw(Noise.whole(9, CPU, 3))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)


@each
@LAW
@given(start=st.integers(0, 200), count=st.integers(0, 200), size=st.integers(0, 5), seed=st.integers(0, 2**62))
def test_a_samples_numbers_do_not_depend_on_chunks(numbers: Draw, start: int, count: int, size: int, seed: int) -> None:
    found = numbers(seed, start, count, size)
    assert (found.shape, found.dtype) == ((count, size), torch.float32)
    assert torch.equal(found, numbers(seed, 0, start + count, size)[start:])


@each
@LAW
@given(chunks=st.lists(st.integers(0, 90), min_size=1, max_size=5), first=st.integers(0, 1000))
def test_chunks_put_together_are_the_whole(numbers: Draw, chunks: list[int], first: int) -> None:
    parts, start = [], first
    for count in chunks:
        parts.append(numbers(4, start, count, 3))
        start += count
    assert torch.equal(torch.cat(parts), numbers(4, first, sum(chunks), 3))


def test_latents_are_normal_and_all_different() -> None:
    found = latents(0, 0, 20 * LATENT_BLOCK, 8)
    assert len(found.unique(dim=0)) == 20 * LATENT_BLOCK
    assert found.mean().abs() < 5 / found.numel() ** 0.5
    assert found.std().sub(1).abs() < 0.03


def test_choices_are_uniform_and_all_different() -> None:
    found = choices(0, 0, 20 * LATENT_BLOCK, 8)
    assert len(found.unique(dim=0)) == 20 * LATENT_BLOCK
    assert found.min() >= 0
    assert found.max() < 1
    tenths = (found * 10).long().flatten().bincount(minlength=10) / found.numel()
    assert (tenths - 0.1).abs().max() < 5 * (0.1 * 0.9 / found.numel()) ** 0.5


def test_choices_have_nothing_to_do_with_latents() -> None:
    normal, uniform = latents(0, 0, 20_000, 1)[:, 0], choices(0, 0, 20_000, 1)[:, 0]
    for numbers in (normal, normal.abs()):  # a normal number's size alone can be that of a uniform one
        assert torch.corrcoef(torch.stack([numbers, uniform]))[0, 1].abs() < 5 / 20_000**0.5


@each
def test_numbers_of_samples_that_are_named_are_theirs(numbers: Draw) -> None:
    named = torch.tensor([3, 10**9, LATENT_BLOCK, 3, 0])
    found = numbers(1, named, 5, 4)
    assert torch.equal(found, torch.cat([numbers(1, int(row), 1, 4) for row in named]))
    assert numbers(1, named[:0], 0, 4).shape == (0, 4)


@each
@pytest.mark.parametrize("start", [0, LATENT_BLOCK - 1, LATENT_BLOCK, 10**9])
def test_another_seed_gives_other_numbers(numbers: Draw, start: int) -> None:
    assert not torch.isclose(numbers(1, start, 3, 4), numbers(2, start, 3, 4)).any()
