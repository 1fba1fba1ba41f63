-- And whether it has all of its triggers. (Processes that migrated side by side, as they did before there was a lock, could leave a schema
-- without one, with the version of a whole one.)
SELECT version,
       (SELECT COUNT(*) FROM sqlite_master
         WHERE type = 'trigger' AND name IN (
             'callbacks_armed', 'callbacks_claimed', 'callbacks_counted', 'callbacks_ended', 'callbacks_fill',
             'callbacks_moved', 'callbacks_purged', 'callbacks_totalled', 'deliveries_cut', 'deliveries_failed', 'deliveries_record', 'endpoint_fill_run',
             'endpoints_held', 'events_cut', 'host_fill_unless_paused', 'hosts_fill_in_time', 'hosts_fill_new', 'hosts_held', 'hosts_held_new', 'hosts_started', 'hosts_started_new',
             'line_up_in_turns', 'messages_armed', 'messages_asked_again', 'messages_callbacks_cut', 'messages_cancelled', 'messages_claimed',
             'messages_counted', 'messages_ended', 'messages_event', 'messages_lined_up', 'messages_moved',
             'messages_outbox', 'messages_outrank_ready', 'messages_pace_turn', 'messages_purged', 'messages_purged_callbacks',
             'messages_refill', 'messages_totalled', 'outrank_run', 'results_finish')) = 41
  FROM schema_version
