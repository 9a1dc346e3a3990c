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
    # Rewards: what they are for, and what becomes of them.
    "a reward names what earned it, and reaches that or is told": [
        "adapters/agl-rewards/tests/test_rewards.py::test_a_reward_that_reaches_no_call_says_why",
        "adapters/agl-rewards/tests/test_properties.py::test_a_reward_that_counts_reaches_a_call_or_is_told",
        "tests/unit/store/test_door.py::test_a_reward_of_a_call_that_is_not_there_is_refused",
    ],
    "there is one final reward": [
        "adapters/agl-rewards/tests/test_one_definition.py::test_the_final_reward_is_the_outcomes",
        "tests/unit/emit/test_rewards.py::test_the_last_reward_is_the_final_one_for_readers_and_for_training",
    ],
    "every row's arithmetic is printed and adds up again, whatever the rule": [
        "tests/system/test_explain.py::test_every_number_adds_up_again",
        "tests/system/test_explain.py::test_what_is_printed_adds_up_again",
        "tests/system/test_explain.py::test_every_batch_comes_out_as_it_was_recorded",
    ],
    "each rule has a table, and the table is what the rule does": [
        "adapters/agl-rewards/tests/test_tables.py::test_a_table_is_what_the_rule_does",
        "adapters/agl-rewards/tests/test_tables.py::test_every_rule_has_a_table",
    ],
    "late, revised and withdrawn rewards are facts, and a batch is of the log as it stood": [
        "tests/system/test_late_rewards.py::test_what_a_run_was_told_does_not_change_after_a_kill",
        "adapters/agl-rewards/tests/test_one_definition.py::test_a_batch_is_of_the_log_as_it_stood",
    ],
    "a rollout weighs the same however it is cut into rows": [
        "adapters/agl-triplets/tests/test_properties.py::test_a_rollout_weighs_one_however_it_is_cut",
        "adapters/agl-triplets/tests/test_lengths.py::test_what_is_left_of_a_rollout_weighs_as_much_as_a_whole_one",
    ],
    # Failed rollouts.
    "what infrastructure did punishes nobody, unless the run says so, and then it is counted": [
        "tests/system/test_failures.py::test_what_infrastructure_did_punishes_nobody",
        "tests/system/test_failures.py::test_a_zero_is_counted_and_never_written",
        "tests/system/test_failures_grpo.py::test_a_failure_is_no_loss_unless_the_run_says_so",
    ],
    "a round that fails, or has no row, ends no training, and too much of it stops loudly": [
        "tests/system/test_failures_grpo.py::test_steps_without_a_row_do_not_end_training",
        "tests/system/test_failures.py::test_a_round_of_which_too_much_came_to_nothing_stops_the_run",
    ],
    # Tokens.
    "ids that were made again from text train nobody, and how often they would differ is a metric": [
        "adapters/agl-triplets/tests/test_bad_input.py::test_retokenised_ids_can_be_allowed_and_are_marked",
        "tests/unit/test_adapter.py::test_an_answer_drifts_where_two_tokens_read_as_one",
    ],
    "calls merge on exact prefixes, merging can be undone, and each break has its place and its cause": [
        "adapters/agl-triplets/tests/test_properties.py::test_merging_can_be_undone",
        "adapters/agl-triplets/tests/test_properties.py::test_every_sampled_token_is_trained_on_exactly_once",
        "adapters/agl-triplets/tests/test_beginnings.py::test_a_break_says_where_it_is_and_what_stood_there",
        "adapters/agl-triplets/tests/test_beginnings.py::test_other_tokens_where_the_model_spoke_are_retokenised",
        "adapters/agl-triplets/tests/test_beginnings.py::test_other_tokens_around_the_words_are_the_templates",
        "adapters/agl-triplets/tests/test_beginnings.py::test_a_history_with_something_taken_out_is_truncated",
        "adapters/agl-triplets/tests/test_beginnings.py::test_a_history_in_other_words_is_edited",
    ],
    "every row says how old the weights were that spoke": [
        "adapters/agl-triplets/tests/test_properties.py::test_what_is_said_of_a_call_is_that_calls",
    ],
    # Nobody is locked to one trainer.
    "the same log gives the same bytes twice, whichever trainer they are for": [
        "adapters/agl-triplets/tests/test_properties.py::test_the_same_batch_gives_the_same_bytes",
        "agl_core/testing/_exporter_contract.py::test_the_same_rows_are_the_same_bytes",
    ],
    "what is written for a trainer is read by that trainer": [
        "tests/system/test_exporters_consumers.py::test_sft_learns_from_the_very_tokens_that_were_sampled",
        "tests/system/test_exporters_consumers.py::test_dpo_compares_answers",
        "tests/system/test_exporters_consumers.py::test_datasets_opens_the_folder",
    ],
    # Learning.
    "the numbers of a loss are those of others' code, where that is right": [
        "plugins/agl-grpo/tests/test_against_verl.py::test_advantages_are_verls",
        "plugins/agl-grpo/tests/test_against_verl.py::test_the_loss_is_verls",
        "plugins/agl-grpo/tests/test_against_verl.py::test_truncated_importance_sampling_is_verls",
        "plugins/agl-grpo/tests/test_against_trl.py::test_the_loss_is_trls",
    ],
    "what a rollout said stays what ratios are taken to, over epochs and minibatches": [
        "plugins/agl-grpo/tests/test_policies.py::test_the_old_policy_stays_the_old_one",
        "plugins/agl-grpo/tests/test_policies.py::test_several_epochs_are_the_formula_said_several_times",
    ],
    "what cannot be tuned is refused before anything is sampled": [
        "plugins/agl-grpo/tests/test_tunable.py::test_a_model_that_does_not_speak_is_refused",
        "tests/unit/run/test_weights_on_disk.py::test_a_model_that_others_host_is_not_tuned",
    ],
    "a full disk leaves nothing half-written, and a checkpoint that somebody changed is not trusted": [
        "tests/system/test_full_disk_grpo.py::test_a_full_disk_stops_the_run_and_loses_nothing",
        "tests/unit/run/test_weights_on_disk.py::test_a_checkpoint_that_somebody_changed_is_not_trusted",
    ],
    # Replay.
    "a replay projects, scores or executes, and no way passes for another": [
        "tests/unit/cli/test_replay_score.py::test_what_is_another_modes_is_refused",
        "tests/unit/cli/test_replay_fork.py::test_options_of_other_ways_are_refused",
        "tests/unit/cli/test_replay_execute.py::test_a_rollout_is_replayed_unless_something_else_is_said",
    ],
    "no request gets another one's answer, in whatever order they come": [
        "tests/unit/replay/test_matching.py::test_fifty_templates_in_parallel_answer_each_its_own",
        "tests/unit/replay/test_matching.py::test_fifty_identical_requests_are_told_apart_by_their_places",
        "tests/unit/replay/test_swaps.py::test_fifty_at_once_hear_each_its_own",
        "tests/property/test_replay.py::test_with_places_every_branch_hears_what_it_heard",
        "tests/unit/replay/test_matching.py::test_two_branches_that_say_the_same_go_on_with_their_own",
    ],
    "what may be one of several is ambiguous, and stops": [
        "tests/unit/replay/test_matching.py::test_fifty_identical_requests_without_places_are_ambiguous",
        "tests/unit/replay/test_matching.py::test_order_is_no_proof_where_others_ask_at_once",
        "tests/unit/replay/test_swaps.py::test_tasks_that_nothing_tells_apart_are_ambiguous_and_the_replay_stops",
    ],
    "a call that is unmatched or another one stops the replay, with a difference, an exit code and an event": [
        "tests/unit/replay/test_matching.py::test_the_first_difference_is_shown_and_not_the_whole_text",
        "tests/unit/replay/test_execute.py::test_an_agent_that_departs_is_stopped_whatever_it_makes_of_it",
        "tests/unit/replay/test_execute.py::test_more_calls_than_then_depart",
        "tests/unit/replay/test_execute.py::test_fewer_calls_than_then_are_not_the_same",
        "tests/unit/cli/test_replay_execute.py::test_where_it_departs_is_shown_with_both_sides",
    ],
    "a session id in a prompt, and redaction, defeat no match": [
        "tests/unit/replay/test_matching.py::test_a_session_id_in_the_system_prompt_does_not_defeat_it",
        "tests/unit/replay/test_execute_refused.py::test_a_secret_that_was_redacted_is_the_same_secret_again",
        "tests/unit/replay/tools/test_ways.py::test_what_a_log_redacted_is_matched_and_comes_as_it_was_kept",
    ],
    "tools do not run again unless they say so, and a model that reorders them gets each its own result": [
        "tests/unit/replay/tools/test_answers.py::test_a_recorded_tool_does_not_run_and_gives_what_it_gave",
        "tests/unit/replay/tools/test_whose.py::test_reordered_calls_of_one_tool_get_each_its_own_result",
        "tests/unit/replay/tools/test_ways.py::test_a_pure_tool_runs_again_and_is_compared",
    ],
    "offline is a fact: nothing reaches another machine": [
        "tests/unit/replay/test_network.py::test_nothing_reaches_another_machine_in_whichever_way",
        "tests/unit/replay/test_network.py::test_no_name_is_looked_up",
        "tests/unit/replay/test_network.py::test_threads_are_held_too",
    ],
    "agents of every framework end as they did, from the log alone": [
        "tests/system/test_replay_frameworks.py::test_its_agent_runs_again_without_a_model",
        "tests/system/test_replay_frameworks.py::test_an_unmodified_program_of_it_runs_again_without_a_model",
        "tests/system/test_replay_pages.py::test_the_agent_of_a_page_runs_again_from_its_log",
    ],
    "the log that is read is never written to": [
        "tests/unit/replay/test_execute.py::test_the_log_that_is_read_stays_as_it_is_to_the_byte",
        "tests/unit/cli/test_replay_fork.py::test_the_log_that_is_read_stays_as_it_is",
    ],
    "forks share their past by its hash, and only what was declared changes": [
        "tests/unit/cli/test_replay_fork.py::test_forks_share_their_past_and_nothing_else",
        "tests/unit/replay/test_fork.py::test_the_hash_of_the_past_is_of_what_was_answered",
        "tests/unit/cli/test_replay_fork.py::test_a_changed_prompt_is_the_one_thing_that_differs",
        "tests/unit/cli/test_replay_fork.py::test_anything_else_that_differs_departs",
    ],
    "algorithms go through the histories of every release, upcasts too, and one that was changed is found out": [
        "tests/replay/test_histories.py::test_todays_code_goes_through_every_history",
        "tests/unit/replay/test_check_upcasts.py::test_a_history_of_an_older_schema_is_gone_through",
        "tests/replay/test_histories.py::test_an_algorithm_that_was_changed_is_found_out",
    ],
    "rows are made again to the byte, and memory does not grow with them": [
        "tests/unit/replay/test_project.py::test_two_projections_are_the_same_bytes",
        "tests/unit/replay/test_project.py::test_every_batch_is_what_was_trained_on",
        "tests/unit/replay/test_project.py::test_what_is_in_memory_does_not_grow_with_the_batch",
    ],
    # Prompts.
    "what was paid for is not paid for twice, wherever a prompt search is killed": [
        "plugins/agl-apo/tests/test_kill.py::test_every_request_is_one_that_is_recorded_or_was_under_way",
        "plugins/agl-apo/tests/test_algorithm.py::test_no_candidate_runs_on_a_task_twice",
        "plugins/agl-apo/tests/test_scores.py::test_a_task_is_run_once_for_each_prompt",
    ],
    "every candidate, refused ones too, is in the log with what made it and what came of it": [
        "plugins/agl-apo/tests/test_algorithm.py::test_every_candidate_says_what_it_came_from_and_why",
        "plugins/agl-apo/tests/test_algorithm.py::test_an_edit_that_drops_or_invents_a_placeholder_is_refused_and_asked_for_anew",
    ],
    "a round that a budget does not cover is not begun, and what was found is examined within it": [
        "plugins/agl-apo/tests/test_algorithm.py::test_a_round_that_the_budget_does_not_cover_is_not_begun",
        "plugins/agl-apo/tests/test_scores.py::test_work_is_priced_by_what_such_work_cost_so_far",
    ],
    "a prompt wins on tasks that nobody chose it by, or the base prompt stays, with both numbers and where it lost": [
        "plugins/agl-apo/tests/test_algorithm.py::test_a_better_prompt_is_found_examined_and_promoted",
        "plugins/agl-apo/tests/test_algorithm.py::test_a_gain_that_may_be_chance_keeps_the_base_prompt",
        "plugins/agl-apo/tests/test_algorithm.py::test_where_nothing_is_better_the_base_prompt_stays",
        "plugins/agl-apo/tests/test_scores.py::test_better_is_an_interval_above_zero_of_enough_pairs",
    ],
    # Agent Lightning's table of weaknesses: what concerns rows, rewards and losses (its parts 5.2 and 5.5).
    "C9: what only begins like a reward is none, and breaks no reader": [
        "tests/unit/emit/test_rewards.py::test_what_begins_like_a_reward_breaks_no_reader",
        "adapters/agl-triplets/tests/test_matching.py::test_what_begins_like_a_reward_is_none",
    ],
    "C10: a reward is a finite number, and settings make sense": [
        "tests/docs/test_coming_from_agent_lightning.py::test_a_reward_is_a_finite_number",
        "tests/docs/test_coming_from_agent_lightning.py::test_settings_that_make_no_sense_are_refused",
    ],
    "C12: what a prompt adds is never trained on, and what adds nothing adds nothing": [
        "adapters/agl-triplets/tests/test_merge.py::test_what_a_prompt_adds_is_never_trained_on",
        "adapters/agl-triplets/tests/test_merge.py::test_a_prompt_that_adds_nothing_adds_nothing",
    ],
    "C13: baselines are over rollouts, credit is of the call, and rewards are as exact as they were given": [
        "adapters/agl-triplets/tests/test_credits.py::test_a_credit_is_of_its_call",
        "adapters/agl-triplets/tests/test_credits.py::test_rewards_stay_as_exact_as_they_were_given",
        "adapters/agl-rewards/tests/test_rewards.py::test_a_rollout_without_calls_is_in_the_mean",
        "adapters/agl-rewards/tests/test_advantages.py::test_a_long_rollout_is_one_rollout",
        "plugins/agl-grpo/tests/test_credit.py::test_a_baseline_is_over_rollouts_and_not_over_rows",
        "plugins/agl-grpo/tests/test_invariance.py::test_a_reward_is_not_rounded_to_half_precision",
        "plugins/agl-grpo/tests/test_against_verl.py::test_a_long_answer_moves_verls_deviation_and_not_ours",
    ],
    "C14: what is too long is dropped whole, with its reason, and never cut": [
        "adapters/agl-triplets/tests/test_lengths.py::test_a_row_that_is_too_long_is_dropped_whole",
    ],
    "C16: braces of JSON are no placeholders, Jinja is rendered, and a prompt that lost a placeholder reaches nobody": [
        "tests/unit/test_resources.py::test_braces_that_are_no_placeholder_stay",
        "tests/unit/test_resources.py::test_jinja_is_rendered",
        "plugins/agl-apo/tests/test_edits.py::test_an_answer_is_read_for_its_prompt",
        "plugins/agl-apo/tests/test_edits.py::test_a_jinja_prompt_is_held_to_its_variables",
        "plugins/agl-apo/tests/test_algorithm.py::test_an_edit_that_drops_or_invents_a_placeholder_is_refused_and_asked_for_anew",
    ],
    "C17: what did not end is no zero and no win, scores are of tasks, and a failed critique makes no candidate": [
        "plugins/agl-apo/tests/test_algorithm.py::test_what_did_not_end_is_no_zero_and_does_not_win",
        "plugins/agl-apo/tests/test_scores.py::test_who_drew_the_easy_tasks_is_not_ahead",
        "plugins/agl-apo/tests/test_scores.py::test_what_was_not_scored_is_no_zero",
        "plugins/agl-apo/tests/test_algorithm.py::test_a_branch_that_comes_to_nothing_is_left_with_its_reason",
    ],
    "C18: of nothing comes nothing, and no clock and no name decides": [
        "agl_core/testing/_adapter_contract.py::test_of_nothing_comes_nothing",
        "adapters/agl-triplets/tests/test_matching.py::test_rewards_and_calls_are_matched_in_the_order_of_the_log",
    ],
    "C20: a setting that nothing reads is refused": [
        "tests/docs/test_coming_from_agent_lightning.py::test_a_setting_that_nothing_reads_is_refused",
    ],
    "V12: eight equal prompts are eight calls, and four answers four samples": [
        "adapters/agl-triplets/tests/test_forest.py::test_eight_equal_prompts_are_eight_calls_and_four_answers_four_samples",
    ],
    "V13: advantages are of the complete group, before any row is dropped": [
        "plugins/agl-grpo/tests/test_credit.py::test_advantages_are_of_the_complete_group_whatever_is_dropped_of_it",
        "adapters/agl-triplets/tests/test_staleness.py::test_an_old_rollout_stays_in_its_group",
    ],
    "V14: what divides a loss is of the rollouts that share a step, whatever they are cut into": [
        "plugins/agl-grpo/tests/test_invariance.py::test_rows_and_passes_change_nothing",
        "plugins/agl-grpo/tests/test_invariance.py::test_minibatches_add_up_to_the_round",
        "plugins/agl-grpo/tests/test_invariance.py::test_a_round_is_cut_evenly",
        "plugins/agl-grpo/tests/test_against_verl.py::test_a_cut_into_rows_moves_verls_mean_and_not_ours",
    ],
    "V15: a failure that the policy did not cause is no loss of its": [
        "tests/system/test_failures.py::test_what_infrastructure_did_punishes_nobody",
        "plugins/agl-grpo/tests/test_credit.py::test_what_infrastructure_did_trains_nobody",
    ],
    "V16: several validation tasks are one number, and none overwrites another": [
        "plugins/agl-grpo/tests/test_algorithm.py::test_every_validation_task_is_in_the_one_number_that_is_logged",
    ],
    "V17: a step without a usable row ends no training, and many in a row say why": [
        "plugins/agl-grpo/tests/test_algorithm.py::test_steps_without_a_row_are_warned_of_and_then_stop_the_run",
        "plugins/agl-grpo/tests/test_algorithm.py::test_a_run_that_is_resumed_after_them_has_as_many_steps_again",
        "plugins/agl-grpo/tests/test_algorithm.py::test_a_round_that_agrees_is_logged_and_skipped",
        "tests/system/test_failures_grpo.py::test_steps_without_a_row_do_not_end_training",
    ],
    "V18: what was captured stays as it was, and a break has its own cause": [
        "adapters/agl-triplets/tests/test_properties.py::test_what_goes_in_stays_as_it_was",
        "adapters/agl-triplets/tests/test_merge.py::test_a_break_says_what_changed_and_where",
    ],
    "V19: a drain has a time limit, and validation goes on beside training rollouts without mixing with them": [
        "tests/unit/trainer/test_serving.py::test_calls_that_do_not_end_stop_the_load_and_go_on_with_the_old_weights",
        "tests/unit/trainer/test_serving.py::test_a_call_ends_on_the_weights_it_began_on_and_the_next_one_has_the_new",
        "plugins/agl-grpo/tests/test_flight.py::test_validation_speaks_with_one_version_and_is_in_no_batch",
    ],
    # Whole groups, in any order.
    "groups that are complete first are trained on first, and a resumed run is told of the same ones": [
        "tests/unit/run/test_flight.py::test_a_group_lands_whole",
        "tests/unit/run/test_flight.py::test_a_resumed_run_is_told_of_the_groups_that_landed_then",
        "plugins/agl-grpo/tests/test_flight.py::test_a_call_has_the_version_that_spoke_and_a_row_says_how_old_it_was",
    ],
    "several policies learn each from its own calls": [
        "plugins/agl-grpo/tests/test_several.py::test_two_policies_learn_each_from_its_own_calls",
        "plugins/agl-grpo/tests/test_several.py::test_one_selected_agent_of_many_is_trained",
    ],
    # Seeing what happened.
    "the log shows what was at any position, what changed between two, and what led to a thing": [
        "tests/property/test_past.py::test_a_past_is_what_the_log_was",
        "tests/property/test_past.py::test_a_past_is_a_log_that_was_cut_there",
        "tests/unit/log/test_past.py::test_the_past_stands_still_while_others_write",
        "tests/unit/log/test_past.py::test_what_was_erased_later_cannot_be_read_in_the_past",
        "tests/unit/cli/test_looking_back.py::test_at_its_end_the_past_is_the_present",
        "tests/unit/cli/test_log_diff.py::test_rollouts_are_told_by_what_became_of_them",
        "tests/unit/cli/test_why.py::test_a_promoted_prompt_is_walked_back_to_the_start_of_its_run",
        "tests/unit/cli/test_why.py::test_what_goes_in_circles_is_walked_once",
    ],
}


@pytest.mark.parametrize("promise", PROMISES)
def test_a_promise_has_the_tests_that_keep_it(promise):
    """By their names: one that is taken away, or called otherwise, is missed here."""
    for place in PROMISES[promise]:
        path, _, name = place.partition("::")

        assert re.search(rf"def {re.escape(name)}\(", (ROOT / path).read_text()), place
