"""What users of such systems suffer from, and the tests that hold us to better: each is there, under its name."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROMISES = {
    # Silent zero: the run works, and nothing was learned.
    "a first rollout that shows nothing stops the run, with a code and a cure": [
        "tests/system/test_silent_zero.py::test_an_agent_that_never_asks_a_model_is_stopped",
        "tests/system/test_silent_zero.py::test_an_agent_that_gives_no_reward_is_stopped",
        "tests/system/test_silent_zero.py::test_calls_that_belong_to_nobody_are_told_from_calls_that_were_not_made",
        "tests/system/test_silent_zero.py::test_a_model_that_keeps_its_token_ids_is_found_at_the_first_rollout",
    ],
    "a missing reward is never a number": [
        "tests/system/test_silent_zero.py::test_a_reward_that_is_missing_is_never_a_number",
    ],
    "captured is kept plus dropped, whatever happens": [
        "adapters/agl-triplets/tests/test_properties.py::test_captured_is_kept_plus_dropped",
    ],
    "a tracer that cannot attach fails the run before the first rollout": [
        "tests/system/test_silent_zero.py::test_a_tracer_whose_target_raises_import_error_fails_the_run_before_the_first_rollout",
        "tests/unit/tap/test_attaching.py::test_a_library_of_another_shape_fails_the_run",
    ],
    "capture is durable or counted, whatever a process dies of": [
        "tests/system/test_tap_faults.py::test_what_agents_were_told_is_kept_or_unknown_whatever_their_process_dies_of",
        "tests/system/test_tap_faults.py::test_calls_of_a_forked_child_are_its_parents_to_keep",
        "tests/system/test_conservation.py::test_what_was_answered_is_kept_whatever_the_gateway_dies_of",
    ],
    "eight equal prompts are eight calls, n=4 is four samples, k rewards are k facts": [
        "tests/unit/gateway/test_calls.py::test_eight_equal_prompts_at_once_are_eight_calls",
        "tests/unit/gateway/test_calls.py::test_four_samples_are_one_call_with_four_choices",
        "tests/unit/tap/test_calls.py::test_eight_identical_parallel_prompts_are_eight_calls",
        "tests/unit/tap/test_calls.py::test_four_samples_of_one_call_are_four_choices",
        "tests/unit/runner/test_exit_statuses.py::test_named_rewards_are_all_kept_and_the_primary_one_trains",
    ],
    "the order of imports makes no difference": [
        "tests/system/test_silent_zero.py::test_whenever_a_library_is_imported_its_calls_are_captured",
        "tests/system/test_isolation.py::test_t4_1_the_order_of_imports_makes_no_difference",
    ],
    # One agent of many.
    "an agent is selected by its name, which is a column, and a selector that keeps nothing fails": [
        "tests/system/test_identity.py::test_tasks_threads_and_generators_keep_their_names",
        "tests/unit/cli/test_selecting.py::test_a_dry_run_says_what_each_selector_keeps_and_leaves_nothing",
        "tests/unit/cli/test_selecting.py::test_a_selector_that_keeps_nothing_fails_with_those_that_would",
        "tests/system/test_frameworks.py::test_one_agent_of_it_is_trained_for_a_step",
    ],
    "a call that several layers see is one call": [
        "tests/system/test_gateway_and_tap.py::test_a_call_that_both_see_is_one_call",
        "tests/system/test_whose_call.py::test_t3_2_eight_identical_parallel_prompts_through_every_layer_are_eight_calls",
    ],
    "a parent and its sub-agent that take turns are two rows": [
        "tests/system/test_identity.py::test_a_parent_and_a_sub_agent_that_take_turns_are_two_rows",
        "tests/system/test_identity.py::test_a_call_says_which_call_it_was_made_for",
    ],
    "each agent has models and prompts of its own, and the log says which": [
        "tests/system/test_identity.py::test_each_agent_has_models_and_prompts_of_its_own",
    ],
    # The host's own telemetry.
    "a host's own telemetry is the same with us on and off": [
        "tests/system/test_isolation.py::test_t4_1_a_hosts_spans_are_the_same_with_us_on_and_off",
        "agl_core/testing/_tracer_contract.py::test_a_hosts_own_telemetry_is_told_the_same",
    ],
    "after the last exit every patched name is the very object it was": [
        "tests/system/test_isolation.py::test_t4_2_everything_is_the_very_object_it_was",
        "agl_core/testing/_tracer_contract.py::test_everything_is_the_very_object_it_was",
    ],
    "no socket is opened that nobody asked for": [
        "tests/system/test_isolation.py::test_t4_3_no_socket_is_opened_that_nobody_asked_for",
        "plugins/agl-openai-agents/tests/test_uploading.py::test_attempts_are_not_uploaded_and_all_else_is",
    ],
    "spans of every dialect mean the same": [
        "tests/unit/spans/test_corpus.py::test_a_chat_means_the_same_in_every_dialect",
    ],
    "threads, tasks and generators of two runs never mix": [
        "tests/system/test_whose_call.py::test_t4_5_two_runs_in_one_process_never_mix",
        "agl_core/testing/_tracer_contract.py::test_two_attempts_in_threads_never_mix",
        "agl_core/testing/_tracer_contract.py::test_two_attempts_in_one_loop_never_mix",
    ],
    "a lost tracer costs structure, and no call": [
        "tests/system/test_whose_call.py::test_t4_6_a_tracer_that_cannot_attach_costs_no_call",
    ],
    "a version that nobody tested is said": [
        "tests/unit/tap/test_attaching.py::test_a_version_that_was_not_tested_is_said_once",
    ],
}


@pytest.mark.parametrize("promise", PROMISES)
def test_a_promise_has_the_tests_that_keep_it(promise):
    """By their names: one that is taken away, or called otherwise, is missed here."""
    for place in PROMISES[promise]:
        path, _, name = place.partition("::")

        assert re.search(rf"def {re.escape(name)}\(", (ROOT / path).read_text()), place
