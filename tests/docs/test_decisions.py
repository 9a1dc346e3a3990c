"""What the decisions claim of the code, where a test can tell."""

import httpx

import agl_core as agl
from agl_core.codec import Codec
from agl_core.events import CallRecorded, Choice, Message, ModelCall
from agl_core.testing import ScriptedModel


def test_the_hundredth_turn_of_a_chat_takes_what_the_tenth_took():
    """Decision 2: a chat grows as O(n), messages and token ids alike."""
    codec, kept, sizes = Codec(), {}, []
    messages: list[Message] = []
    for turn in range(1, 101):
        messages.append(Message(role="user", content=f"Question {turn}: " + "what is next? " * 20))
        answer = Choice(message=Message(role="assistant", content="Answer. " * 30))
        call = ModelCall(
            model="m", messages=tuple(messages), prompt_token_ids=tuple(range(turn * 100)), choices=(answer,)
        )
        event = CallRecorded(call_id="ca-1", rollout_id="ro-1", attempt_id="at-1", call=call, started_at=0, latency=0.1)
        encoded = codec.encode(event)
        new = {id_: blob for id_, blob in encoded.blobs.items() if id_ not in kept}
        kept.update(new)
        sizes.append(len(encoded.data) + sum(map(len, new.values())))
        messages.append(answer.message)

    assert sum(sizes[90:]) < 1.1 * sum(sizes[5:15])
    assert sum(sizes) < 0.4e6


def test_an_agent_that_blocks_its_loop_is_answered_all_the_same(tmp_path):
    """Decision 4: it waits for its own model call, on the loop of all agents, and the gateway is elsewhere."""

    @agl.rollout
    async def blocks(task, llm) -> float:
        answer = httpx.post(  # noqa: ASYNC210 - what the test is about
            f"{llm.endpoint}/chat/completions",
            headers={"authorization": f"Bearer {llm.api_key}"},
            json={"model": llm.model, "messages": [{"role": "user", "content": task["question"]}]},
        )
        return float(answer.json()["choices"][0]["message"]["content"] == "42")

    with ScriptedModel("42") as model:
        llm = agl.LLM(model.endpoint.url, model.endpoint.model)
        trainer = agl.Trainer(algorithm="baseline", store=str(tmp_path / "log.db"), initial_resources={"llm": llm})
        summary = trainer.fit(blocks, [{"question": "6 * 7"}])

    assert summary.result["train"]["mean"] == 1.0
