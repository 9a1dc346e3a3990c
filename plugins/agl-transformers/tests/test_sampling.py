"""The distribution that is sampled is the one that is reported, and a seed fixes the draw."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from agl_transformers._generation import Sampling
from agl_transformers._sampling import Sampler, seed_of, uniform


def _teacher_forced(model, answer):
    """Logits that a plain forward pass gives for each sampled id."""
    ids = torch.tensor([answer.prompt_token_ids + answer.choices[0].token_ids])
    with torch.inference_mode():
        return model(ids).logits[0, len(answer.prompt_token_ids) - 1 : -1]


def _reported(answer):
    return torch.tensor([entry.logprob for entry in answer.choices[0].logprobs.content])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
def test_logprobs_are_those_of_a_plain_forward_pass(served, plain, temperature):
    """Of the logits divided by the temperature."""
    model, _ = plain

    answer = served.ask("tell me", temperature=temperature, max_tokens=40)

    expected = (_teacher_forced(model, answer) / temperature).log_softmax(-1)
    chosen = expected.gather(1, torch.tensor(answer.choices[0].token_ids).unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(_reported(answer), chosen, atol=1e-4, rtol=1e-4)


def test_logprobs_are_taken_after_truncation(served, plain):
    """With top-k, what is left adds up to one."""
    model, _ = plain

    answer = served.ask(extra_body={"top_k": 3}, max_tokens=20)

    logits = _teacher_forced(model, answer)
    best = logits.topk(3, -1)
    ids = torch.tensor(answer.choices[0].token_ids)
    assert (best.indices == ids.unsqueeze(1)).any(-1).all()
    chosen = logits.gather(1, ids.unsqueeze(1)).squeeze(1) - best.values.logsumexp(-1)
    torch.testing.assert_close(_reported(answer), chosen, atol=1e-4, rtol=1e-4)


def test_temperature_nought_is_greedy(served, plain):
    """The likeliest token, with its log-probability at temperature 1."""
    model, _ = plain

    answer = served.ask(temperature=0, seed=None, max_tokens=20)

    logits = _teacher_forced(model, answer)
    assert logits.argmax(-1).tolist() == answer.choices[0].token_ids
    torch.testing.assert_close(_reported(answer), logits.log_softmax(-1).amax(-1), atol=1e-4, rtol=1e-4)


def test_a_seed_gives_the_same_tokens_whoever_else_is_in_the_batch(served):
    """Alone, and among 24 others of other lengths and temperatures."""
    alone = served.ask("the one", seed=11).choices[0].token_ids

    with ThreadPoolExecutor(24) as pool:
        others = [
            pool.submit(served.ask, "x" * (place * 3), seed=place, temperature=0.5 + place / 20) for place in range(23)
        ]
        together = pool.submit(served.ask, "the one", seed=11).result().choices[0].token_ids
        for other in others:
            other.result()

    assert together == alone


def test_without_a_seed_answers_differ(served):
    """Nobody can repeat them."""
    first, second = (served.ask(seed=None).choices[0].token_ids for _ in range(2))

    assert first != second


def test_the_draw_follows_the_distribution():
    """Twenty thousand seeds draw each token about as often as it is likely."""
    probabilities = torch.tensor([0.5, 0.25, 0.15, 0.1, 0.0])
    rows = [Sampling(seed=seed_of(seed, 0)) for seed in range(20_000)]

    ids, _ = Sampler(rows, torch.device("cpu")).draw(probabilities.log().expand(len(rows), -1), step=3)

    torch.testing.assert_close(
        torch.bincount(ids, minlength=5) / len(rows), probabilities, atol=0.015, rtol=0, check_dtype=False
    )


def test_top_p_keeps_the_smallest_set_that_holds_it():
    """Rows that ask for it only; the likeliest token stays even at nought."""
    logits = torch.tensor([0.6, 0.3, 0.1]).log().expand(300, -1)
    rows = [Sampling(seed=seed, top_p=(0.0, 0.7, 1.0)[seed % 3]) for seed in range(300)]

    ids, logprobs = Sampler(rows, torch.device("cpu")).draw(logits, step=0)

    assert [set(ids[start::3].tolist()) for start in range(3)] == [{0}, {0, 1}, {0, 1, 2}]
    assert logprobs[0::3].exp().unique().tolist() == pytest.approx([1.0])
    assert sorted(logprobs[1::3].exp().unique().tolist()) == pytest.approx([1 / 3, 2 / 3])


def test_noise_is_even_and_differs_by_step_and_seed():
    """Mean and spread of a uniform number, over steps and over neighbouring seeds."""
    seeds = torch.tensor([seed_of(7, choice) >> 1 for choice in range(1000)])

    noise = torch.stack([uniform(seeds, step) for step in range(100)])

    assert noise.min() >= 0
    assert noise.max() < 1
    assert noise.mean().item() == pytest.approx(0.5, abs=0.01)
    assert noise.var().item() == pytest.approx(1 / 12, abs=0.01)
    assert abs(torch.corrcoef(noise)[0, 1:]).max() < 0.2
