-- Planning the mark takes twice the time of carrying it out (8 ms and 4.5 ms of CPU for 25 posts), and Postgres plans a
-- statement anew for its first five calls on each connection before it keeps the one plan. A run lives for minutes and
-- opens its connections anew: what fell due first would wait for that.
ALTER FUNCTION mark_posts SET plan_cache_mode = force_generic_plan;
