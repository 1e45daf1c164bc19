-- An instant plus an interval is stable, and Postgres writes no function into a query whose body is less steady than it
-- says of itself: every claim called it for each due post.
ALTER FUNCTION misfires_at(posts, interval, interval) STABLE;
