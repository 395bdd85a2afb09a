"""When a schedule fires: cron expressions on a wall clock, and what becomes of periods that were missed."""
